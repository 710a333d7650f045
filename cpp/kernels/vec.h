// The vector type of the instruction set this file is compiled for, and the few primitives that have no
// operator. Arithmetic, comparisons, shifts and casts come from the compiler's vector extensions; no
// mathematics here.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE4_1__)
#include <smmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
inline constexpr Index kLanes = 16;
#elif defined(__AVX2__)
inline constexpr Index kLanes = 8;
#else
inline constexpr Index kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * 4)));
using VecI = std::int32_t __attribute__((vector_size(kLanes * 4)));
// The same vector without the promise of alignment, and free to alias what it points at. (Clang takes the
// alignment only from an attribute on the alias itself.)
using LooseVec __attribute__((aligned(4), may_alias)) = Vec;
static_assert(alignof(LooseVec) == 4);

#define DIABOLO_INLINE inline __attribute__((always_inline))

DIABOLO_INLINE Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
DIABOLO_INLINE void store(float* to, Vec v) { *reinterpret_cast<LooseVec*>(to) = v; }
DIABOLO_INLINE VecI load_int(const std::int32_t* from) {
  return (VecI) * reinterpret_cast<const LooseVec*>(from);
}

/// x in every lane. (x - 0 is x to the last bit, zeros' signs too, and compiles to a plain broadcast; x + 0
/// is not.)
DIABOLO_INLINE Vec broadcast(float x) { return x - Vec{}; }
DIABOLO_INLINE VecI broadcast_int(std::int32_t x) { return x - VecI{}; }

/// The same 32 bits of every lane, seen as the other type.
DIABOLO_INLINE VecI bits_of(Vec v) { return (VecI)v; }
DIABOLO_INLINE Vec from_bits(VecI v) { return (Vec)v; }

/// Lane by lane `mask ? a : b`; a mask is what a comparison of vectors gives: all ones or all zeros.
DIABOLO_INLINE Vec select(VecI mask, Vec a, Vec b) { return mask ? a : b; }

/// a * b + c, rounded once where the instruction set can (all but the x86-64 baseline).
DIABOLO_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}

/// The products of the bfloat16 pairs in each lane of a and b, added to c: that of the second numbers first,
/// and rounded after each.
DIABOLO_INLINE Vec add_pair_products(Vec a, Vec b, Vec c) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
#else
  const VecI second = broadcast_int(static_cast<std::int32_t>(0xffff0000u));
  const Vec sum = fma(from_bits(bits_of(a) & second), from_bits(bits_of(b) & second), c);
  return fma(from_bits(bits_of(a) << 16), from_bits(bits_of(b) << 16), sum);
#endif
}

/// a > b ? a : b, so b where either is NaN: the x86 rule, kept everywhere.
DIABOLO_INLINE Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#elif defined(__SSE4_1__)
  return _mm_max_ps(a, b);
#else
  return select(a > b, a, b);
#endif
}

/// a < b ? a : b, so b where either is NaN.
DIABOLO_INLINE Vec min(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#elif defined(__SSE4_1__)
  return _mm_min_ps(a, b);
#else
  return select(a < b, a, b);
#endif
}

/// Correctly rounded square root.
DIABOLO_INLINE Vec sqrt(Vec v) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, v);  // GCC 12 warns of an operand of the plain one, which is none
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(v);
#elif defined(__SSE4_1__)
  return _mm_sqrt_ps(v);
#elif defined(__aarch64__)
  return vsqrtq_f32(v);
#endif
}

DIABOLO_INLINE Vec abs(Vec v) { return from_bits(bits_of(v) & broadcast_int(0x7fffffff)); }

/// The sign bit of `sign` on the magnitude of `v` (which must not be negative).
DIABOLO_INLINE Vec with_sign_of(Vec v, Vec sign) {
  return from_bits(bits_of(v) | (bits_of(sign) & broadcast_int(static_cast<std::int32_t>(0x80000000u))));
}

DIABOLO_INLINE bool any(VecI mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8((__m256i)mask) != 0;
#elif defined(__SSE4_1__)
  return _mm_movemask_epi8((__m128i)mask) != 0;
#else
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

/// The 64-bit products of unsigned 32-bit lanes, in two halves.
struct WideProduct {
  VecI low;
  VecI high;
};

DIABOLO_INLINE WideProduct multiply_wide(VecI a, VecI b) {
#if defined(__AVX512F__)
  const __m512i even = _mm512_mul_epu32((__m512i)a, (__m512i)b);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), _mm512_srli_epi64((__m512i)b, 32));
  return {(VecI)_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32)),
          (VecI)_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd)};
#elif defined(__AVX2__)
  const __m256i even = _mm256_mul_epu32((__m256i)a, (__m256i)b);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), _mm256_srli_epi64((__m256i)b, 32));
  return {(VecI)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA),
          (VecI)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA)};
#elif defined(__SSE4_1__)
  const __m128i even = _mm_mul_epu32((__m128i)a, (__m128i)b);
  const __m128i odd = _mm_mul_epu32(_mm_srli_epi64((__m128i)a, 32), _mm_srli_epi64((__m128i)b, 32));
  return {(VecI)_mm_blend_epi16(even, _mm_slli_epi64(odd, 32), 0xCC),
          (VecI)_mm_blend_epi16(_mm_srli_epi64(even, 32), odd, 0xCC)};
#elif defined(__aarch64__)
  const uint32x4_t x = (uint32x4_t)a;
  const uint32x4_t y = (uint32x4_t)b;
  const uint32x4_t first = (uint32x4_t)vmull_u32(vget_low_u32(x), vget_low_u32(y));
  const uint32x4_t second = (uint32x4_t)vmull_high_u32(x, y);
  return {(VecI)vuzp1q_u32(first, second), (VecI)vuzp2q_u32(first, second)};
#endif
}

/// Lane i of the result is i: to compare with a column number.
DIABOLO_INLINE VecI lane_numbers() {
  VecI numbers{};
  for (int i = 0; i < static_cast<int>(kLanes); ++i) numbers[i] = i;
  return numbers;
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
