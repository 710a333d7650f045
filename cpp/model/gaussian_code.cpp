// See gaussian_code.h.
#include "model/gaussian_code.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace diabolo {
namespace {

/// Multiplications and additions of a unit, about: noise, exponentials and a hyperbolic tangent.
constexpr double kCostOfUnit = 150.0;

/// Above which variance of its mean a unit counts as active.
constexpr double kActiveVariance = 0.01;

// The rows of unit_statistics.
constexpr Index kMeanDivergence = 0;
constexpr Index kFactor = 1;  // 1 where the divergence costs, 0 where it is free

}  // namespace

GaussianCode::GaussianCode(const GaussianCodeSpec& spec, int number) : spec_(spec), number_(number) {
  require(spec.units >= 1, "a gaussian code needs at least one unit.");
  require(std::isfinite(spec.beta) && spec.beta >= 0.0, "beta must not be negative.");
  require(std::isfinite(spec.free_bits) && spec.free_bits >= 0.0, "free bits must not be negative.");
  require(spec.warmup_epochs >= 0, "the epochs of a warm-up must not be negative.");
}

LayerBooking GaussianCode::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.output = plan.book(rows, spec_.units);
  if (purpose == Purpose::inference) return booking;
  booking.row_penalty = plan.book(rows, 1);
  if (purpose == Purpose::evaluation) return booking;
  booking.noise = plan.book(rows, spec_.units);
  booking.delta = plan.book(rows, spec_.units);
  if (needs_whole_batch()) booking.unit_statistics = plan.book(2, spec_.units);
  return booking;
}

void GaussianCode::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                           const kernels::LossEpilogue* /*loss*/) const {
  if (pass.step == nullptr) {
    for (Index r = rows.begin; r < rows.end; ++r) {
      std::copy_n(buffers.input.row(r), spec_.units, buffers.output.row(r));
    }
    return;
  }
  kernels::GaussianSample g;
  g.noise = noise_source(pass.step->noise, number_, rows.begin);
  g.units = spec_.units;
  g.moments = constant(rows_of(buffers.input, rows));
  g.z = rows_of(buffers.output, rows);
  g.deviation = rows_of(buffers.noise, rows);
  g.divergence = rows_of(buffers.row_penalty, rows);
  g.divergence_kind = pass.step->divergence;
  pass.kernels.sample_gaussian(g);
}

void GaussianCode::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                  const kernels::ActivationGradient& below) const {
  kernels::GaussianGradient g;
  g.units = spec_.units;
  g.moments = constant(rows_of(buffers.input, rows));
  g.deviation = constant(rows_of(buffers.noise, rows));
  g.dz = constant(rows_of(buffers.delta, rows));
  g.divergence_scale = static_cast<float>(weight(*pass.step) / static_cast<double>(pass.step->batch_rows));
  g.row_weights = pass.step->row_weights_from(rows.begin);
  if (needs_whole_batch()) g.unit_factor = buffers.unit_statistics.row(kFactor);
  g.delta = rows_of(below.delta, rows);
  pass.kernels.gaussian_gradient(g);
  if (below.activation == kernels::Activation::identity) return;
  kernels::ChainRule chain{constant(g.delta), rows_of(below, rows)};
  pass.kernels.chain_rule(chain);
}

void GaussianCode::batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                    Index rows) const {
  float* means = buffers.unit_statistics.row(kMeanDivergence);
  float* factors = buffers.unit_statistics.row(kFactor);
  const auto moments = constant(rows_of(buffers.input, {0, rows}));
  for (Index first = units.begin; first < units.end; first += kernels::kGroup) {
    pass.kernels.gaussian_divergences(moments, pass.step->row_weights, spec_.units, first, means + first);
  }
  for (Index u = units.begin; u < units.end; ++u) {
    means[u] /= static_cast<float>(rows);
    factors[u] = static_cast<double>(means[u]) > spec_.free_bits ? 1.0f : 0.0f;
  }
}

double GaussianCode::weight(const StepContext& step) const {
  if (spec_.warmup_epochs == 0) return spec_.beta;
  const auto steps = static_cast<double>(spec_.warmup_epochs) * static_cast<double>(step.steps_per_epoch);
  return spec_.beta * std::min(1.0, static_cast<double>(step.noise.step + 1) / steps);
}

double GaussianCode::slab_penalty(const StepContext& step, const LayerBuffers& buffers, Index rows) const {
  double sum = 0.0;
  if (needs_whole_batch()) {
    for (Index u = 0; u < spec_.units; ++u) {
      sum += std::max(spec_.free_bits, static_cast<double>(buffers.unit_statistics.row(kMeanDivergence)[u]));
    }
    return weight(step) * static_cast<double>(rows) * sum;
  }
  for (Index r = 0; r < rows; ++r) {
    sum += step.row_weight(r) * static_cast<double>(buffers.row_penalty.row(r)[0]);
  }
  return weight(step) * sum;
}

double GaussianCode::row_penalty(const LayerBuffers& buffers, Index row) const {
  return spec_.beta * static_cast<double>(buffers.row_penalty.row(row)[0]);
}

void GaussianCode::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  for (Index r = 0; r < rows; ++r) {
    const float* mean = buffers.input.row(r);
    for (Index u = units.begin; u < units.end; ++u) {
      const auto m = static_cast<double>(mean[u]);
      tallies[u] += m;
      tallies[spec_.units + u] += m * m;
    }
  }
  if (units.begin != 0 || units.size() == 0) return;
  for (Index r = 0; r < rows; ++r) {
    tallies[2 * spec_.units] += static_cast<double>(buffers.row_penalty.row(r)[0]);
  }
}

std::vector<Measure> GaussianCode::measures(const double* tallies, Index rows) const {
  const auto n = static_cast<double>(std::max<Index>(rows, 1));
  int active = 0;
  for (Index u = 0; u < spec_.units; ++u) {
    const double mean = tallies[u] / n;
    if (tallies[spec_.units + u] / n - mean * mean > kActiveVariance) ++active;
  }
  return {{"kl", tallies[2 * spec_.units] / n}, {"active_units", static_cast<double>(active)}};
}

double GaussianCode::forward_cost() const { return kCostOfUnit * static_cast<double>(spec_.units); }

}  // namespace diabolo
