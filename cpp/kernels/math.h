// Elementary functions on Vec, and the activations made of them. No loops over memory and no libm here.
//
// Everything is fma, comparison, exact division and integer arithmetic on the bits, in a fixed order, so
// every instruction set with fused multiply-add gives the same bits. All functions keep NaN, saturate at
// infinities (where they take their limits), and are right whether or not denormals are flushed to zero; a
// denormal argument may count as zero. exp, expm1, log, log1p, tanh, sigmoid and erf err by less than 2 units
// in the last place (ulp) where the exact result is normal; below that they give 0 or the denormal. Without
// fused multiply-add these and all bounds in ulp below are 2 ulp greater.
//
// The polynomials are minimax fits, refitted after each coefficient was rounded to a float; their errors
// below leave out the rounding while they are evaluated.
#pragma once

#include <cstdint>

#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

using VecU = std::uint32_t __attribute__((vector_size(kLanes * 4)));  // its sums and differences wrap

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kNaN = __builtin_nanf("");
inline constexpr float kSmallestNormal = 0x1p-126f;
inline constexpr float kLogSmallestNormal = -0x1.5d58ap+6f;  // the largest float with an exponential below it
inline constexpr float kLogInfinity = 0x1.62e43p+6f;  // the smallest float with an infinite exponential
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2 = 0x1.62e43p-1f;  // to 2^-29, by luck
// ln 2 in two parts; the first has 16 bits, so that its product with an exponent is exact.
inline constexpr float kLn2High = 0x1.62e4p-1f;
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;

// Adding this to |v| < 2^22 leaves v's nearest integer in the low bits of the sum; kRoundBiased that integer
// plus the bias of a float's exponent.
inline constexpr float kRound = 0x1.8p23f;
inline constexpr float kRoundBiased = 0x1.8p23f + 127.0f;

DIABOLO_INLINE Vec minus_abs(Vec v) {
  return from_bits(bits_of(v) | broadcast_int(static_cast<std::int32_t>(0x80000000u)));
}

/// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <class... Higher>
DIABOLO_INLINE Vec polynomial(Vec x, float c0, Higher... higher) {
  if constexpr (sizeof...(higher) == 0) {
    return broadcast(c0);
  } else {
    return fma(polynomial(x, higher...), x, broadcast(c0));
  }
}

// ------------------------------------------------------------------------------------------ around zero

/// e^r, |r| <= ln2/2: degree 6, relative error 2^-28.2.
DIABOLO_INLINE Vec exp_near_zero(Vec r) {
  return polynomial(r, 1.0f, 1.0f, 0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558d2p-5f, 0x1.1239cap-7f,
                    0x1.6a23d2p-10f);
}

/// e^r - 1, |r| <= ln2/2: degree 6, relative error 2^-26.1.
DIABOLO_INLINE Vec expm1_near_zero(Vec r) {
  const Vec q = polynomial(r, 0x1.fffffep-2f, 0x1.5554aap-3f, 0x1.55579ap-5f, 0x1.122c38p-7f, 0x1.6ac05p-10f);
  return fma(r * r, q, r);
}

/// 2^f, |f| <= 1/2: degree 6, relative error 2^-28.3.
DIABOLO_INLINE Vec exp2_near_zero(Vec f) {
  return polynomial(f, 1.0f, kLn2, 0x1.ebfbdcp-3f, 0x1.c6af7ap-5f, 0x1.3b2deap-7f, 0x1.5f0996p-10f,
                    0x1.415f3ep-13f);
}

/// 2^f - 1, |f| <= 1/2: degree 6, relative error 2^-26.2.
DIABOLO_INLINE Vec exp2m1_near_zero(Vec f) {
  const Vec q =
      polynomial(f, 0x1.ebfbdep-3f, 0x1.c6af98p-5f, 0x1.3b2ccap-7f, 0x1.5ef968p-10f, 0x1.41e1cap-13f);
  return fma(f, broadcast(kLn2), f * f * q);
}

/// log(1 + f), -1/4 <= f <= 1/2: degree 10, relative error 2^-27.5.
DIABOLO_INLINE Vec log1p_near_zero(Vec f) {
  const Vec q = polynomial(f, -0.5f, 0x1.5555acp-2f, -0x1.000082p-2f, 0x1.996716p-3f, -0x1.54d6ccp-3f,
                           0x1.287688p-3f, -0x1.0e8e4ap-3f, 0x1.b1e80ep-4f, -0x1.793ba8p-5f);
  return fma(f * f, q, f);
}

