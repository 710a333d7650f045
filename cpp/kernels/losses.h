// Loss of one element and its gradient at the output; binary cross-entropy at the pre-activation instead,
// where it is exact and cannot overflow. Sums, scaling and the chain rule are the epilogue's business.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

struct LossAndGradient {
  Vec loss;
  Vec gradient;
};

/// (y - t)^2
struct SquaredError {
  DIABOLO_INLINE LossAndGradient operator()(Vec y, Vec t) const {
    const Vec d = y - t;
    return {d * d, d + d};
  }
};

/// |y - t|, gradient 0 at 0
struct AbsoluteError {
  DIABOLO_INLINE LossAndGradient operator()(Vec y, Vec t) const {
    const Vec d = y - t;
    // Not a sign bit: a NaN must stay one.
    const Vec sign = select(d > 0.0f, broadcast(1.0f), select(d < 0.0f, broadcast(-1.0f), d * 0.0f));
    return {abs(d), sign};
  }
};

/// d^2 / 2 for |d| <= 1, else |d| - 1/2, d = y - t (Huber 1964, delta = 1)
struct HuberError {
  DIABOLO_INLINE LossAndGradient operator()(Vec y, Vec t) const {
    const Vec d = y - t;
    const Vec size = abs(d);
    const VecI inside = size <= 1.0f;
    return {select(inside, 0.5f * d * d, size - 0.5f),
            select(inside, d, with_sign_of(select(size > 1.0f, broadcast(1.0f), size), d))};
  }
};

/// max(0, 1 - t y), gradient -t where that is positive; NaN stays NaN
struct HingeError {
  DIABOLO_INLINE LossAndGradient operator()(Vec y, Vec t) const {
    const Vec margin = fma(-t, y, broadcast(1.0f));
    const VecI met = margin <= 0.0f;
    return {select(met, Vec{}, margin), select(met, Vec{}, -t)};
  }
};

/// At the pre-activation z of a sigmoid output:  max(z, 0) - z t + log(1 + e^-|z|),  gradient sigmoid(z) - t
struct BinaryCrossEntropy {
  DIABOLO_INLINE LossAndGradient operator()(Vec z, Vec t) const {
    const SigmoidAndSoftplus s = sigmoid_and_softplus(z);
    const Vec positive = select(z < 0.0f, Vec{}, z);
    return {fma(-z, t, positive) + s.softplus_of_minus_abs, s.sigmoid - t};
  }
};

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
