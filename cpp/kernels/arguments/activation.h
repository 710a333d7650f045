// Activations, and the chain rule through them.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels {

enum class Activation : std::uint8_t {
  identity,
  sigmoid,
  tanh,
  relu,
  leaky_relu,
  elu,
  prelu,
  gelu,
  silu,
  softplus,
};

/// Negative slope of leaky_relu (as PyTorch's default).
inline constexpr float kLeakySlope = 0.01f;

/// Whether an activation's derivative reads its pre-activation (else its output).
[[nodiscard]] constexpr bool derivative_reads_preactivation(Activation a) {
  return a == Activation::prelu || a == Activation::gelu || a == Activation::silu ||
         a == Activation::softplus;
}

/// How dL/dy of a layer becomes dL/dz, z its pre-activation: multiply by f'(z).
struct ActivationGradient {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;   // (rows, units): output or pre-activation, as the activation declares
  const float* slope = nullptr;   // (units), prelu only
  MatrixView<float> delta;        // (rows, units): dL/dz goes here
  MatrixView<float> slope_terms;  // (rows, units): dL/dy * min(z, 0), prelu only
};

/// dL/dz = dL/dy f'(z) for all rows of a gradient that no product has just made.
struct ChainRule {
  MatrixView<const float> gradient;  // (rows, units): dL/dy
  ActivationGradient below;
};

}  // namespace diabolo::kernels
