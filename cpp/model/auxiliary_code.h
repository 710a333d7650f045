// AuxiliaryCode: a second code of each row, of the units that have been active for none of the last rows. Its
// only purpose is to give these a gradient (auxiliary_decoder.h).
#pragma once

#include <cstdint>

#include "base/workspace.h"
#include "model/sparse_code.h"

namespace diabolo {

/// Its place in a workspace.
struct AuxiliaryBooking {
  SparseBooking list;               // (rows, k)
  WorkspacePlan::Integers dead;     // (1 + units)
  WorkspacePlan::Integers columns;  // (rows, k of both codes)
  WorkspacePlan::Buffer gradients;  // (rows, k of both codes)
};

/// In a step where fewer units are dead than a row's list has room for, the lists are as much shorter.
struct AuxiliaryCode {
  SparseCode room;                           // for k elements of each row
  std::int32_t* dead = nullptr;              // (1 + units): how many units are dead, and which, ascending
  std::int32_t* gradient_columns = nullptr;  // (rows, k of both codes): the elements of both,
  MatrixView<float> gradients;               // (rows, k of both codes): and the gradients there

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(room); }
  [[nodiscard]] Index dead_units() const { return dead[0]; }

  /// The lists of this step.
  [[nodiscard]] SparseCode list() const;

  /// Finds the units of `rows_since_active` (units) that reach `dead_after`.
  void find_dead(const float* rows_since_active, Index dead_after) const;

  /// Fills the lists of `rows` with the greatest dead units of y (rows, units). `scratch` (rows, units) is
  /// overwritten.
  void select(const kernels::KernelTable& table, MatrixView<const float> y, MatrixView<float> scratch,
              Range rows) const;

  /// The gradients of the main code's elements and of these, row by row.
  [[nodiscard]] kernels::SparseRows joined_gradients(const SparseCode& main, Range rows) const;
  void join_gradients(const SparseCode& main, Range rows) const;
};

[[nodiscard]] AuxiliaryBooking book_auxiliary(WorkspacePlan& plan, Index rows, Index units, Index k,
                                              Index k_of_main);
[[nodiscard]] AuxiliaryCode lay_out_auxiliary(const AuxiliaryBooking& booking, Workspace& workspace);

/// Up to so many rows are counted: float32 is exact so far.
inline constexpr Index kMostRowsSinceActive = Index{1} << 24;

/// Counts, unit by unit, the rows since one was active: after a batch of `rows` rows.
void count_rows_since_active(MatrixView<const float> outputs, Index rows, float* counts);
void count_rows_since_active(const SparseCode& outputs, Index rows, float* counts);

}  // namespace diabolo