/// log(1 + e) / e, 0 <= e <= 1: degree 8, relative error 2^-24.8.
DIABOLO_INLINE Vec log1p_ratio(Vec e) {
  return polynomial(e, 1.0f, -0x1.ffff14p-2f, 0x1.5535dep-2f, -0x1.fd1368p-3f, 0x1.884554p-3f, -0x1.19af9p-3f,
                    0x1.44708ap-4f, -0x1.eca3eap-6f, 0x1.5fa162p-8f);
}

// ------------------------------------------------------------------------------------------ powers of two

/// An integer n and 2^n, for n from -127 (where the power is 0) to 127.
struct PowerOfTwo {
  Vec n;
  Vec power;
};

DIABOLO_INLINE PowerOfTwo power_of_two(Vec biased_n) {
  return {biased_n - kRoundBiased, from_bits(bits_of(biased_n) << 23)};
}

/// 2^n with n the integer nearest to x / ln 2, so that e^x = 2^n e^r, r = x - n ln 2, |r| <= ln2/2.
DIABOLO_INLINE PowerOfTwo power_of_two_near_exp(Vec x) {
  return power_of_two(fma(x, broadcast(kLog2E), broadcast(kRoundBiased)));
}

/// x - n ln 2.
DIABOLO_INLINE Vec remainder_of_ln2(Vec x, Vec n) {
  return fma(n, broadcast(-kLn2Low), fma(n, broadcast(-kLn2High), x));
}

/// The same but for n 2^-29, which is enough where n is small or e^x counts only beside 1.
DIABOLO_INLINE Vec rough_remainder_of_ln2(Vec x, Vec n) { return fma(n, broadcast(-kLn2), x); }

/// -|x|, but at least -88, of which exp_of_nonpositive makes 0.
DIABOLO_INLINE Vec bounded_minus_abs(Vec x) { return max(broadcast(-88.0f), minus_abs(x)); }

/// e^x, -88 <= x <= 0. Below 2^-126: the denormal or 0.
DIABOLO_INLINE Vec exp_of_nonpositive(Vec x) {
  const PowerOfTwo two = power_of_two_near_exp(x);
  return exp_near_zero(remainder_of_ln2(x, two.n)) * two.power;
}

/// 2^v, -127 <= v <= 0, of which -127 gives 0.
DIABOLO_INLINE Vec exp2_of_nonpositive(Vec v) {
  const PowerOfTwo two = power_of_two(v + kRoundBiased);
  return exp2_near_zero(v - two.n) * two.power;
}

// -------------------------------------------------------------------------------------- elementary functions

/// e^x = 2^n e^r with n the integer nearest to x / ln 2, r = x - n ln 2. 2^n goes straight to the exponent's
/// bits, for n = 128 has no float of its own. Below 2^-126: 0.
DIABOLO_INLINE Vec exp(Vec x) {
  const Vec rounded = fma(x, broadcast(kLog2E), broadcast(kRound));
  const Vec r = remainder_of_ln2(x, rounded - kRound);
  const Vec scaled = (Vec)((VecU)exp_near_zero(r) + ((VecU)rounded << 23));
  const Vec flushed = select(x > broadcast(kLogSmallestNormal), scaled, Vec{});
  return select(x < broadcast(kLogInfinity), flushed, x + kInfinity);
}

/// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), halved until the end so that 2^128 fits. Below 2^-24: x itself.
DIABOLO_INLINE Vec expm1(Vec x) {
  const Vec bounded = max(broadcast(-30.0f), min(broadcast(kLogInfinity), x));
  const Vec biased = fma(bounded, broadcast(kLog2E), broadcast(kRoundBiased - 1.0f));
  const Vec r = remainder_of_ln2(bounded, biased - (kRoundBiased - 1.0f));
  const Vec half_power = from_bits(bits_of(biased) << 23);
  const Vec half = fma(half_power, expm1_near_zero(r), half_power - 0.5f);
  return select(abs(x) < broadcast(0x1p-24f), x, half + half);
}

/// 2^23 n as an integer, n such that 3/4 <= 2^-n x < 3/2: subtracting it from a float's bits divides by 2^n.
DIABOLO_INLINE VecU exponent_bits(Vec x) { return ((VecU)x - 0x3f400000u) & ~0x7fffffu; }

