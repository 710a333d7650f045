// See activity_penalty.h.
#include "model/activity_penalty.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/scalar_math.h"
#include "model/activity_tallies.h"

namespace diabolo {
namespace {

/// How far a mean activity is kept from 0 and 1, where the divergence is infinite.
constexpr double kEdge = 1e-6;

/// A unit counts as active in a row above this activity where units are sigmoids, which are never 0.
constexpr float kActiveSigmoid = 0.1f;

// The rows of unit_statistics.
constexpr Index kGradient = 0;   // of the penalty in one row's activity
constexpr Index kBatchMean = 1;  // the mean activity, if no running one is kept

// The rows of what is kept.
constexpr Index kRunningMean = 0;
constexpr Index kBegun = 1;  // 1 once there is a mean

/// Rounding may take a mean of sigmoids beyond 1.
constexpr float kGreatestMean = 1.001f;

double inside(float mean) { return std::clamp(static_cast<double>(mean), kEdge, 1.0 - kEdge); }

}  // namespace

ActivityPenalty::ActivityPenalty(const ActivityPenaltySpec& spec) : spec_(spec) {
  require(spec.units >= 1, "a penalty on activities needs at least one unit.");
  require(std::isfinite(spec.l1) && spec.l1 >= 0.0 && std::isfinite(spec.kl) && spec.kl >= 0.0,
          "the weights of penalties must not be negative.");
  require(spec.target > 0.0 && spec.target < 1.0, "the target of mean activities must lie in (0, 1).");
  require(spec.decay >= 0.0 && spec.decay < 1.0, "the decay of mean activities must lie in [0, 1).");
}

LayerBooking ActivityPenalty::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.passes_input_on = true;
  if (purpose == Purpose::inference) return booking;
  booking.row_penalty = plan.book(rows, 1);
  if (purpose == Purpose::evaluation) return booking;
  booking.delta = plan.book(rows, spec_.units);
  if (needs_whole_batch()) booking.unit_statistics = plan.book(keeps_means() ? 1 : 2, spec_.units);
  return booking;
}

void ActivityPenalty::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                              const kernels::LossEpilogue* /*loss*/) const {
  if (buffers.row_penalty.data == nullptr || spec_.l1 == 0.0) return;
  pass.kernels.absolute_sums(constant(rows_of(buffers.input, rows)), rows_of(buffers.row_penalty, rows));
}

void ActivityPenalty::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                     const kernels::ActivationGradient& below) const {
  kernels::ActivityGradient g;
  g.y = constant(rows_of(buffers.output, rows));
  g.l1 = static_cast<float>(spec_.l1 / static_cast<double>(pass.step->batch_rows));
  if (needs_whole_batch()) g.unit_gradient = buffers.unit_statistics.row(kGradient);
  g.row_weights = pass.step->row_weights_from(rows.begin);
  g.delta = rows_of(buffers.delta, rows);
  g.below = rows_of(below, rows);
  pass.kernels.activity_gradient(g);
}

std::vector<KeptState> ActivityPenalty::kept_states() const {
  if (!keeps_means()) return {};
  return {{"mean_activity", 0.0f, kGreatestMean}, {"begun", 0.0f, 1.0f}};
}

float* ActivityPenalty::mean_activities(const LayerBuffers& buffers) const {
  return keeps_means() ? buffers.kept.row(kRunningMean) : buffers.unit_statistics.row(kBatchMean);
}

void ActivityPenalty::batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                       Index rows) const {
  float* mean = mean_activities(buffers);
  float* gradient = buffers.unit_statistics.row(kGradient);
  float* begun = keeps_means() ? buffers.kept.row(kBegun) : nullptr;
  const auto activities = constant(rows_of(buffers.input, {0, rows}));
  for (Index first = units.begin; first < units.end; first += kernels::kGroup) {
    float sums[kernels::kGroup];
    pass.kernels.column_sums(activities, pass.step->row_weights, first, sums);
    for (Index u = first; u < std::min(first + kernels::kGroup, units.end); ++u) {
      const double of_batch = static_cast<double>(sums[u - first]) / static_cast<double>(rows);
      const double decay = begun == nullptr || begun[u] == 0.0f ? 0.0 : spec_.decay;
      mean[u] = static_cast<float>(decay * static_cast<double>(mean[u]) + (1.0 - decay) * of_batch);
      if (begun != nullptr) begun[u] = 1.0f;
      const double r = inside(mean[u]);
      const double slope = (1.0 - spec_.target) / (1.0 - r) - spec_.target / r;
      gradient[u] = static_cast<float>(spec_.kl * slope / static_cast<double>(rows));
    }
  }
}

double ActivityPenalty::standing_penalty(const LayerBuffers& buffers) const {
  if (!needs_whole_batch()) return 0.0;
  const double rho = spec_.target;
  const float* mean = mean_activities(buffers);
  double sum = 0.0;
  for (Index u = 0; u < spec_.units; ++u) {
    const double r = inside(mean[u]);
    sum += rho * portable_log(rho / r) + (1.0 - rho) * portable_log((1.0 - rho) / (1.0 - r));
  }
  return spec_.kl * sum;
}

double ActivityPenalty::slab_penalty(const StepContext& step, const LayerBuffers& buffers, Index rows) const {
  double weight = 0.0;
  for (Index r = 0; r < rows; ++r) weight += step.row_weight(r);
  double sum = weight * standing_penalty(buffers);
  for (Index r = 0; r < rows; ++r) sum += step.row_weight(r) * row_penalty(buffers, r);
  return sum;
}

double ActivityPenalty::row_penalty(const LayerBuffers& buffers, Index row) const {
  return spec_.l1 == 0.0 ? 0.0 : spec_.l1 * static_cast<double>(buffers.row_penalty.row(row)[0]);
}

void ActivityPenalty::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  const auto activities = constant(rows_of(buffers.input, {0, rows}));
  count_active(activities, units, needs_whole_batch() ? kActiveSigmoid : 0.0f, tallies);
}

std::vector<Measure> ActivityPenalty::measures(const double* tallies, Index rows) const {
  return activity_measures(tallies, spec_.units, rows);
}

}  // namespace diabolo
