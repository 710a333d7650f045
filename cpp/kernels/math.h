// Elementary functions on Vec, and the activations made of them. No loops over memory and no libm here.
//
// Everything is fma, comparison, exact division and integer arithmetic on the bits, in a fixed order, so every
// instruction set with fused multiply-add gives the same bits. All functions keep NaN, saturate at infinities, and
// are right whether or not denormals are flushed to zero (a denormal argument may count as zero).
#pragma once

#include <cstdint>

#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <class... Higher>
DIABOLO_INLINE Vec polynomial(Vec x, float c0, Higher... higher) {
  if constexpr (sizeof...(higher) == 0) {
    return broadcast(c0);
  } else {
    return fma(polynomial(x, higher...), x, broadcast(c0));
  }
}

DIABOLO_INLINE Vec minus_abs(Vec v) {
  return from_bits(bits_of(v) | broadcast_int(static_cast<std::int32_t>(0x80000000u)));
}

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kNaN = __builtin_nanf("");
inline constexpr float kSmallestNormal = 0x1p-126f;
inline constexpr float kLog2E = 0x1.715476p+0f;
// ln 2 in two parts; the first has 16 bits, so that its product with an exponent is exact.
inline constexpr float kLn2High = 0x1.62e4p-1f;
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;
inline constexpr float kLn2 = 0x1.62e43p-1f;

/// Added to |v| < 2^22, leaves v's nearest integer in the low bits of the sum; this one with the exponent bias added.
inline constexpr float kRound = 0x1.8p23f;
inline constexpr float kRoundBiased = 0x1.8p23f + 127.0f;

/// An integer n and 2^n, for n from -127 (where the power is 0) to 127.
struct PowerOfTwo {
  Vec n;
  Vec power;
};

DIABOLO_INLINE PowerOfTwo power_of_two(Vec biased) {
  return {biased - broadcast(kRoundBiased), from_bits(bits_of(biased) << 23)};
}

/// x - n ln 2.
DIABOLO_INLINE Vec minus_multiple_of_ln2(Vec x, Vec n) {
  return fma(n, broadcast(-kLn2Low), fma(n, broadcast(-kLn2High), x));
}

/// The same but for n 2^-29: enough where e^x counts only beside 1, or n is small.
DIABOLO_INLINE Vec about_minus_multiple_of_ln2(Vec x, Vec n) { return fma(n, broadcast(-kLn2), x); }

/// e^r, |r| <= ln2/2: degree 6, relative error 2^-28.2.
DIABOLO_INLINE Vec exp_near_zero(Vec r) {
  return polynomial(r, 1.0f, 1.0f, 0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558d2p-5f, 0x1.1239cap-7f, 0x1.6a23d2p-10f);
}

/// 2^f, |f| <= 1/2: degree 6, relative error 2^-28.3.
DIABOLO_INLINE Vec exp2_near_zero(Vec f) {
  return polynomial(f, 1.0f, kLn2, 0x1.ebfbdcp-3f, 0x1.c6af7ap-5f, 0x1.3b2deap-7f, 0x1.5f0996p-10f, 0x1.415f3ep-13f);
}

/// e^r - 1, |r| <= ln2/2: degree 6, relative error 2^-26.1.
DIABOLO_INLINE Vec expm1_near_zero(Vec r) {
  const Vec q = polynomial(r, 0x1.fffffep-2f, 0x1.5554aap-3f, 0x1.55579ap-5f, 0x1.122c38p-7f, 0x1.6ac05p-10f);
  return fma(r * r, q, r);
}

/// 2^f - 1, |f| <= 1/2: degree 6, relative error 2^-26.2.
DIABOLO_INLINE Vec exp2m1_near_zero(Vec f) {
  const Vec q = polynomial(f, 0x1.ebfbdep-3f, 0x1.c6af98p-5f, 0x1.3b2ccap-7f, 0x1.5ef968p-10f, 0x1.41e1cap-13f);
  return fma(f, broadcast(kLn2), f * f * q);
}

/// log(1 + f), -1/4 <= f <= 1/2: degree 10, relative error 2^-27.5.
DIABOLO_INLINE Vec log1p_near_zero(Vec f) {
  const Vec q = polynomial(f, -0.5f, 0x1.5555acp-2f, -0x1.000082p-2f, 0x1.996716p-3f, -0x1.54d6ccp-3f, 0x1.287688p-3f,
                           -0x1.0e8e4ap-3f, 0x1.b1e80ep-4f, -0x1.793ba8p-5f);
  return fma(f * f, q, f);
}

/// log(1 + e) / e, 0 <= e <= 1: degree 8, relative error 2^-24.8.
DIABOLO_INLINE Vec log1p_ratio(Vec e) {
  return polynomial(e, 1.0f, -0x1.ffff14p-2f, 0x1.5535dep-2f, -0x1.fd1368p-3f, 0x1.884554p-3f, -0x1.19af9p-3f,
                    0x1.44708ap-4f, -0x1.eca3eap-6f, 0x1.5fa162p-8f);
}

