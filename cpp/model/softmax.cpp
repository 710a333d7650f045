// See softmax.h.
#include "model/softmax.h"

#include "base/check.h"
#include "model/column_groups.h"

namespace diabolo {
namespace {

/// Multiplications and additions of a unit, about: three exponentials.
constexpr double kCostOfUnit = 50.0;

}  // namespace

Softmax::Softmax(const SoftmaxSpec& spec)
    : spec_(spec), loss_terms_(count_features(spec.units, spec.groups)) {
  require(spec.units >= 1, "a softmax needs at least one unit.");
  require(!spec.groups.empty(), "a softmax needs at least one group of columns.");
}

LayerBooking Softmax::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  require(last || purpose != Purpose::training, "a softmax must be the last layer.");
  LayerBooking booking;
  if (purpose == Purpose::training) {
    booking.delta = plan.book(rows, spec_.units);
  } else {
    booking.output = plan.book(rows, spec_.units);
  }
  return booking;
}

void Softmax::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::LossEpilogue* loss) const {
  kernels::GroupedSoftmax s;
  s.z = constant(rows_of(buffers.input, rows));
  s.groups = spec_.groups.data();
  s.group_count = static_cast<Index>(spec_.groups.size());
  s.y = rows_of(buffers.output, rows);
  s.loss = loss;
  pass.kernels.grouped_softmax(s);
}

void Softmax::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                             const kernels::ActivationGradient& below) const {
  pass.kernels.chain_rule({constant(rows_of(buffers.delta, rows)), rows_of(below, rows)});
}

double Softmax::forward_cost() const { return kCostOfUnit * static_cast<double>(spec_.units); }

}  // namespace diabolo
