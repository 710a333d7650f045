// See batch_norm.h.
#include "model/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace diabolo {
namespace {

// The rows of unit_statistics.
constexpr Index kMean = 0;  // by which the batch is normalised, as
constexpr Index kVariance = 1;
constexpr Index kRunningMean = 2;
constexpr Index kRunningVariance = 3;
constexpr Index kDeltaSums = 4;  // over the batch
constexpr Index kTermSums = 5;
constexpr Index kRows = 6;

}  // namespace

BatchNorm::BatchNorm(ParameterPlan& plan, const BatchNormSpec& spec)
    : spec_(spec),
      scale_(plan.add_vector(spec.name + ".scale", spec.units)),
      shift_(plan.add_vector(spec.name + ".shift", spec.units)),
      mean_(plan.add_vector(spec.name + ".mean", spec.units)),
      variance_(plan.add_vector(spec.name + ".variance", spec.units)) {
  require(spec.units >= 1, "batch normalisation needs at least one unit.");
  require(spec.momentum >= 0.0 && spec.momentum < 1.0, "the momentum of statistics must lie in [0, 1).");
  require(std::isfinite(spec.epsilon) && spec.epsilon > 0.0, "epsilon must be positive.");
  if (spec.activation == kernels::Activation::prelu) {
    slope_ = plan.add_vector(spec.name + ".slope", spec.units);
  }
}

LayerBooking BatchNorm::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  LayerBooking booking;
  booking.output = plan.book(rows, spec_.units);
  if (purpose != Purpose::training) return booking;
  require(!last, "batch normalisation cannot be the last layer.");
  if (kernels::derivative_reads_preactivation(spec_.activation)) {
    booking.preactivation = plan.book(rows, spec_.units);
  }
  booking.delta = plan.book(rows, spec_.units);
  booking.scale_terms = plan.book(rows, spec_.units);
  if (slope_ >= 0) booking.slope_terms = plan.book(rows, spec_.units);
  booking.unit_statistics = plan.book(kRows, spec_.units);
  return booking;
}

kernels::Normalization BatchNorm::normalization(const Parameters& parameters,
                                                const LayerBuffers& buffers) const {
  const bool training = buffers.unit_statistics.data != nullptr;
  kernels::Normalization by;
  by.mean = training ? buffers.unit_statistics.row(kMean) : parameters.weights(mean_);
  by.variance = training ? buffers.unit_statistics.row(kVariance) : parameters.weights(variance_);
  by.scale = parameters.weights(scale_);
  by.epsilon = static_cast<float>(spec_.epsilon);
  return by;
}

void BatchNorm::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                        const kernels::LossEpilogue* /*loss*/) const {
  kernels::Normalize f;
  f.by = normalization(pass.parameters, buffers);
  f.x = constant(rows_of(buffers.input, rows));
  f.shift = pass.parameters.weights(shift_);
  f.slope = slope_ < 0 ? nullptr : pass.parameters.weights(slope_);
  f.activation = spec_.activation;
  f.preactivation = rows_of(buffers.preactivation, rows);
  f.y = rows_of(buffers.output, rows);
  pass.kernels.normalize(f);
}

kernels::ActivationGradient BatchNorm::activation_gradient(const Parameters& parameters,
                                                           const LayerBuffers& buffers) const {
  kernels::ActivationGradient g;
  g.activation = spec_.activation;
  g.kept = constant(buffers.preactivation.data != nullptr ? buffers.preactivation : buffers.output);
  g.slope = slope_ < 0 ? nullptr : parameters.weights(slope_);
  g.delta = buffers.delta;
  g.slope_terms = buffers.slope_terms;
  return g;
}

void BatchNorm::receive_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  pass.kernels.scale_terms({normalization(pass.parameters, buffers), constant(rows_of(buffers.input, rows)),
                            constant(rows_of(buffers.delta, rows)), rows_of(buffers.scale_terms, rows)});
}

void BatchNorm::gradient_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                    Index rows) const {
  const MatrixView<float> statistics = buffers.unit_statistics;
  const Range batch{0, rows};
  pass.kernels.column_totals(constant(rows_of(buffers.delta, batch)), units, statistics.row(kDeltaSums));
  pass.kernels.column_totals(constant(rows_of(buffers.scale_terms, batch)), units, statistics.row(kTermSums));
}

void BatchNorm::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                               const kernels::ActivationGradient& below) const {
  kernels::NormalizeGradient g;
  g.by = normalization(pass.parameters, buffers);
  g.x = constant(rows_of(buffers.input, rows));
  g.delta = constant(rows_of(buffers.delta, rows));
  if (pass.step->batch_rows > 1) {  // else the statistics are no function of the batch
    g.delta_sums = buffers.unit_statistics.row(kDeltaSums);
    g.term_sums = buffers.unit_statistics.row(kTermSums);
  }
  g.share = static_cast<float>(1.0 / static_cast<double>(pass.step->batch_rows));
  g.row_weights = pass.step->row_weights_from(rows.begin);
  g.gradient = rows_of(below.delta, rows);
  g.below = rows_of(below, rows);
  pass.kernels.normalize_gradient(g);
}

void BatchNorm::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  list.add_column_sum(scale_, constant(buffers.scale_terms));
  list.add_column_sum(shift_, constant(buffers.delta));
  if (slope_ >= 0) list.add_column_sum(slope_, constant(buffers.slope_terms));
}

void BatchNorm::batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                 Index rows) const {
  const MatrixView<float> statistics = buffers.unit_statistics;
  float* mean = statistics.row(kMean);
  float* variance = statistics.row(kVariance);
  float* running_mean = statistics.row(kRunningMean);
  float* running_variance = statistics.row(kRunningVariance);
  if (rows == 1) {
    std::copy(running_mean + units.begin, running_mean + units.end, mean + units.begin);
    std::copy(running_variance + units.begin, running_variance + units.end, variance + units.begin);
    return;
  }
  kernels::ColumnMoments m;
  m.x = constant(rows_of(buffers.input, {0, rows}));
  m.row_weights = pass.step->row_weights;
  m.columns = units;
  m.mean = mean;
  m.variance = variance;
  pass.kernels.column_moments(m);
  const auto momentum = static_cast<float>(spec_.momentum);
  for (Index u = units.begin; u < units.end; ++u) {
    running_mean[u] = momentum * running_mean[u] + (1.0f - momentum) * mean[u];
    running_variance[u] = momentum * running_variance[u] + (1.0f - momentum) * variance[u];
  }
}

void BatchNorm::begin_epoch(const Parameters& parameters, const LayerBuffers& buffers) const {
  std::copy_n(parameters.weights(mean_), spec_.units, buffers.unit_statistics.row(kRunningMean));
  std::copy_n(parameters.weights(variance_), spec_.units, buffers.unit_statistics.row(kRunningVariance));
}

void BatchNorm::end_epoch(const LayerBuffers& buffers, Parameters& parameters) const {
  std::copy_n(buffers.unit_statistics.row(kRunningMean), spec_.units, parameters.weights(mean_));
  std::copy_n(buffers.unit_statistics.row(kRunningVariance), spec_.units, parameters.weights(variance_));
}

}  // namespace diabolo
