// Gradients of weights and vectors, unit by unit, and what is done with them.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/products.h"
#include "kernels/arguments/sparse.h"
#include "kernels/arguments/update_rule.h"

namespace diabolo::kernels {

/// One summand of a weight gradient: a^T b over the rows of the slab, of floats or of pairs along them (of
/// which `a` was made as a left factor, see PackPairs).
struct GradientTerm {
  MatrixView<const float> a;  // (rows, inputs of the weight)
  MatrixView<const float> b;  // (rows, outputs of the weight)
  SparseView sparse_a{};      // in place of a
};

/// What happens to a finished gradient.
enum class GradientUse : std::uint8_t {
  store,   // write it (penalties included when `penalize`) to `gradient`
  update,  // apply the rule to weights, moments and the packed copy on the spot
};

/// One unit of the weights phase: rows [row, row + 48) by one panel of a weight and its moments. The gradient
/// is the sum of the terms and, where there are `unit_factors`, of the weights themselves, column j times the
/// sum of unit_factors' column j over the rows.
struct DenseWeightGradient {
  const GradientTerm* terms = nullptr;
  int term_count = 0;
  MatrixView<const float> unit_factors;  // (rows, outputs); data null: none
  const SparseTerm* sparse_terms = nullptr;
  int sparse_count = 0;
  bool touched_only = false;  // update only rows or columns that have a gradient (adam, without penalties)
  std::int32_t* hints = nullptr;  // (rows), sparse terms only: places where reading may go on
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;     // of the panels
  Index unit_row = 0;  // first row of the unit, a multiple of kUnitRows
  Index panel = 0;
  float* weights = nullptr;  // panels of W
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  WeightCopies copies;
  float* gradient = nullptr;  // panels like W: sums of earlier slabs, or the store's destination
  bool add_stored = false;    // begin from what `gradient` holds
  bool last = true;           // false: more slabs follow, only store the running sum
  GradientUse use = GradientUse::update;
  const UpdateRule* rule = nullptr;
  // Per 16 x 16 block of W, (ceil(inputs/16), ceil(outputs/16)) or null. Fixed blocks: the same on every
  // machine.
  float* penalty_sums = nullptr;  // l1 |w| + l2 w^2 before the update
  float* square_sums = nullptr;   // of the stored gradient, for its norm
};

/// A vector parameter (bias, slope): its gradient is the column sum of `terms` (rows, units).
struct VectorGradient {
  MatrixView<const float> terms;
  Range columns;  // a multiple of 16 at both ends (the end may reach into the padding)
  Index units = 0;
  float* weights = nullptr;  // (units), padded
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  float* gradient = nullptr;
  bool add_stored = false;
  bool last = true;
  GradientUse use = GradientUse::update;
  const UpdateRule* rule = nullptr;
  float* square_sums = nullptr;  // (ceil(units/16))
};

/// The update alone, from a gradient stored earlier (and clipped by rule->clip): one unit or one range of
/// columns.
struct StoredUpdate {
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;
  Index unit_row = 0;
  Index panel = 0;
  float* weights = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  WeightCopies copies;
  const float* gradient = nullptr;
  const UpdateRule* rule = nullptr;
  TouchedUnits touched;  // whose rows or columns alone are updated (adam)
};

}  // namespace diabolo::kernels
