// Normalization by moments of columns, and its gradients.
#pragma once

#include "base/matrix.h"
#include "kernels/arguments/activation.h"

namespace diabolo::kernels {

/// Mean and variance (of the population) of columns over all rows, which count by weights of mean 1.
struct ColumnMoments {
  MatrixView<const float> x;           // (rows, units)
  const float* row_weights = nullptr;  // (rows); null: all 1
  Range columns;                       // a multiple of 16 at both ends
  float* mean = nullptr;               // (units), padded
  float* variance = nullptr;
};

/// n = (x - mean) / sqrt(variance + epsilon);  z = scale n + shift (Ioffe & Szegedy 2015).
struct Normalization {
  const float* mean = nullptr;  // (units), padded, as the next two
  const float* variance = nullptr;
  const float* scale = nullptr;
  float epsilon = 0.0f;
};

struct Normalize {
  Normalization by;
  MatrixView<const float> x;     // (rows, units)
  const float* shift = nullptr;  // (units), padded
  const float* slope = nullptr;  // (units), prelu only
  Activation activation = Activation::identity;
  MatrixView<float> preactivation;  // (rows, units): z; data null: not kept
  MatrixView<float> y;              // (rows, units): f(z)
};

/// terms = delta n: their column sums are the gradient of the scale.
struct ScaleTerms {
  Normalization by;
  MatrixView<const float> x;      // (rows, units)
  MatrixView<const float> delta;  // (rows, units): dL/dz
  MatrixView<float> terms;        // (rows, units)
};

/// dL/dx = scale / sqrt(variance + epsilon) (delta - share w (sum of delta + n sum of terms)), the sums being
/// over all rows of the batch and w the row's weight; then the chain rule. Without sums, mean and variance
/// are constants.
struct NormalizeGradient {
  Normalization by;
  MatrixView<const float> x;          // (rows, units)
  MatrixView<const float> delta;      // (rows, units): dL/dz
  const float* delta_sums = nullptr;  // (units), padded
  const float* term_sums = nullptr;
  float share = 0.0f;                  // 1 / rows of the batch
  const float* row_weights = nullptr;  // (rows); null: all 1
  MatrixView<float> gradient;          // (rows, units): dL/dx
  ActivationGradient below;
};

}  // namespace diabolo::kernels
