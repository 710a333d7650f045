// The few double-precision functions that initial weights and schedules need, in fixed-order arithmetic:
// libm's last bit differs between machines, and these numbers are on the path of the weights.
#pragma once

namespace diabolo {

/// Natural logarithm of a positive normal number, relative error below 1e-15.
[[nodiscard]] double portable_log(double x);

/// e^x for x <= 709, relative error below 1e-15; 0 below -708, where the result would be no normal number.
[[nodiscard]] double portable_exp(double x);

/// cos(pi x) for 0 <= x <= 1, absolute error below 1e-15.
[[nodiscard]] double portable_cos_pi(double x);

/// base^exponent by repeated squaring.
[[nodiscard]] double portable_power(double base, long long exponent);

}  // namespace diabolo
