// Losses, and what the last layer's products do with theirs.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels {

/// gaussian is minus the logarithm of a density: its variance is a parameter of the last layer. The last two
/// join the columns of a group, and belong to a softmax.
enum class Loss : std::uint8_t {
  mse,
  mae,
  huber,
  binary_crossentropy,
  gaussian,
  hinge,
  categorical_crossentropy,
  kl_divergence,
};

/// Whether a loss is one of groups of columns, whose terms are fewer than the columns.
[[nodiscard]] constexpr bool joins_columns(Loss loss) {
  return loss == Loss::categorical_crossentropy || loss == Loss::kl_divergence;
}

/// Log-variances are parameterised as s = 10 tanh(v / 10): e^s lies between 4.5e-5 and 2.2e4 whatever v.
inline constexpr float kLogVarianceBound = 10.0f;

/// How much a row counts where weights may be given: a factor of 1 changes no bit.
[[nodiscard]] constexpr float weight_of_row(const float* row_weights, Index row) {
  return row_weights == nullptr ? 1.0f : row_weights[row];
}

/// The loss of the last layer, taken while its tile is at hand. `delta` receives the gradient of
/// scale * sum over features of the loss, at the pre-activation.
struct LossEpilogue {
  Loss loss = Loss::mse;
  MatrixView<const float> target;      // (rows, outputs)
  MatrixView<const float> weights;     // (rows, outputs): factors of the elements' losses; data null: all 1
  float scale = 1.0f;                  // of the gradient: 1 / (rows of the batch * features)
  const float* row_weights = nullptr;  // (rows): more factors of the gradient, of mean 1; null: all 1
  float* lanes = nullptr;         // (rows, 16): running sums of the loss; feature j adds to lane j mod 16
  MatrixView<float> delta;        // (rows, outputs); data null: no gradient wanted
  MatrixView<float> slope_terms;  // (rows, outputs), prelu only: dL/dy * min(z, 0)
  const std::int32_t* classes =
      nullptr;                          // (rows), in the target's place: of a single group, which column is 1
  const float* log_variance = nullptr;  // (outputs), padded, gaussian only: v of each output
  MatrixView<float> variance_terms;     // (rows, outputs), gaussian only: dL/dv; data null: not wanted
  SparseView sparse_target{};           // (rows, outputs), in place of target and weights
  std::int32_t* hints = nullptr;        // (rows), sparse target only: places where reading may go on
  // (rows), sparse target only: factors of the stored elements' losses, the others' being 0; null: all 1
  const float* stored_weights = nullptr;
};

}  // namespace diabolo::kernels
