// The forms of products, and the products of a dense layer with its weights in panels.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/activation.h"
#include "kernels/arguments/loss.h"
#include "kernels/arguments/sparse.h"

namespace diabolo::kernels {

/// How the factors of a product are rounded before they are multiplied; sums are float32 always.
///   bfloat16     to 8 bits each
///   bfloat16_3x  each number x is split in two, high = bfloat16(x) and low = bfloat16(x - high), and of the
///                four products that of the two low parts is left out (the sums over high high, high low and
///                low high follow one another)
/// In both, two neighbours along the sum form a *pair* in the 32 bits of a float, the first in the low half.
/// A matrix of pairs is half as long along the sum, zeros after an odd end, and is otherwise handled as one
/// of floats is.
enum class Products : std::uint8_t { float32, bfloat16_3x, bfloat16 };

/// What a product takes where `n` floats are summed over: floats, or pairs.
[[nodiscard]] constexpr Index terms_of(Index n, Products products) {
  return products == Products::float32 ? n : (n + 1) / 2;
}

/// A weight matrix W (inputs, outputs) in panels: [ceil(outputs / width)][inputs][width], zeros beyond
/// `outputs`. Of pairs there are half as many inputs.
struct Panels {
  const float* data = nullptr;
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;
  const float* low = nullptr;  // bfloat16_3x only: the low parts

  [[nodiscard]] Index count() const { return (outputs + width - 1) / width; }
};

/// A matrix of floats as pairs along its rows or its columns, as far as their data is not null:
///   along_columns  (rows, ceil(cols / 2)): (r, 2 c), (r, 2 c + 1)
///   along_rows     (ceil(rows / 2), cols): (2 r, c), (2 r + 1, c)
/// The low parts are wanted all or none.
struct PackPairs {
  MatrixView<const float> x;
  // Pairs along the rows as the left factor of a weight gradient: a tile unit wants it turned. Of the whole
  // matrix, of which x's first row is number `first_row`, each block of 16 rows of pairs by 16 columns then
  // lies transposed in its place; there are whole blocks of rows, and workers may share one.
  bool left = false;
  Index first_row = 0;  // even
  MatrixView<float> along_columns;
  MatrixView<float> along_rows;
  MatrixView<float> along_columns_low;
  MatrixView<float> along_rows_low;
};

/// Copies of a weight W (inputs, outputs) that follow every change of it: what the products read.
struct WeightCopies {
  Products products = Products::float32;
  float* forward = nullptr;     // panels of W in pairs; null for float32, which reads W itself
  float* transposed = nullptr;  // panels of W^T, floats or pairs; null: nobody reads them
  Index transposed_width = 0;
  float* forward_low = nullptr;  // bfloat16_3x only
  float* transposed_low = nullptr;
};

/// y = f(x W + b) over all rows and the panels [first, last).
struct DenseForward {
  Products products = Products::float32;
  MatrixView<const float> x;      // (rows, inputs), floats or pairs, as the weights
  MatrixView<const float> x_low;  // bfloat16_3x only
  SparseRows sparse_x;            // instead of x, if there is one, in float32
  SparseView stored_x{};          // (rows, inputs), in place of x: products of floats
  Panels weights;                 // (inputs, outputs)
  Range panels;                   // which of them
  const float* bias = nullptr;    // (outputs), padded to whole panels with zeros
  const float* slope = nullptr;   // (outputs), prelu only, padded likewise
  Activation activation = Activation::identity;
  MatrixView<float> preactivation;  // (rows, outputs); data null: not kept
  MatrixView<float> y;              // (rows, outputs); data null: not kept
  const LossEpilogue* loss = nullptr;
};

/// The layer below receives dL/dz_below = (delta W^T) * f'_below over all rows and the panels [first, last)
/// of W^T.
struct DenseInputGradient {
  Products products = Products::float32;
  MatrixView<const float> delta;      // (rows, outputs), floats or pairs, as the weights
  MatrixView<const float> delta_low;  // bfloat16_3x only
  SparseRows sparse_delta;            // instead of delta, if there is one, in float32
  Panels transposed;                  // W^T (outputs, inputs)
  Range panels;
  ActivationGradient below;
};

/// delta . row of W (units, outputs), for the k units of each row of the batch.
struct SparseDots {
  MatrixView<const float> delta;  // (rows, outputs)
  Panels weights;
  SparseRows sparse;       // which units
  MatrixView<float> dots;  // (rows, k)
};

}  // namespace diabolo::kernels
