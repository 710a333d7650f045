// SparseCode: the few elements of each row of a layer's outputs that are not 0, as lists: by rows, as they
// are made, and by columns, as the gradients of weights need them.
#pragma once

#include <cstdint>

#include "base/workspace.h"
#include "kernels/kernels.h"

namespace diabolo {

/// Its place in a workspace.
struct SparseBooking {
  WorkspacePlan::Integers columns;    // (rows, k)
  WorkspacePlan::Buffer values;       // (rows, k)
  WorkspacePlan::Buffer gradients;    // (rows, k), in training alone, as all that follows
  WorkspacePlan::Integers starts;     // (units + 1)
  WorkspacePlan::Integers in_rows;    // (rows * k)
  WorkspacePlan::Integers in_places;  // (rows * k)
  Index units = 0;

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(values); }
};

struct SparseCode {
  std::int32_t* columns = nullptr;    // (rows, k): which, ascending in each row
  MatrixView<float> values;           // (rows, k)
  MatrixView<float> gradients;        // (rows, k): of the loss in these elements
  std::int32_t* starts = nullptr;     // (units + 1): where each unit's elements begin in the next two
  std::int32_t* in_rows = nullptr;    // (rows * k): their rows, ascending
  std::int32_t* in_places = nullptr;  // (rows * k): where they stand in values and gradients
  Index units = 0;

  [[nodiscard]] explicit operator bool() const { return values.data != nullptr; }
  [[nodiscard]] Index k() const { return values.cols; }
  [[nodiscard]] std::int32_t column(Index row, Index s) const { return columns[row * k() + s]; }

  /// The lists of some rows alone; those by columns are no part of it.
  [[nodiscard]] SparseCode of_rows(Range rows) const;

  [[nodiscard]] kernels::SparseRows values_of(Range rows) const;
  [[nodiscard]] kernels::SparseRows gradients_of(Range rows) const;
  [[nodiscard]] kernels::SparseColumns columns_of_values() const;
  [[nodiscard]] kernels::SparseColumns columns_of_gradients() const;

  /// Makes the lists by columns of those of the first `rows` rows; nothing where they are not booked.
  void order_by_columns(Index rows) const;

  /// Adds, for these units, in how many rows each is not 0.
  void count_active(Range units, double* counts) const;
};

[[nodiscard]] SparseBooking book_sparse(WorkspacePlan& plan, Index rows, Index units, Index k, bool training);
[[nodiscard]] SparseCode lay_out_sparse(const SparseBooking& booking, Workspace& workspace);

}  // namespace diabolo
