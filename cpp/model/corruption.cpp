// See corruption.h.
#include "model/corruption.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/check.h"

namespace diabolo {
namespace {

/// Multiplications and additions for one element's noise, about: ten rounds of Philox for four elements, a
/// logarithm and two polynomials.
constexpr double kCostOfNoise = 60.0;

}  // namespace

Corruption::Corruption(const CorruptionSpec& spec, int number, bool trainable_below)
    : spec_(spec), number_(number) {
  require(!trainable_below, "corruption must be below all layers with parameters: it has no gradient.");
  require(spec.units >= 1, "corruption needs at least one unit.");
  require(std::isfinite(spec.amount) && spec.amount >= 0.0, "the amount of noise must not be negative.");
  require(spec.kind == kernels::CorruptionKind::gaussian || spec.amount < 1.0,
          "the fraction of elements that noise replaces must be below 1.");
  require(spec.corrupted_weight >= 0.0 && spec.clean_weight >= 0.0, "weights must not be negative.");
  require(spec.kind != kernels::CorruptionKind::gaussian || !emphasizes(),
          "gaussian noise changes every element: none can be emphasised.");
}

LayerBooking Corruption::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.passes_input_on = purpose != Purpose::training;
  if (booking.passes_input_on) return booking;
  booking.output = plan.book(rows, spec_.units);
  if (emphasizes()) booking.element_weights = plan.book(rows, spec_.units);
  return booking;
}

void Corruption::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                         const kernels::LossEpilogue* /*loss*/) const {
  if (buffers.stored_input) return forward_sparse(pass, buffers, rows);
  if (buffers.output.data == buffers.input.data) return;
  kernels::Corrupt c;
  c.kind = spec_.kind;
  c.noise = noise_source(pass.step->noise, number_, rows.begin);
  c.scale = static_cast<float>(spec_.amount);
  c.threshold = threshold();
  c.x = constant(rows_of(buffers.input, rows));
  c.y = rows_of(buffers.output, rows);
  c.observed = constant(rows_of(buffers.element_weights_below, rows));
  c.weights = rows_of(buffers.element_weights, rows);
  c.corrupted_weight = static_cast<float>(spec_.corrupted_weight);
  c.clean_weight = static_cast<float>(spec_.clean_weight);
  pass.kernels.corrupt(c);
}

void Corruption::forward_sparse(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  if (buffers.stored_output == nullptr) return;
  kernels::MaskStored m;
  m.noise = noise_source(pass.step->noise, number_, rows.begin);
  m.threshold = threshold();
  m.x = rows_of(buffers.stored_input, rows);
  m.y = buffers.stored_output + rows.begin * m.x.stride;
  pass.kernels.mask_stored(m);
}

std::int32_t Corruption::threshold() const {
  return static_cast<std::int32_t>(std::lround(std::min(spec_.amount, 1.0) * 0x1p24));
}

/// Masking leaves zeros zeros; other noise does not, and an emphasis depends on what falls on zeros.
OnSparseRows Corruption::on_sparse_rows(Purpose purpose) const {
  const bool masks = spec_.kind == kernels::CorruptionKind::masking && !emphasizes();
  return masks || purpose != Purpose::training ? OnSparseRows::passes_on : OnSparseRows::refuses;
}

void Corruption::input_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                                const kernels::ActivationGradient& /*below*/) const {
  assert(false && "nothing lies below corruption");
}

double Corruption::forward_cost() const { return kCostOfNoise * static_cast<double>(spec_.units); }

}  // namespace diabolo
