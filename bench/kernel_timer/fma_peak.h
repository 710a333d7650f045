// What one core can do at most: multiplications and additions that wait for nothing but each other's units,
// and loads of the widest vectors.
#pragma once

// One per instruction set; only those of this machine's architecture are linked.
namespace fma_peak {

/// Does `iterations` rounds of independent multiply-adds in registers; returns how many multiplications and
/// additions those were.
using Run = double (*)(long iterations);

/// Reads `count` floats, a multiple of 256, once.
using Read = void (*)(const float* x, long count);

namespace baseline {
double run(long iterations);
void read(const float* x, long count);
}  // namespace baseline
namespace avx2 {
double run(long iterations);
void read(const float* x, long count);
}  // namespace avx2
namespace avx512 {
double run(long iterations);
void read(const float* x, long count);
}  // namespace avx512
namespace neon {
double run(long iterations);
void read(const float* x, long count);
}  // namespace neon

}  // namespace fma_peak
