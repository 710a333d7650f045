// See auxiliary_code.h.
#include "model/auxiliary_code.h"

#include <algorithm>

namespace diabolo {
namespace {

void add_rows_since_active(Index units, Index rows, float* counts) {
  const auto most = static_cast<float>(kMostRowsSinceActive);
  for (Index u = 0; u < units; ++u) counts[u] = std::min(counts[u] + static_cast<float>(rows), most);
}

}  // namespace

AuxiliaryBooking book_auxiliary(WorkspacePlan& plan, Index rows, Index units, Index k, Index k_of_main) {
  AuxiliaryBooking booking;
  booking.list = book_sparse(plan, rows, units, k, true);
  booking.dead = plan.book_integers(1 + units);
  const Index k_of_both = checked_sum(k, k_of_main);
  booking.columns = plan.book_integers(checked_product(rows, k_of_both));
  booking.gradients = plan.book(rows, k_of_both);
  return booking;
}

AuxiliaryCode lay_out_auxiliary(const AuxiliaryBooking& booking, Workspace& workspace) {
  AuxiliaryCode code;
  code.room = lay_out_sparse(booking.list, workspace);
  code.dead = workspace.integers(booking.dead);
  code.gradient_columns = workspace.integers(booking.columns);
  code.gradients = workspace.view(booking.gradients);
  return code;
}

SparseCode AuxiliaryCode::list() const {
  SparseCode shorter = room;
  shorter.values.cols = shorter.gradients.cols = std::min(room.k(), dead_units());
  return shorter;
}

void AuxiliaryCode::find_dead(const float* rows_since_active, Index dead_after) const {
  std::int32_t found = 0;
  for (Index u = 0; u < room.units; ++u) {
    if (rows_since_active[u] >= static_cast<float>(dead_after))
      dead[1 + found++] = static_cast<std::int32_t>(u);
  }
  dead[0] = found;
}

void AuxiliaryCode::select(const kernels::KernelTable& table, MatrixView<const float> y,
                           MatrixView<float> scratch, Range rows) const {
  const SparseCode mine = list().of_rows(rows);
  if (mine.k() == 0) return;
  const MatrixView<float> dead_only{scratch.row(rows.begin), rows.size(), dead_units(), scratch.stride};
  for (Index r = 0; r < rows.size(); ++r) {
    const float* from = y.row(rows.begin + r);
    float* to = dead_only.row(r);
    for (Index i = 0; i < dead_units(); ++i) to[i] = from[dead[1 + i]];
  }
  const MatrixView<const float> values{dead_only.data, dead_only.rows, dead_only.cols, dead_only.stride};
  table.top_k_list(values, mine.k(), mine.columns, mine.values);
  for (Index i = 0; i < rows.size() * mine.k(); ++i) mine.columns[i] = dead[1 + mine.columns[i]];
}

kernels::SparseRows AuxiliaryCode::joined_gradients(const SparseCode& main, Range rows) const {
  const Index k = main.k() + list().k();
  return {gradient_columns + rows.begin * k, {gradients.row(rows.begin), rows.size(), k, gradients.stride}};
}

void AuxiliaryCode::join_gradients(const SparseCode& main, Range rows) const {
  const SparseCode own = list();
  const Index k = main.k() + own.k();
  for (Index r = rows.begin; r < rows.end; ++r) {
    std::int32_t* columns = gradient_columns + r * k;
    std::copy_n(main.columns + r * main.k(), main.k(), columns);
    std::copy_n(own.columns + r * own.k(), own.k(), columns + main.k());
    std::copy_n(main.gradients.row(r), main.k(), gradients.row(r));
    std::copy_n(own.gradients.row(r), own.k(), gradients.row(r) + main.k());
  }
}

void count_rows_since_active(MatrixView<const float> outputs, Index rows, float* counts) {
  add_rows_since_active(outputs.cols, rows, counts);
  for (Index r = 0; r < rows; ++r) {
    const float* y = outputs.row(r);
    for (Index u = 0; u < outputs.cols; ++u) counts[u] = y[u] != 0.0f ? 0.0f : counts[u];
  }
}

void count_rows_since_active(const SparseCode& outputs, Index rows, float* counts) {
  add_rows_since_active(outputs.units, rows, counts);
  for (Index u = 0; u < outputs.units; ++u) {
    const std::int32_t* first = outputs.in_places + outputs.starts[u];
    const std::int32_t* last = outputs.in_places + outputs.starts[u + 1];
    if (std::any_of(first, last, [&](std::int32_t at) { return outputs.values.data[at] != 0.0f; })) {
      counts[u] = 0.0f;
    }
  }
}

}  // namespace diabolo
