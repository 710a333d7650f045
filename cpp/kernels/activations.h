// Activations and their derivatives as vector functions, and the one place that turns an Activation into
// code.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

// value(z, slope) is f(z); derivative(kept, slope) is f'(z) and second_derivative(kept) is f''(z), from the
// output or the pre-activation as derivative_reads_preactivation() says. Only prelu reads its slope. At kinks
// the second derivative is taken to be 0.

struct Identity {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return z; }
  static DIABOLO_INLINE Vec derivative(Vec, Vec) { return broadcast(1.0f); }
  static DIABOLO_INLINE Vec second_derivative(Vec) { return Vec{}; }
};
struct Sigmoid {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return sigmoid(z); }
  static DIABOLO_INLINE Vec derivative(Vec y, Vec) { return y * (1.0f - y); }
  static DIABOLO_INLINE Vec second_derivative(Vec y) { return y * (1.0f - y) * (1.0f - (y + y)); }
};
struct Tanh {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return tanh(z); }
  static DIABOLO_INLINE Vec derivative(Vec y, Vec) { return fma(-y, y, broadcast(1.0f)); }
  static DIABOLO_INLINE Vec second_derivative(Vec y) { return -2.0f * y * fma(-y, y, broadcast(1.0f)); }
};
// The comparisons are written so that NaN, which fails every one, comes through.
struct Relu {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return select(z < 0.0f, Vec{}, z); }
  static DIABOLO_INLINE Vec derivative(Vec y, Vec) { return select(y > 0.0f, broadcast(1.0f), Vec{}); }
  static DIABOLO_INLINE Vec second_derivative(Vec) { return Vec{}; }
};
struct LeakyRelu {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return select(z < 0.0f, kLeakySlope * z, z); }
  static DIABOLO_INLINE Vec derivative(Vec y, Vec) {
    return select(y > 0.0f, broadcast(1.0f), broadcast(kLeakySlope));
  }
  static DIABOLO_INLINE Vec second_derivative(Vec) { return Vec{}; }
};
struct Elu {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return elu(z); }
  static DIABOLO_INLINE Vec derivative(Vec y, Vec) { return select(y > 0.0f, broadcast(1.0f), y + 1.0f); }
  static DIABOLO_INLINE Vec second_derivative(Vec y) { return select(y > 0.0f, Vec{}, y + 1.0f); }
};
struct Prelu {
  static DIABOLO_INLINE Vec value(Vec z, Vec slope) { return select(z > 0.0f, z, slope * z); }
  static DIABOLO_INLINE Vec derivative(Vec z, Vec slope) { return select(z > 0.0f, broadcast(1.0f), slope); }
  static DIABOLO_INLINE Vec second_derivative(Vec) { return Vec{}; }
};
struct Gelu {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return gelu(z); }
  static DIABOLO_INLINE Vec derivative(Vec z, Vec) { return gelu_derivative(z); }
  // phi(z) (2 - z^2), phi the normal density
  static DIABOLO_INLINE Vec second_derivative(Vec z) {
    const Vec a = min(broadcast(14.0f), abs(z));  // beyond, the density is 0
    const Vec square = a * a;
    return 0.398942280f * exp(-0.5f * square) * (2.0f - square);
  }
};
struct Silu {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return silu(z); }
  static DIABOLO_INLINE Vec derivative(Vec z, Vec) { return silu_derivative(z); }
  // s (1 - s) (2 + z (1 - 2 s)), s = sigmoid(z)
  static DIABOLO_INLINE Vec second_derivative(Vec z) {
    const Vec s = sigmoid(z);
    return s * (1.0f - s) * fma(z, 1.0f - (s + s), broadcast(2.0f));
  }
};
struct Softplus {
  static DIABOLO_INLINE Vec value(Vec z, Vec) { return softplus(z); }
  static DIABOLO_INLINE Vec derivative(Vec z, Vec) { return sigmoid(z); }
  static DIABOLO_INLINE Vec second_derivative(Vec z) {
    const Vec s = sigmoid(z);
    return s * (1.0f - s);
  }
};

/// Calls `work` with the functions of an activation: once per tile, where it costs nothing.
template <class Work>
DIABOLO_INLINE void with_activation(Activation activation, const Work& work) {
  switch (activation) {
    case Activation::identity: return work(Identity{});
    case Activation::sigmoid: return work(Sigmoid{});
    case Activation::tanh: return work(Tanh{});
    case Activation::relu: return work(Relu{});
    case Activation::leaky_relu: return work(LeakyRelu{});
    case Activation::elu: return work(Elu{});
    case Activation::prelu: return work(Prelu{});
    case Activation::gelu: return work(Gelu{});
    case Activation::silu: return work(Silu{});
    case Activation::softplus: return work(Softplus{});
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
