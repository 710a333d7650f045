// See dense.h.
#include "model/dense.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/scalar_math.h"

namespace diabolo {
namespace {

/// Operations of one kernel call: about a millisecond, so that a large layer still polls often enough.
constexpr double kCostPerCall = 5e7;

/// Operations for one output of a layer whose input is a list, about: its length hardly ever exceeds this.
constexpr double kCostOfSparseInput = 200.0;

/// Calls `work(panels)` for pieces of all panels, polling in between.
template <class Work>
void in_pieces(Worker& worker, const kernels::Panels& panels, Index rows, const Work& work) {
  const double panel_cost =
      2.0 * static_cast<double>(rows) * static_cast<double>(panels.inputs * panels.width);
  const Index count = panels.count();
  const auto piece = std::max<Index>(1, static_cast<Index>(kCostPerCall / std::max(panel_cost, 1.0)));
  for (Index first = 0; first < count; first += piece) {
    const Range which{first, std::min(first + piece, count)};
    work(which);
    if (worker.poll(panel_cost * static_cast<double>(which.size()))) return;
  }
}

}  // namespace

Dense::Dense(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec,
             const DensePlace& place)
    : inputs_(spec.inputs),
      outputs_(spec.outputs),
      activation_(spec.activation),
      tied_(!spec.tied_to.empty()),
      learns_variance_(spec.variance == OutputVariance::learned),
      place_(place) {
  require(inputs_ >= 1 && outputs_ >= 1, spec.name + " must have at least one input and one output.");
  require(plan.find(spec.name + ".bias") < 0, "two layers are named " + spec.name + ".");
  if (tied_) {
    kernel_ = plan.find(spec.tied_to + ".kernel");
    require(kernel_ >= 0, spec.name + " is tied to " + spec.tied_to + ", which is not a layer below it.");
    require(plan.at(kernel_).rows == outputs_ && plan.at(kernel_).cols == inputs_,
            spec.name + " is tied to " + spec.tied_to + ", whose shape is not its mirror image.");
    plan.use_transposed_in_forward(kernel_);
  } else {
    const bool multiplies_by_transpose = place.trainable_below && !place.sparse_below;
    kernel_ = plan.add_kernel(table, spec.name + ".kernel", inputs_, outputs_, multiplies_by_transpose);
  }
  bias_ = plan.add_vector(spec.name + ".bias", outputs_);
  if (activation_ == kernels::Activation::prelu) slope_ = plan.add_vector(spec.name + ".slope", outputs_);
  if (spec.variance != OutputVariance::none) {
    const double bound = static_cast<double>(kernels::kLogVarianceBound);
    require(std::abs(portable_log(spec.initial_variance)) < bound,
            "the variance of outputs must lie between e^-10 and e^10.");
    log_variance_ = plan.add_vector(spec.name + ".log_variance", outputs_);
  }
}

LayerBooking Dense::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  LayerBooking booking;
  const bool training = purpose == Purpose::training;
  if (!training || !last) booking.output = plan.book(rows, outputs_);
  const bool takes_derivative = training || (place_.differentiated && purpose == Purpose::evaluation);
  if (takes_derivative && !last && kernels::derivative_reads_preactivation(activation_)) {
    booking.preactivation = plan.book(rows, outputs_);
  }
  if (!training) return booking;
  booking.delta = plan.book(rows, outputs_);
  if (slope_ >= 0) booking.slope_terms = plan.book(rows, outputs_);
  if (learns_variance_) booking.variance_terms = plan.book(rows, outputs_);
  return booking;
}

// A tied kernel is the other layer's, transposed: its two packed forms change places.

kernels::Panels Dense::forward_panels(const Parameters& parameters) const {
  const Parameter& p = parameters.at(kernel_);
  if (tied_) return {parameters.transposed(kernel_), p.cols, p.rows, p.transposed_width};
  return {parameters.weights(kernel_), p.rows, p.cols, p.width};
}

kernels::Panels Dense::backward_panels(const Parameters& parameters) const {
  const Parameter& p = parameters.at(kernel_);
  if (tied_) return {parameters.weights(kernel_), p.rows, p.cols, p.width};
  return {parameters.transposed(kernel_), p.cols, p.rows, p.transposed_width};
}