/// e^x = 2^n e^r with n the integer nearest to x / ln 2 and r = x - n ln 2. Below 2^-126: 0.
DIABOLO_INLINE Vec exp(Vec x) {
  const Vec shifted = fma(x, broadcast(kLog2E), broadcast(kRound));
  const Vec r = minus_multiple_of_ln2(x, shifted - broadcast(kRound));
  const Vec scaled = from_bits(bits_of(exp_near_zero(r)) + (bits_of(shifted) << 23));
  const Vec above = select(x > broadcast(-0x1.5d58ap+6f), scaled, Vec{});
  return select(x < broadcast(0x1.62e43p+6f), above, x + broadcast(kInfinity));
}

/// e^x for x <= 0. Below 2^-126: the denormal or 0.
DIABOLO_INLINE Vec exp_of_nonpositive(Vec x) {
  const Vec bounded = max(broadcast(-88.0f), x);
  const PowerOfTwo two = power_of_two(fma(bounded, broadcast(kLog2E), broadcast(kRoundBiased)));
  return exp_near_zero(minus_multiple_of_ln2(bounded, two.n)) * two.power;
}

/// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), halved until the end so that 2^128 fits. Below 2^-24, x itself.
DIABOLO_INLINE Vec expm1(Vec x) {
  const Vec bounded = max(broadcast(-30.0f), min(broadcast(0x1.62e43p+6f), x));
  const Vec biased = fma(bounded, broadcast(kLog2E), broadcast(kRoundBiased - 1.0f));
  const Vec r = minus_multiple_of_ln2(bounded, biased - broadcast(kRoundBiased - 1.0f));
  const Vec half_power = from_bits(bits_of(biased) << 23);
  const Vec half = fma(half_power, expm1_near_zero(r), half_power - 0.5f);
  return select(abs(x) < broadcast(0x1p-24f), x, half + half);
}

/// x = 2^n (1 + f) with f in [-1/4, 1/2): log x = n ln 2 + log(1 + f).
DIABOLO_INLINE Vec log(Vec x) {
  const VecI exponent = (bits_of(x) - 0x3f400000) & ~0x7fffff;
  const Vec f = from_bits(bits_of(x) - exponent) - 1.0f;
  const Vec n = __builtin_convertvector(exponent, Vec) * 0x1p-23f;
  const Vec finite = fma(n, broadcast(kLn2), log1p_near_zero(f));
  const Vec positive = select(x < broadcast(kInfinity), finite, x);
  const Vec signed_zero = select(abs(x) < broadcast(kSmallestNormal), broadcast(-kInfinity), broadcast(kNaN));
  return select(x < broadcast(kSmallestNormal), signed_zero, positive);
}

/// 1 + x = 2^n (1 + f) with f = 2^-n x + (2^-n - 1) in [-1/4, 1/2]: log(1 + x) = n ln 2 + log(1 + f).
DIABOLO_INLINE Vec log1p(Vec x) {
  const VecI exponent = (bits_of(1.0f + x) - 0x3f400000) & ~0x7fffff;
  const Vec four_over_power = from_bits(0x40800000 - exponent);
  const Vec f = from_bits(bits_of(x) - exponent) + fma(four_over_power, broadcast(0.25f), broadcast(-1.0f));
  const Vec n = __builtin_convertvector(exponent, Vec) * 0x1p-23f;
  const Vec finite = fma(n, broadcast(kLn2), log1p_near_zero(f));
  const Vec above = select(x < broadcast(kInfinity), finite, x);
  const Vec below = select(x == broadcast(-1.0f), broadcast(-kInfinity), broadcast(kNaN));
  return select(abs(x) < broadcast(0x1p-24f), x, select(x <= broadcast(-1.0f), below, above));
}

/// tanh a = (1 - E) / (1 + E), E = e^(-2a) = 2^n + 2^n (e^r - 1), a = |x|; 1 from a = 9.02.
DIABOLO_INLINE Vec tanh(Vec x) {
  const Vec minus_2a = -2.0f * min(broadcast(10.0f), abs(x));
  const PowerOfTwo two = power_of_two(fma(minus_2a, broadcast(kLog2E), broadcast(kRoundBiased)));
  const Vec p = expm1_near_zero(about_minus_multiple_of_ln2(minus_2a, two.n));
  return with_sign_of(abs(fma(two.power, p, two.power - 1.0f)) / fma(two.power, p, two.power + 1.0f), x);
}

/// With e = e^-|x|: s = m / (1 + e), m = 1 for x >= 0, e below; s = m - e s then sheds the rounding of 1 + e.
DIABOLO_INLINE Vec sigmoid(Vec x) {
  const Vec e = exp_of_nonpositive(minus_abs(x));
  const Vec m = select(x < Vec{}, e, broadcast(1.0f));
  return fma(-e, m / (1.0f + e), m);
}

/// sigmoid(x) and log(1 + e^-|x|), from one exponential.
struct SigmoidAndSoftplus {
  Vec sigmoid;
  Vec softplus_of_minus_abs;
};

