// See scalar_math.h.
#include "base/scalar_math.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace diabolo {

double portable_log(double x) {
  // x = m 2^e with m in [sqrt(1/2), sqrt(2));  log x = e log 2 + 2 atanh(s), s = (m - 1) / (m + 1), |s| <
  // 0.172.
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double t = s * s;
  double series = 0.0;  // sum over k of t^k / (2k + 1); the first term left out is below 1e-16
  for (int k = 10; k >= 1; --k) series = (series + 1.0 / (2 * k + 1)) * t;
  // log 2 in two parts, the first short enough that its product with the exponent is exact.
  constexpr double log2_high = 0x1.62e42feep-1;
  constexpr double log2_low = 0x1.a39ef35793c76p-33;
  return exponent * log2_high + (2.0 * s + (2.0 * s * series + exponent * log2_low));
}

double portable_exp(double x) {
  if (!(x >= -708.0)) return x < 0.0 ? 0.0 : x;  // NaN stays
  // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, the first short enough for an exact product with n.
  const double n = std::nearbyint(x * 0x1.71547652b82fep+0);
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  double sum = 0.0;
  for (int k = 13; k >= 1; --k) sum = (1.0 + sum) * r / k;  // Taylor's series, from its end
  const auto exponent = static_cast<std::uint64_t>(static_cast<std::int64_t>(n) + 1023) << 52;
  return (1.0 + sum) * std::bit_cast<double>(exponent);
}

double portable_cos_pi(double x) {
  // cos(pi x) = sin(pi (1/2 - x)), an odd function summed by its Taylor series on |pi (1/2 - x)| <= pi / 2.
  const double a = 3.14159265358979323846 * (0.5 - x);
  const double t = a * a;
  double series = 1.0;
  for (int k = 11; k >= 1; --k) series = 1.0 - series * t / ((2.0 * k) * (2.0 * k + 1.0));
  return a * series;
}

double portable_power(double base, long long exponent) {
  double power = 1.0;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) power *= base;
  }
  return power;
}

}  // namespace diabolo
