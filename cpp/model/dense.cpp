// See dense.h.
#include "model/dense.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/scalar_math.h"

namespace diabolo {
namespace {

struct Shape {
  Index rows;
  Index cols;
};

/// Operations of one kernel call: about a millisecond, so that a large layer still polls often enough.
constexpr double kCostPerCall = 5e7;

/// Layers narrower than this gain nothing from faster products: to make the pairs takes too long.
constexpr Index kLeastForPairs = 32;

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

/// Books `shape` as pairs, in the parts that `products` splits numbers into; for float32 nothing.
void book_pairs(WorkspacePlan& plan, Pairs<WorkspacePlan::Buffer>& pairs, Shape shape,
                kernels::Products products, bool along_columns, bool along_rows) {
  if (products == kernels::Products::float32) return;
  const int parts = products == kernels::Products::bfloat16_3x ? 2 : 1;
  for (int part = 0; part < parts; ++part) {
    if (along_columns) {
      pairs.along_columns[part] = plan.book(shape.rows, kernels::terms_of(shape.cols, products));
    }
    if (along_rows) pairs.along_rows[part] = plan.book(kernels::terms_of(shape.rows, products), shape.cols);
  }
}

/// Rows that begin a pair of rows.
void pack(const kernels::KernelTable& table, MatrixView<float> x, const Pairs<MatrixView<float>>& pairs,
          Range rows) {
  const Range pairs_of_rows{rows.begin / 2, (rows.end + 1) / 2};
  kernels::PackPairs p;
  p.x = constant(rows_of(x, rows));
  p.along_columns = rows_of(pairs.along_columns[0], rows);
  p.along_rows = rows_of(pairs.along_rows[0], pairs_of_rows);
  p.along_columns_low = rows_of(pairs.along_columns[1], rows);
  p.along_rows_low = rows_of(pairs.along_rows[1], pairs_of_rows);
  table.pack_pairs(p);
}

}  // namespace

Dense::Dense(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec,
             bool trainable_below)
    : inputs_(spec.inputs),
      outputs_(spec.outputs),
      activation_(spec.activation),
      products_(usable_products(table, spec.products, spec.inputs, spec.outputs)),
      trainable_below_(trainable_below),
      tied_(!spec.tied_to.empty()),
      learns_variance_(spec.variance == OutputVariance::learned) {
  require(inputs_ >= 1 && outputs_ >= 1, spec.name + " must have at least one input and one output.");
  require(plan.find(spec.name + ".bias") < 0, "two layers are named " + spec.name + ".");
  if (tied_) {
    kernel_ = plan.find(spec.tied_to + ".kernel");
    require(kernel_ >= 0, spec.name + " is tied to " + spec.tied_to + ", which is not a layer below it.");
    require(plan.at(kernel_).rows == outputs_ && plan.at(kernel_).cols == inputs_,
            spec.name + " is tied to " + spec.tied_to + ", whose shape is not its mirror image.");
    require(plan.at(kernel_).products == products_,
            spec.name + " is tied to " + spec.tied_to + ", which multiplies in another precision.");
    plan.use_transposed_in_forward(kernel_);
  } else {
    kernel_ = plan.add_kernel(table, spec.name + ".kernel", inputs_, outputs_, trainable_below, products_);
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
  book_pairs(plan, booking.input_pairs, {rows, inputs_}, products_, true, training);
  if (!training) return booking;
  book_pairs(plan, booking.delta_pairs, {rows, outputs_}, products_, trainable_below_, true);
  if (!last && kernels::derivative_reads_preactivation(activation_)) {
    booking.preactivation = plan.book(rows, outputs_);
  }
  booking.delta = plan.book(rows, outputs_);
  if (slope_ >= 0) booking.slope_terms = plan.book(rows, outputs_);
  if (learns_variance_) booking.variance_terms = plan.book(rows, outputs_);
  return booking;
}

// A tied kernel is the other layer's, transposed: its two packed forms change places.

kernels::Panels Dense::forward_panels(const Parameters& parameters) const {
  return tied_ ? parameters.transposed_panels(kernel_) : parameters.panels(kernel_);
}

kernels::Panels Dense::backward_panels(const Parameters& parameters) const {
  return tied_ ? parameters.panels(kernel_) : parameters.transposed_panels(kernel_);
}

void Dense::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                    const kernels::LossEpilogue* loss) const {
  kernels::DenseForward f;
  f.products = products_;
  f.x = constant(rows_of(buffers.input, rows));
  if (products_ != kernels::Products::float32) {
    pack(pass.kernels, buffers.input, buffers.input_pairs, rows);
    f.x = constant(rows_of(buffers.input_pairs.along_columns[0], rows));
    f.x_low = constant(rows_of(buffers.input_pairs.along_columns[1], rows));
  }
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

void Dense::receive_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  if (products_ != kernels::Products::float32) pack(pass.kernels, buffers.delta, buffers.delta_pairs, rows);
}

void Dense::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                           const kernels::ActivationGradient& below) const {
  kernels::DenseInputGradient g;
  g.products = products_;
  g.delta = constant(rows_of(buffers.delta, rows));
  if (products_ != kernels::Products::float32) {
    g.delta = constant(rows_of(buffers.delta_pairs.along_columns[0], rows));
    g.delta_low = constant(rows_of(buffers.delta_pairs.along_columns[1], rows));
  }
  g.transposed = backward_panels(pass.parameters);
  g.below = rows_of(below, rows);
  in_pieces(pass.worker, g.transposed, rows.size(), [&](Range panels) {
    g.panels = panels;
    pass.kernels.dense_input_gradient(g);
  });
}

void Dense::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  const auto add = [&](MatrixView<float> input, MatrixView<float> delta) {
    const MatrixView<float> a = tied_ ? delta : input;
    const MatrixView<float> b = tied_ ? input : delta;
    list.add_product(kernel_, constant(a), constant(b));
  };
  const auto& inputs = buffers.input_pairs.along_rows;
  const auto& deltas = buffers.delta_pairs.along_rows;
  if (products_ == kernels::Products::float32) {
    add(buffers.input, buffers.delta);
  } else {
    add(inputs[0], deltas[0]);
  }
  if (products_ == kernels::Products::bfloat16_3x) {
    add(inputs[0], deltas[1]);
    add(inputs[1], deltas[0]);
  }
  const auto delta = constant(buffers.delta);
  list.add_column_sum(bias_, delta);
  if (slope_ >= 0) list.add_column_sum(slope_, constant(buffers.slope_terms));
  if (learns_variance_) list.add_column_sum(log_variance_, constant(buffers.variance_terms));
}

kernels::Products usable_products(const kernels::KernelTable& table, kernels::Products wanted, Index inputs,
                                  Index outputs) {
  using kernels::Products;
  if (wanted == Products::float32 || kernels::forces_precision()) return wanted;
  // Three products of pairs take longer than one of floats wherever pairs are at most twice as fast.
  const bool large = inputs >= kLeastForPairs && outputs >= kLeastForPairs;
  return wanted == Products::bfloat16 && large && kernels::pairs_are_faster(table) ? wanted
                                                                                   : Products::float32;
}

double Dense::forward_cost() const {
  return 2.0 * static_cast<double>(inputs_) * static_cast<double>(outputs_);
}

}  // namespace diabolo
