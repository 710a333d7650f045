// See missing_values.h.
#include "model/missing_values.h"

#include <cassert>

#include "base/check.h"
#include "model/column_groups.h"

namespace diabolo {

Index observed_features(const float* weights, Index columns, std::span<const Range> groups) {
  Index observed = 0;
  for (Index c = 0; c < columns; ++c) observed += weights[c] > 0.0f ? 1 : 0;
  for (const Range& group : groups) observed -= weights[group.begin] > 0.0f ? group.size() - 1 : 0;
  return observed;
}

MissingValues::MissingValues(const MissingValuesSpec& spec, int number)
    : spec_(spec), features_(count_features(spec.units, spec.groups)) {
  require(number == 0, "the layer for missing values must be the first.");
  require(spec.units >= 1, "the layer for missing values needs at least one unit.");
}

LayerBooking MissingValues::book(WorkspacePlan& plan, Index rows, Purpose /*purpose*/, bool /*last*/) const {
  LayerBooking booking;
  booking.passes_input_on = true;
  booking.element_weights = plan.book(rows, spec_.units);
  return booking;
}

void MissingValues::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                            const kernels::LossEpilogue* /*loss*/) const {
  kernels::MaskMissing m;
  m.x = rows_of(buffers.input, rows);
  m.weights = rows_of(buffers.element_weights, rows);
  m.rescale = spec_.rescale;
  m.features = features_;
  m.groups = spec_.groups.data();
  m.group_count = static_cast<Index>(spec_.groups.size());
  pass.kernels.mask_missing(m);
}

void MissingValues::input_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                                   const kernels::ActivationGradient& /*below*/) const {
  assert(false && "nothing lies below the first layer");
}

}  // namespace diabolo
