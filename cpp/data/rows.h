// Rows: somebody else's table of numbers, of any numeric type and any strides, read row by row and never
// copied whole. Conversion and scaling happen here; which rows are wanted when is the business of
// row_order.h.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/matrix.h"
#include "data/elements.h"
#include "data/scaler.h"
#include "data/sparse_table.h"

namespace diabolo {

/// One column: element r at data + r * stride (bytes). Booleans are uint8.
struct Column {
  const std::byte* data = nullptr;
  Index stride = 0;
  ElementType type = ElementType::float32;
};

/// A table, and which of its rows are meant: a range or a list. The numbers must outlive it.
class Rows {
 public:
  /// A two-dimensional array: element (r, c) at data + r * row_stride + c * column_stride (bytes).
  static Rows from_array(const void* data, ElementType type, Index rows, Index features, Index row_stride,
                         Index column_stride);
  /// Separate columns of equal length, each of its own type.
  static Rows from_columns(std::vector<Column> columns, Index rows);
  /// Compressed sparse rows, in which `find_defect` finds nothing.
  static Rows from_sparse(const SparseTable& table);

  [[nodiscard]] Index count() const { return count_; }
  [[nodiscard]] Index features() const { return features_; }

  /// The table of sparse rows; null for the others.
  [[nodiscard]] const SparseTable* sparse() const { return sparse_ ? &*sparse_ : nullptr; }

  /// Row `i` of this selection, as a row of the table.
  [[nodiscard]] Index source_row(Index i) const {
    return list_ ? (*list_)[static_cast<std::size_t>(i)] : first_ + i;
  }

  /// A narrower selection, relative to this one. `take` refuses numbers out of range.
  [[nodiscard]] Rows slice(Index begin, Index end) const;
  [[nodiscard]] Rows take(const std::vector<Index>& rows) const;

  /// The same rows, each counting `weights[row of the table]` times, positive; they must outlive it.
  [[nodiscard]] Rows weighted(const double* weights) const;
  [[nodiscard]] bool has_weights() const { return weights_ != nullptr; }
  [[nodiscard]] double weight(Index source_row) const {
    return weights_ == nullptr ? 1.0 : weights_[source_row];
  }

  // ---- Of dense rows; sparse ones are read by their table ----

  /// out (count, features) = the given rows of the table (not of the selection), scaled, as float32.
  void gather(const Index* source_rows, Index count, const Scaler& scaler, MatrixView<float> out) const;
  /// out (count, features) in double precision, unscaled.
  void gather_exact(const Index* source_rows, Index count, MatrixView<double> out) const;

  // ---- Of all ----

  /// Asks for the memory of a row of the table, which then is on its way while other work goes on.
  void prefetch(Index source_row) const;

 private:
  Rows() = default;

  // One array: base_, row_stride_, column_stride_. Separate columns: columns_. Sparse rows: sparse_.
  const std::byte* base_ = nullptr;
  ElementType type_ = ElementType::float32;
  Index row_stride_ = 0;
  Index column_stride_ = 0;
  std::vector<Column> columns_;
  std::optional<SparseTable> sparse_;
  Index features_ = 0;
  const double* weights_ = nullptr;  // (rows of the table); null: all 1

  Index first_ = 0;
  Index count_ = 0;
  std::shared_ptr<const std::vector<Index>> list_;
};

}  // namespace diabolo
