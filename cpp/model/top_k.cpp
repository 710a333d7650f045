// See top_k.h.
#include "model/top_k.h"

#include <algorithm>

#include "base/check.h"
#include "model/activity_tallies.h"

namespace diabolo {
namespace {

/// Comparisons of one element while the k-th greatest is found, one for each bit of a float.
constexpr double kCostOfUnit = 64.0;

}  // namespace

TopK::TopK(const TopKSpec& spec, bool passes_a_list) : spec_(spec), passes_a_list_(passes_a_list) {
  require(spec.units >= 1, "a sparse code needs at least one unit.");
  require(spec.k >= 1 && spec.k <= spec.units, "k must lie between 1 and the number of units.");
}

LayerBooking TopK::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  LayerBooking booking;
  if (passes_a_list_ && !last) {
    booking.sparse = book_sparse(plan, rows, spec_.units, spec_.k, purpose == Purpose::training);
    return booking;
  }
  booking.output = plan.book(rows, spec_.units);
  if (purpose == Purpose::training) booking.delta = plan.book(rows, spec_.units);
  return booking;
}

void TopK::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                   const kernels::LossEpilogue* /*loss*/) const {
  if (buffers.sparse) {
    const SparseCode list = buffers.sparse.of_rows(rows);
    return pass.kernels.top_k_list(constant(rows_of(buffers.input, rows)), spec_.k, list.columns,
                                   list.values);
  }
  pass.kernels.top_k(constant(rows_of(buffers.input, rows)), spec_.k, rows_of(buffers.output, rows));
}

void TopK::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                          const kernels::ActivationGradient& below) const {
  if (buffers.sparse) return list_gradient(buffers, rows, pass, below);
  kernels::TopKGradient g;
  g.y = constant(rows_of(buffers.output, rows));
  g.delta = rows_of(buffers.delta, rows);
  g.below = rows_of(below, rows);
  pass.kernels.top_k_gradient(g);
}

/// The gradients at the k elements come in as a list, and pass through the activation below among zeros.
void TopK::list_gradient(const LayerBuffers& buffers, Range rows, const Pass& pass,
                         const kernels::ActivationGradient& below) const {
  const SparseCode list = buffers.sparse.of_rows(rows);
  const MatrixView<float> delta = rows_of(below.delta, rows);
  for (Index r = 0; r < rows.size(); ++r) {
    std::fill_n(delta.row(r), spec_.units, 0.0f);
    for (Index s = 0; s < spec_.k; ++s) {
      if (list.values.row(r)[s] != 0.0f) delta.row(r)[list.column(r, s)] = list.gradients.row(r)[s];
    }
  }
  pass.kernels.chain_rule({constant(delta), rows_of(below, rows)});
  for (Index r = 0; r < rows.size(); ++r) {
    for (Index s = 0; s < spec_.k; ++s) list.gradients.row(r)[s] = delta.row(r)[list.column(r, s)];
  }
}

void TopK::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  if (buffers.sparse) return buffers.sparse.count_active(units, tallies);
  count_active(constant(rows_of(buffers.output, {0, rows})), units, 0.0f, tallies);
}

std::vector<Measure> TopK::measures(const double* tallies, Index rows) const {
  return activity_measures(tallies, spec_.units, rows);
}

double TopK::forward_cost() const { return kCostOfUnit * static_cast<double>(spec_.units); }

}  // namespace diabolo