/// n ln 2 + log(1 + f), from 2^23 n.
DIABOLO_INLINE Vec log_of_scaled(VecU exponent, Vec f) {
  return fma(__builtin_convertvector((VecI)exponent, Vec), broadcast(0x1p-23f * kLn2), log1p_near_zero(f));
}

/// x = 2^n (1 + f) with f in [-1/4, 1/2): log x = n ln 2 + log(1 + f).
DIABOLO_INLINE Vec log(Vec x) {
  const VecU exponent = exponent_bits(x);
  const Vec finite = log_of_scaled(exponent, (Vec)((VecU)x - exponent) - 1.0f);
  const Vec positive = select(x < broadcast(kInfinity), finite, x);
  const Vec nonpositive = select(abs(x) < broadcast(kSmallestNormal), broadcast(-kInfinity), broadcast(kNaN));
  return select(x < broadcast(kSmallestNormal), nonpositive, positive);
}

/// 1 + x = 2^n (1 + f) with f = 2^-n x + (2^-n - 1) in [-1/4, 1/2]: log(1 + x) = n ln 2 + log(1 + f). The
/// rounding of 1 + x only chooses n. Below 2^-24: x itself.
DIABOLO_INLINE Vec log1p(Vec x) {
  const VecU exponent = exponent_bits(1.0f + x);
  const Vec four_over_power = (Vec)(0x40800000u - exponent);
  const Vec f = (Vec)((VecU)x - exponent) + fma(four_over_power, broadcast(0.25f), broadcast(-1.0f));
  const Vec above = select(x < broadcast(kInfinity), log_of_scaled(exponent, f), x);
  const Vec below = select(x == broadcast(-1.0f), broadcast(-kInfinity), broadcast(kNaN));
  return select(abs(x) < broadcast(0x1p-24f), x, select(x <= broadcast(-1.0f), below, above));
}

/// tanh a = (1 - E) / (1 + E), E = e^(-2a) = 2^n + 2^n (e^r - 1), a = |x|; 1 from a = 9.02.
DIABOLO_INLINE Vec tanh(Vec x) {
  const Vec minus_2a = max(broadcast(-20.0f), minus_abs(x + x));
  const PowerOfTwo two = power_of_two_near_exp(minus_2a);
  const Vec p = expm1_near_zero(rough_remainder_of_ln2(minus_2a, two.n));
  return with_sign_of(fma(-two.power, p, 1.0f - two.power) / fma(two.power, p, 1.0f + two.power), x);
}

/// With e = e^-|x|: s = m / (1 + e), m = 1 for x >= 0, e below; s = m - e s then sheds the rounding of 1 + e.
DIABOLO_INLINE Vec sigmoid(Vec x) {
  const Vec e = exp_of_nonpositive(bounded_minus_abs(x));
  const Vec m = select(x < Vec{}, e, broadcast(1.0f));
  return fma(-e, m / (1.0f + e), m);
}

/// erf a = 1 - 2^-y(a), y = -log2(erfc a), a = |x|; y/a of degree 8 in a on [0, 3.95], whose error is 2^-27.3
/// of erf.
DIABOLO_INLINE Vec erf(Vec x) {
  const Vec a = min(broadcast(3.95f), abs(x));
  const Vec q = polynomial(a, -0x1.d63ebcp-1f, -0x1.2fada8p-3f, 0x1.c4fdc4p-6f, 0x1.9740a4p-13f,
                           -0x1.35713cp-9f, 0x1.cffd6p-11f, -0x1.512bbp-13f, 0x1.9a4f9ep-17f);
  const Vec minus_y = fma(a, broadcast(-0x1.a0be84p+0f), a * a * q);
  const PowerOfTwo two = power_of_two(minus_y + kRoundBiased);
  return with_sign_of(fma(-two.power, exp2m1_near_zero(minus_y - two.n), 1.0f - two.power), x);
}

// ------------------------------------------------------------------------------------------ activations

struct SigmoidAndSoftplus {
  Vec sigmoid;
  Vec softplus_of_minus_abs;
};

/// sigmoid(x) and log(1 + e), e = e^-|x|, from one exponential: what the cross entropy of a logit and its
/// gradient need. Each within 3 ulp for |x| <= 40, 5 beyond.
DIABOLO_INLINE SigmoidAndSoftplus sigmoid_and_softplus(Vec x) {
  const Vec minus_a = bounded_minus_abs(x);
  const PowerOfTwo two = power_of_two_near_exp(minus_a);
  const Vec e = exp_near_zero(rough_remainder_of_ln2(minus_a, two.n)) * two.power;
  return {select(x < Vec{}, e, broadcast(1.0f)) / (1.0f + e), e * log1p_ratio(e)};
}

