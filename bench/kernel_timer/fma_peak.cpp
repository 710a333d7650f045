// See fma_peak.h. Compiled once per instruction set.
#include "fma_peak.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace fma_peak::FMA_PEAK_ISA {
namespace {

// Chains: more than latency times units (4 * 2 for fused, 8 * 2 for separate ones), and with the two operands
// no more than there are registers.
#if defined(__AVX512F__)
using Vec = __m512;
constexpr int kChains = 24;
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__AVX2__)
using Vec = __m256;
constexpr int kChains = 12;
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
#elif defined(__x86_64__)
using Vec = __m128;
constexpr int kChains = 14;
inline Vec broadcast(float x) { return _mm_set1_ps(x); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
#else
using Vec = float32x4_t;
constexpr int kChains = 24;
inline Vec broadcast(float x) { return vdupq_n_f32(x); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
#endif

constexpr int kLanes = sizeof(Vec) / sizeof(float);

volatile float result;  // so that the work cannot be left out

}  // namespace

double run(long iterations) {
  // Each chain is x -> x * factor + summand, which tends to 1: no overflow and no denormals, however long.
  const Vec factor = broadcast(0.9990234375f);
  const Vec summand = broadcast(0.0009765625f);
  Vec chain[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  for (long n = 0; n < iterations; ++n) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chain[i] = multiply_add(chain[i], factor, summand);
  }
  float total = 0.0f;
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) {
    alignas(64) float lanes[kLanes];
    __builtin_memcpy(lanes, &chain[i], sizeof(lanes));
    for (int j = 0; j < kLanes; ++j) total += lanes[j];
  }
  result = total;
  return 2.0 * kChains * kLanes * static_cast<double>(iterations);
}

void read(const float* x, long count) {
  // As many sums as cover the latency of two additions a cycle: what is left to wait for is the loads.
  constexpr int kSums = 8;
  Vec sums[kSums];
#pragma GCC unroll 8
  for (int k = 0; k < kSums; ++k) sums[k] = broadcast(0.0f);
  for (long i = 0; i < count; i += kSums * kLanes) {
#pragma GCC unroll 8
    for (int k = 0; k < kSums; ++k) {
      Vec v;
      __builtin_memcpy(&v, x + i + k * kLanes, sizeof(v));
      sums[k] += v;
    }
  }
  float total = 0.0f;
#pragma GCC unroll 8
  for (int k = 0; k < kSums; ++k) total += sums[k][0];
  result = total;
}

}  // namespace fma_peak::FMA_PEAK_ISA
