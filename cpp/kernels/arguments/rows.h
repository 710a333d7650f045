// What is done with whole rows: missing values, grouped softmax, differences.
#pragma once

#include "base/matrix.h"
#include "kernels/arguments/loss.h"

namespace diabolo::kernels {

/// Where x is NaN, nothing was observed: x becomes 0, and the weight of the element's loss too. That of the
/// others is 1, or with `rescale` features / (how many of the row were observed), so that a row's loss is the
/// mean over these; a group of columns is one feature. In a row without any, all weights are NaN: its loss is
/// unknown.
struct MaskMissing {
  MatrixView<float> x;        // (rows, columns), changed in place
  MatrixView<float> weights;  // (rows, columns)
  bool rescale = true;
  Index features = 0;             // columns, a group counting as one
  const Range* groups = nullptr;  // (group_count), each observed or not as a whole
  Index group_count = 0;
};

/// Of each row, y_j = e^z_j / sum of e^z over the columns of j's group; columns of no group pass as they are.
/// With a loss that joins columns, also that loss and its gradient at z, where nothing overflows: with
/// targets t, weights w, a = w t,
///   categorical_crossentropy  sum over a group of -a log y;  gradient  y sum a - a
///   kl_divergence             the same, plus a log t;        the same gradient
/// and (z - t)^2 in a column of no group. Other losses are those of y, without a gradient.
struct GroupedSoftmax {
  MatrixView<const float> z;      // (rows, columns)
  const Range* groups = nullptr;  // consecutive columns each, in ascending order
  Index group_count = 0;
  MatrixView<float> y;  // (rows, columns); data null: not wanted
  const LossEpilogue* loss = nullptr;
};

/// out = scale w (a - b), w the weight of the row
struct ScaledDifference {
  MatrixView<const float> a;  // (rows, units), and so the others
  MatrixView<const float> b;
  float scale = 1.0f;
  const float* row_weights = nullptr;  // (rows); null: all 1
  MatrixView<float> out;
};

}  // namespace diabolo::kernels
