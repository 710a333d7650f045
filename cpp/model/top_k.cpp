// See top_k.h.
#include "model/top_k.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "model/activity_tallies.h"

namespace diabolo {
namespace {

/// Comparisons of one element while the k-th greatest is found, one for each bit of a float.
constexpr double kCostOfUnit = 64.0;

/// delta = the list's gradients in their places.
void scatter_gradients(const SparseCode& list, MatrixView<float> delta) {
  for (Index r = 0; r < delta.rows; ++r) {
    for (Index s = 0; s < list.k(); ++s) delta.row(r)[list.column(r, s)] = list.gradients.row(r)[s];
  }
}

void gather_gradients(MatrixView<float> delta, const SparseCode& list) {
  for (Index r = 0; r < delta.rows; ++r) {
    for (Index s = 0; s < list.k(); ++s) list.gradients.row(r)[s] = delta.row(r)[list.column(r, s)];
  }
}

/// Elements that were kept and are 0 get no gradient: at 0 it is a matter of taste.
void clear_gradients_of_zeros(const SparseCode& list) {
  for (Index r = 0; r < list.values.rows; ++r) {
    for (Index s = 0; s < list.k(); ++s) {
      if (list.values.row(r)[s] == 0.0f) list.gradients.row(r)[s] = 0.0f;
    }
  }
}

}  // namespace

TopK::TopK(const TopKSpec& spec, bool passes_a_list) : spec_(spec), passes_a_list_(passes_a_list) {
  require(spec.units >= 1, "a sparse code needs at least one unit.");
  require(spec.k >= 1 && spec.k <= spec.units, "k must lie between 1 and the number of units.");
  require(spec.auxiliary_k >= 0 && spec.auxiliary_k <= spec.units,
          "the auxiliary k must lie between 0 and the number of units.");
  require(std::isfinite(spec.auxiliary_weight) && spec.auxiliary_weight >= 0.0,
          "the weight of the auxiliary loss must not be negative.");
  require(spec.dead_after >= 1 && spec.dead_after <= kMostRowsSinceActive,
          "the rows after which a unit is dead must lie between 1 and 2^24.");
}

std::vector<KeptState> TopK::kept_states() const {
  if (spec_.auxiliary_k == 0) return {};
  return {{"rows_since_active", 0.0f, static_cast<float>(kMostRowsSinceActive)}};
}

LayerBooking TopK::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  LayerBooking booking;
  if (purpose == Purpose::training && spec_.auxiliary_k > 0) {
    booking.auxiliary = book_auxiliary(plan, rows, spec_.units, spec_.auxiliary_k, spec_.k);
  }
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
  if (buffers.auxiliary) return gradient_with_dead_units(buffers, rows, pass, below);
  kernels::TopKGradient g;
  g.y = constant(rows_of(buffers.output, rows));
  g.delta = rows_of(buffers.delta, rows);
  g.below = rows_of(below, rows);
  pass.kernels.top_k_gradient(g);
}

/// (A dead unit is no active element of any row, so no element is in both lists.)
void TopK::list_gradient(const LayerBuffers& buffers, Range rows, const Pass& pass,
                         const kernels::ActivationGradient& below) const {
  const SparseCode list = buffers.sparse.of_rows(rows);
  const MatrixView<float> delta = rows_of(below.delta, rows);
  for (Index r = 0; r < rows.size(); ++r) std::fill_n(delta.row(r), spec_.units, 0.0f);
  clear_gradients_of_zeros(list);
  scatter_gradients(list, delta);
  SparseCode dead;
  if (buffers.auxiliary) {
    dead = buffers.auxiliary.list().of_rows(rows);
    scatter_gradients(dead, delta);
  }
  pass.kernels.chain_rule({constant(delta), rows_of(below, rows)});
  gather_gradients(delta, list);
  if (!buffers.auxiliary) return;
  clear_gradients_of_zeros(list);  // in whose place there may be that of a dead unit
  gather_gradients(delta, dead);
  buffers.auxiliary.join_gradients(buffers.sparse, rows);
}

void TopK::gradient_with_dead_units(const LayerBuffers& buffers, Range rows, const Pass& pass,
                                    const kernels::ActivationGradient& below) const {
  const MatrixView<float> delta = rows_of(buffers.delta, rows);
  for (Index r = 0; r < rows.size(); ++r) {
    const float* y = buffers.output.row(rows.begin + r);
    float* to = delta.row(r);
    for (Index u = 0; u < spec_.units; ++u) to[u] = y[u] == 0.0f ? 0.0f : to[u];
  }
  scatter_gradients(buffers.auxiliary.list().of_rows(rows), delta);
  pass.kernels.chain_rule({constant(delta), rows_of(below, rows)});
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
