// See sparse_code.h.
#include "model/sparse_code.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace diabolo {
namespace {

MatrixView<float> rows_of_list(MatrixView<float> m, Range rows) {
  if (m.data == nullptr) return {};
  return {m.row(rows.begin), rows.size(), m.cols, m.stride};
}

MatrixView<const float> read_only(MatrixView<float> m) { return {m.data, m.rows, m.cols, m.stride}; }

}  // namespace

SparseBooking book_sparse(WorkspacePlan& plan, Index rows, Index units, Index k, bool training) {
  SparseBooking booking;
  booking.units = units;
  booking.columns = plan.book_integers(checked_product(rows, k));
  booking.values = plan.book(rows, k);
  if (!training) return booking;
  require(checked_product(rows, booking.values.stride) <= std::numeric_limits<std::int32_t>::max(),
          "a batch of so many active units does not fit: a smaller batch_size does.");
  booking.gradients = plan.book(rows, k);
  booking.starts = plan.book_integers(units + 1);
  booking.in_rows = plan.book_integers(rows * k);
  booking.in_places = plan.book_integers(rows * k);
  return booking;
}

SparseCode lay_out_sparse(const SparseBooking& booking, Workspace& workspace) {
  SparseCode code;
  if (!booking) return code;
  code.units = booking.units;
  code.columns = workspace.integers(booking.columns);
  code.values = workspace.view(booking.values);
  code.gradients = workspace.view(booking.gradients);
  code.starts = workspace.integers(booking.starts);
  code.in_rows = workspace.integers(booking.in_rows);
  code.in_places = workspace.integers(booking.in_places);
  return code;
}

SparseCode SparseCode::of_rows(Range rows) const {
  SparseCode some;
  some.columns = columns + rows.begin * k();
  some.values = rows_of_list(values, rows);
  some.gradients = rows_of_list(gradients, rows);
  some.units = units;
  return some;
}

kernels::SparseRows SparseCode::values_of(Range rows) const {
  return {columns + rows.begin * k(), read_only(rows_of_list(values, rows))};
}

kernels::SparseRows SparseCode::gradients_of(Range rows) const {
  return {columns + rows.begin * k(), read_only(rows_of_list(gradients, rows))};
}

kernels::SparseColumns SparseCode::columns_of_values() const {
  return {starts, in_rows, in_places, values.data};
}

kernels::SparseColumns SparseCode::columns_of_gradients() const {
  return {starts, in_rows, in_places, gradients.data};  // of the same stride
}

/// Counting sort: how many a unit has, where they begin, each to the next free place of its unit.
void SparseCode::order_by_columns(Index rows) const {
  if (starts == nullptr) return;
  std::fill_n(starts, units + 1, 0);
  const Index count = rows * k();
  for (Index i = 0; i < count; ++i) ++starts[columns[i] + 1];
  for (Index u = 0; u < units; ++u) starts[u + 1] += starts[u];
  for (Index r = 0; r < rows; ++r) {
    for (Index s = 0; s < k(); ++s) {
      const std::int32_t at = starts[column(r, s)]++;
      in_rows[at] = static_cast<std::int32_t>(r);
      in_places[at] = static_cast<std::int32_t>(r * values.stride + s);
    }
  }
  // Each unit's place is now where the next one's began: shift them back.
  for (Index u = units; u > 0; --u) starts[u] = starts[u - 1];
  starts[0] = 0;
}

void SparseCode::count_active(Range which, double* counts) const {
  for (Index u = which.begin; u < which.end; ++u) {
    for (std::int32_t e = starts[u]; e < starts[u + 1]; ++e) {
      counts[u] += values.data[in_places[e]] != 0.0f ? 1.0 : 0.0;
    }
  }
}

}  // namespace diabolo
