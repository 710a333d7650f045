// See top_k.h.
#include "model/top_k.h"

#include "base/check.h"
#include "model/activity_tallies.h"

namespace diabolo {
namespace {

/// Comparisons of one element while the k-th greatest is found, one for each bit of a float.
constexpr double kCostOfUnit = 64.0;

}  // namespace

TopK::TopK(const TopKSpec& spec) : spec_(spec) {
  require(spec.units >= 1, "a sparse code needs at least one unit.");
  require(spec.k >= 1 && spec.k <= spec.units, "k must lie between 1 and the number of units.");
}

LayerBooking TopK::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.output = plan.book(rows, spec_.units);
  if (purpose == Purpose::training) booking.delta = plan.book(rows, spec_.units);
  return booking;
}

void TopK::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                   const kernels::LossEpilogue* /*loss*/) const {
  pass.kernels.top_k(constant(rows_of(buffers.input, rows)), spec_.k, rows_of(buffers.output, rows));
}

void TopK::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                          const kernels::ActivationGradient& below) const {
  kernels::TopKGradient g;
  g.y = constant(rows_of(buffers.output, rows));
  g.delta = rows_of(buffers.delta, rows);
  g.below = rows_of(below, rows);
  pass.kernels.top_k_gradient(g);
}

void TopK::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  count_active(constant(rows_of(buffers.output, {0, rows})), units, 0.0f, tallies);
}

std::vector<Measure> TopK::measures(const double* tallies, Index rows) const {
  return activity_measures(tallies, spec_.units, rows);
}

double TopK::forward_cost() const { return kCostOfUnit * static_cast<double>(spec_.units); }

}  // namespace diabolo