void Dense::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                    const kernels::LossEpilogue* loss) const {
  kernels::DenseForward f;
  f.x = constant(rows_of(buffers.input, rows));
  if (buffers.sparse_input) f.sparse_x = buffers.sparse_input.values_of(rows);
  f.weights = forward_panels(pass.parameters);
  f.bias = pass.parameters.weights(bias_);
  f.slope = slope_ < 0 ? nullptr : pass.parameters.weights(slope_);
  f.activation = activation_;
  f.preactivation = rows_of(buffers.preactivation, rows);
  f.y = rows_of(buffers.output, rows);
  kernels::LossEpilogue with_variance;
  f.loss = loss;
  if (loss != nullptr && log_variance_ >= 0) {
    with_variance = *loss;
    with_variance.log_variance = pass.parameters.weights(log_variance_);
    with_variance.variance_terms = rows_of(buffers.variance_terms, rows);
    f.loss = &with_variance;
  }
  in_pieces(pass.worker, f.weights, rows.size(), [&](Range panels) {
    f.panels = panels;
    pass.kernels.dense_forward(f);
  });
}

kernels::ActivationGradient Dense::activation_gradient(const Parameters& parameters,
                                                       const LayerBuffers& buffers) const {
  kernels::ActivationGradient g;
  g.activation = activation_;
  g.kept = constant(buffers.preactivation.data != nullptr ? buffers.preactivation : buffers.output);
  g.slope = slope_ < 0 ? nullptr : parameters.weights(slope_);
  g.delta = buffers.delta;
  g.slope_terms = buffers.slope_terms;
  return g;
}

void Dense::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                           const kernels::ActivationGradient& below) const {
  if (buffers.sparse_input) {
    kernels::SparseDots g;
    g.delta = constant(rows_of(buffers.delta, rows));
    g.weights = forward_panels(pass.parameters);
    g.sparse = buffers.sparse_input.values_of(rows);
    g.dots = rows_of(buffers.sparse_input.gradients, rows);
    return pass.kernels.sparse_dots(g);
  }
  kernels::DenseInputGradient g;
  g.delta = constant(rows_of(buffers.delta, rows));
  if (buffers.sparse_delta) g.sparse_delta = buffers.sparse_delta.gradients_of(rows);
  g.transposed = backward_panels(pass.parameters);
  g.below = rows_of(below, rows);
  in_pieces(pass.worker, g.transposed, rows.size(), [&](Range panels) {
    g.panels = panels;
    pass.kernels.dense_input_gradient(g);
  });
}

void Dense::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  const auto input = constant(buffers.input);
  const auto delta = constant(buffers.delta);
  if (buffers.sparse_input || buffers.sparse_delta) {
    sparse_gradients(buffers, list);
  } else if (tied_) {
    list.add_product(kernel_, delta, input);
  } else {
    list.add_product(kernel_, input, delta);
  }
  list.add_column_sum(bias_, delta);
  if (slope_ >= 0) list.add_column_sum(slope_, constant(buffers.slope_terms));
  if (learns_variance_) list.add_column_sum(log_variance_, constant(buffers.variance_terms));
}

void Dense::sparse_gradients(const LayerBuffers& buffers, GradientList& list) const {
  if (buffers.sparse_input) {
    const auto side = tied_ ? kernels::SparseSide::columns : kernels::SparseSide::rows;
    list.add_sparse_product(kernel_,
                            {side, buffers.sparse_input.columns_of_values(), constant(buffers.delta)});
  } else {
    const auto columns = buffers.sparse_delta.columns_of_gradients();
    list.add_sparse_product(kernel_, {kernels::SparseSide::columns, columns, constant(buffers.input)});
  }
}

void Dense::batch_statistics(const Pass& /*pass*/, const LayerBuffers& buffers, Range units,
                             Index rows) const {
  if (units.begin == 0 && units.size() > 0) buffers.sparse_input.order_by_columns(rows);
}

double Dense::forward_cost() const {
  if (place_.sparse_below) return kCostOfSparseInput * static_cast<double>(outputs_);
  return 2.0 * static_cast<double>(inputs_) * static_cast<double>(outputs_);
}

}  // namespace diabolo
