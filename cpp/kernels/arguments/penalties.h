// Penalties on activity and on the Jacobian, the choice of the greatest, and their gradients.
#pragma once

#include "base/matrix.h"
#include "kernels/arguments/activation.h"

namespace diabolo::kernels {

/// Penalties on a layer's outputs y: delta += row weight * (l1 sign(y) + unit_gradient), then the chain rule.
struct ActivityGradient {
  MatrixView<const float> y;  // (rows, units)
  float l1 = 0.0f;
  const float* row_weights = nullptr;    // (rows); null: all 1
  const float* unit_gradient = nullptr;  // (units), padded; null: none
  MatrixView<float> delta;               // (rows, units): dL/dy, changed in place
  ActivationGradient below;
};

/// The gradient of the elements that top_k kept: delta where y is not 0, then the chain rule. (An element
/// that was kept and is 0 gets none: at 0 it is a matter of taste.)
struct TopKGradient {
  MatrixView<const float> y;  // (rows, units)
  MatrixView<float> delta;    // (rows, units): dL/dy, changed in place
  ActivationGradient below;
};

/// The squared Frobenius norm of the Jacobian of y = f(x W + b), one layer, row by row:
///   sum over units of f'(z)^2 n,  n the squared norm of the unit's weights  (Rifai et al. 2011)
/// and its gradients, each times `scale`, unless `direct` is null:
///   direct        2 f'(z) f''(z) n       in z; for prelu, whose f'' is 0, 2 f'(z) n where z <= 0, in the
///   slope unit_factors  2 f'(z)^2              times the weights: in the weights
struct JacobianNorm {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units): output or pre-activation, as the activation declares
  const float* slope = nullptr;  // (units), prelu only
  const float* squared_norms = nullptr;  // (units), padded
  float scale = 1.0f;
  const float* row_weights = nullptr;  // (rows): more factors of the gradients; null: all 1
  MatrixView<float> norms;             // (rows, 1): without either
  MatrixView<float> direct;
  MatrixView<float> unit_factors;
};

/// A direction of the input on its way through a layer:  tangent = f'(z) product,  where the product is that
/// of the tangent below with the weights.
struct TangentForward {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units)
  const float* slope = nullptr;  // (units), prelu only
  MatrixView<const float> product;
  MatrixView<float> tangent;
};

/// The way back: a gradient in the tangent becomes one in the product, in place, and what the layer's own
/// pre-activation has of it takes the product's place:
///   product  gradient product f''(z);  for prelu gradient product where z <= 0, in the slope
///   gradient gradient f'(z)
struct TangentBackward {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units)
  const float* slope = nullptr;  // (units), prelu only
  MatrixView<float> gradient;
  MatrixView<float> product;
};

}  // namespace diabolo::kernels