/// log(1 + e^x) = max(x, 0) + log(1 + e), e = e^-|x|. Within 3 ulp.
DIABOLO_INLINE Vec softplus(Vec x) {
  const Vec e = exp_of_nonpositive(bounded_minus_abs(x));
  return fma(e, log1p_ratio(e), max(Vec{}, x));
}

/// x above 0, e^x - 1 below. Within 1 ulp.
DIABOLO_INLINE Vec elu(Vec x) {
  const Vec bounded = max(broadcast(-30.0f), x);
  const PowerOfTwo two = power_of_two_near_exp(bounded);
  const Vec p = expm1_near_zero(rough_remainder_of_ln2(bounded, two.n));
  return select(x < Vec{}, fma(two.power, p, two.power - 1.0f), x);
}

/// x sigmoid(x) = max(x, 0) - a w, a = |x|, w = sigmoid(-a). Within 4 ulp down to -87, where |silu| is
/// 2^-119; from there to 0.
DIABOLO_INLINE Vec silu(Vec x) {
  const Vec minus_a = bounded_minus_abs(x);
  const Vec e = exp_of_nonpositive(minus_a);
  return fma(minus_a, e / (1.0f + e), max(Vec{}, x));
}

/// s + x s (1 - s), s = sigmoid(x), is d = w - a w (1 - w) at x = -a and 1 - d at x = a, w = sigmoid(-a).
/// Within 4 ulp from -1/2 up; below, past the zero at -1.28, within 2^-23.
DIABOLO_INLINE Vec silu_derivative(Vec x) {
  const Vec minus_a = bounded_minus_abs(x);
  const Vec e = exp_of_nonpositive(minus_a);
  const Vec w = e / (1.0f + e);
  const Vec d = w * fma(minus_a, 1.0f - w, broadcast(1.0f));
  return select(x < Vec{}, d, 1.0f - d);
}

/// x Phi(x) = max(x, 0) - a Phi(-a), a = |x|, Phi the normal distribution. Phi(-a) = 2^(-a (alpha + beta a))
/// S(a): with alpha and beta chosen for it, a polynomial S of degree 8 is enough for an error of Phi(-a)
/// below 2^-26.6 Phi(-a)^0.65, up to a = 12.37 where the power becomes 0. Within 4 ulp from -1 up; below,
/// within 2^-24 (and relatively within 2^-18 down to -5, 2^-9 down to -8).
DIABOLO_INLINE Vec gelu(Vec x) {
  const Vec a = min(broadcast(12.37f), abs(x));
  const Vec power = exp2_of_nonpositive(a * polynomial(a, -0x1.cf92e6p+0f, -0x1.5deac4p-1f));
  const Vec s = polynomial(a, 0.5f, 0x1.d44432p-3f, 0x1.0a324p-3f, 0x1.9f7238p-6f, 0x1.2a4fap-7f,
                           0x1.1cbfdcp-11f, 0x1.409856p-12f, -0x1.f7c52ap-18f, 0x1.0b6ccap-18f);
  return fma(-a * power, s, max(Vec{}, x));
}

/// Phi(x) + x phi(x), phi the normal density, is d = Phi(-a) - a phi(a) at x = -a and 1 - d at x = a. As
/// above d = 2^(-a (alpha + beta a)) S(a), S of degree 8, error below 2^-25.4. Within 4 ulp from -1/4 up;
/// below, past the zero at -0.75, within 2^-23.
DIABOLO_INLINE Vec gelu_derivative(Vec x) {
  const Vec a = min(broadcast(12.79f), abs(x));
  const Vec power = exp2_of_nonpositive(a * polynomial(a, -0x1.41b952p+0f, -0x1.5b0ceap-1f));
  const Vec s = polynomial(a, 0.5f, -0x1.73076cp-2f, -0x1.14eacp-2f, -0x1.36fffp-3f, -0x1.b42d12p-6f,
                           -0x1.d41334p-8f, -0x1.cbc566p-18f, -0x1.cb34b6p-14f, 0x1.787be8p-17f);
  const Vec d = power * s;
  return select(x < Vec{}, d, 1.0f - d);
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
