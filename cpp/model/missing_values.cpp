// See missing_values.h.
#include "model/missing_values.h"

#include <cassert>

#include "base/check.h"

namespace diabolo {

MissingValues::MissingValues(const MissingValuesSpec& spec, int number) : spec_(spec) {
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
  pass.kernels.mask_missing(
      {rows_of(buffers.input, rows), rows_of(buffers.element_weights, rows), spec_.rescale});
}

void MissingValues::input_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                                   const kernels::ActivationGradient& /*below*/) const {
  assert(false && "nothing lies below the first layer");
}

}  // namespace diabolo