DIABOLO_INLINE SigmoidAndSoftplus sigmoid_and_softplus(Vec x) {
  const Vec bounded = max(broadcast(-88.0f), minus_abs(x));
  const PowerOfTwo two = power_of_two(fma(bounded, broadcast(kLog2E), broadcast(kRoundBiased)));
  const Vec e = exp_near_zero(about_minus_multiple_of_ln2(bounded, two.n)) * two.power;
  return {select(x < Vec{}, e, broadcast(1.0f)) / (1.0f + e), e * log1p_ratio(e)};
}

/// erf a = 1 - 2^-y(a), y = -log2(erfc a), a = |x|; y/a of degree 8 in a on [0, 3.95], error of erf 2^-27.3.
DIABOLO_INLINE Vec erf(Vec x) {
  const Vec a = min(broadcast(3.95f), abs(x));
  const Vec q = polynomial(a, -0x1.d63ebcp-1f, -0x1.2fada8p-3f, 0x1.c4fdc4p-6f, 0x1.9740a4p-13f, -0x1.35713cp-9f,
                           0x1.cffd6p-11f, -0x1.512bbp-13f, 0x1.9a4f9ep-17f);
  const Vec minus_y = fma(a, broadcast(-0x1.a0be84p+0f), a * a * q);
  const PowerOfTwo two = power_of_two(minus_y + kRoundBiased);
  return with_sign_of(abs(fma(two.power, exp2m1_near_zero(minus_y - two.n), two.power - 1.0f)), x);
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
DIABOLO_INLINE Vec softplus(Vec x) {
  const Vec e = exp_of_nonpositive(minus_abs(x));
  return fma(e, log1p_ratio(e), max(Vec{}, x));
}

/// x above 0, e^x - 1 below.
DIABOLO_INLINE Vec elu(Vec x) {
  const Vec bounded = max(broadcast(-30.0f), x);
  const PowerOfTwo two = power_of_two(fma(bounded, broadcast(kLog2E), broadcast(kRoundBiased)));
  const Vec below = fma(two.power, expm1_near_zero(about_minus_multiple_of_ln2(bounded, two.n)), two.power - 1.0f);
  return select(x < Vec{}, below, x);
}

/// x sigmoid(x).
DIABOLO_INLINE Vec silu(Vec x) {
  return max(broadcast(-128.0f), x) * sigmoid(x);
}

/// With e = e^-|x|, s = sigmoid(x), s (1 - s) = e / (1 + e)^2: s + x s (1 - s).
DIABOLO_INLINE Vec silu_derivative(Vec x) {
  const Vec bounded = max(broadcast(-128.0f), min(broadcast(128.0f), x));
  const Vec e = exp_of_nonpositive(minus_abs(bounded));
  const Vec q = 1.0f / (1.0f + e);
  const Vec s = q * select(x < Vec{}, e, broadcast(1.0f));
  return fma(bounded * e * q, q, s);
}

/// 2^v for -127 <= v <= 0, where -127 gives 0.
DIABOLO_INLINE Vec exp2_of_nonpositive(Vec v) {
  const PowerOfTwo two = power_of_two(v + kRoundBiased);
  return exp2_near_zero(v - two.n) * two.power;
}

/// x Phi(x), Phi the normal distribution. With a = |x|, Phi(-a) = 2^(-a (c + d a)) S(a): c and d such that a
/// polynomial S of degree 8 leaves an error of Phi below 2^-26.6 Phi^0.65 for all a to 12.37, and then 0.
DIABOLO_INLINE Vec gelu(Vec x) {
  const Vec a = min(broadcast(12.37f), abs(x));
  const Vec s = polynomial(a, 0.5f, 0x1.d44432p-3f, 0x1.0a324p-3f, 0x1.9f7238p-6f, 0x1.2a4fap-7f, 0x1.1cbfdcp-11f,
                           0x1.409856p-12f, -0x1.f7c52ap-18f, 0x1.0b6ccap-18f);
  const Vec tail = exp2_of_nonpositive(a * fma(a, broadcast(-0x1.5deac4p-1f), broadcast(-0x1.cf92e6p+0f))) * s;
  return max(broadcast(-12.37f), x) * select(x < Vec{}, tail, 1.0f - tail);
}

/// Phi(x) + x phi(x), phi the normal density. With a = |x|, Phi(-a) - a phi(a) = 2^(-a (c + d a)) S(a), S of degree
/// 8: error below 2^-25.4.
DIABOLO_INLINE Vec gelu_derivative(Vec x) {
  const Vec a = min(broadcast(12.79f), abs(x));
  const Vec s = polynomial(a, 0.5f, -0x1.73076cp-2f, -0x1.14eacp-2f, -0x1.36fffp-3f, -0x1.b42d12p-6f, -0x1.d41334p-8f,
                           -0x1.cbc566p-18f, -0x1.cb34b6p-14f, 0x1.787be8p-17f);
  const Vec below = exp2_of_nonpositive(a * fma(a, broadcast(-0x1.5b0ceap-1f), broadcast(-0x1.41b952p+0f))) * s;
  return select(x < Vec{}, below, 1.0f - below);
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
