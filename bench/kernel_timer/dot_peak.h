// What one core can do at most in products of bfloat16 numbers: dot instructions on vectors, and on AMX
// tiles.
#pragma once

namespace dot_peak {

/// As fma_peak::Run: does `iterations` rounds, returns how many multiplications and additions those were.
using Run = double (*)(long iterations);

/// AVX512-BF16; null if this processor, or this compiler, has none.
[[nodiscard]] Run avx512_bf16();

/// AMX-BF16; null if this processor, this compiler or the operating system has none. Asks the system for the
/// use of tiles.
[[nodiscard]] Run amx_bf16();

}  // namespace dot_peak
