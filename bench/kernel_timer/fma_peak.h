// What one core can do at most: multiplications and additions that wait for nothing but each other's units.
#pragma once

// One per instruction set; only those of this machine's architecture are linked.
namespace fma_peak {

/// Does `iterations` rounds of independent multiply-adds in registers; returns how many multiplications and
/// additions those were.
using Run = double (*)(long iterations);

namespace baseline {
double run(long iterations);
}
namespace avx2 {
double run(long iterations);
}
namespace avx512 {
double run(long iterations);
}
namespace neon {
double run(long iterations);
}

}  // namespace fma_peak
