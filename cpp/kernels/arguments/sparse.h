// Matrices of few elements, and the products that touch those alone.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels {

/// A matrix with k elements in each row, by rows: columns (rows, k), ascending in each row, and values.
struct SparseRows {
  const std::int32_t* columns = nullptr;  // null: there is none
  MatrixView<const float> values;         // (rows, k)
};

/// The same matrix by columns: the elements e in [starts[c], starts[c + 1]) of column c lie in the row
/// rows[e], ascending, and have the value values[places[e]].
struct SparseColumns {
  const std::int32_t* starts = nullptr;
  const std::int32_t* rows = nullptr;
  const std::int32_t* places = nullptr;
  const float* values = nullptr;
};

/// What the columns of a sparse matrix are of a weight.
enum class SparseSide : std::uint8_t {
  rows,     // its inputs: the term is S^T dense
  columns,  // its outputs: dense^T S
};

/// One summand of a weight gradient that has few elements: rows in their order, whatever the blocks.
struct SparseTerm {
  SparseSide side = SparseSide::rows;
  SparseColumns sparse;           // of a matrix (rows, inputs) or (rows, outputs)
  MatrixView<const float> dense;  // (rows, the other side)
};

/// The units of a sparse code that were met in any of the terms, which all have the same side.
struct TouchedUnits {
  const SparseTerm* terms = nullptr;
  int count = 0;  // 0: all units count as met
};

}  // namespace diabolo::kernels
