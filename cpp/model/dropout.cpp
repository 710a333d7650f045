// See dropout.h.
#include "model/dropout.h"

#include <cmath>

#include "base/check.h"

namespace diabolo {
namespace {

/// Multiplications and additions for one unit, about: ten rounds of Philox for four of them.
constexpr double kCostOfUnit = 20.0;

}  // namespace

Dropout::Dropout(const DropoutSpec& spec, int number) : spec_(spec), number_(number) {
  require(spec.units >= 1, "dropout needs at least one unit.");
  require(spec.rate >= 0.0 && spec.rate < 1.0, "the rate of dropout must lie in [0, 1).");
}

LayerBooking Dropout::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  require(!last || purpose != Purpose::training, "dropout cannot be the last layer.");
  LayerBooking booking;
  booking.passes_input_on = purpose != Purpose::training;
  if (booking.passes_input_on) return booking;
  booking.output = plan.book(rows, spec_.units);
  booking.delta = plan.book(rows, spec_.units);
  booking.noise = plan.book(rows, spec_.units);
  return booking;
}

void Dropout::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::LossEpilogue* /*loss*/) const {
  if (buffers.output.data == buffers.input.data) return;
  kernels::DropOut d;
  d.noise = noise_source(pass.step->noise, number_, rows.begin);
  d.threshold = static_cast<std::int32_t>(std::lround(spec_.rate * 0x1p24));
  d.scale = static_cast<float>(1.0 / (1.0 - spec_.rate));
  d.x = constant(rows_of(buffers.input, rows));
  d.y = rows_of(buffers.output, rows);
  d.factors = rows_of(buffers.noise, rows);
  pass.kernels.drop_out(d);
}

void Dropout::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                             const kernels::ActivationGradient& below) const {
  pass.kernels.factor_gradient(
      {constant(rows_of(buffers.noise, rows)), rows_of(buffers.delta, rows), rows_of(below, rows)});
}

double Dropout::forward_cost() const { return kCostOfUnit * static_cast<double>(spec_.units); }

}  // namespace diabolo
