// See dense.h.
#include "model/dense.h"

#include <cmath>

#include "base/check.h"
#include "base/scalar_math.h"
#include "model/panel_pieces.h"

namespace diabolo {
namespace {

/// Operations for one output of a layer whose input is a list, about: its length hardly ever exceeds this.
constexpr double kCostOfSparseInput = 200.0;

}  // namespace

Dense::Dense(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec,
             const DensePlace& place)
    : inputs_(spec.inputs),
      outputs_(spec.outputs),
      activation_(spec.activation),
      products_(place.takes_floats ? kernels::Products::float32
                                   : usable_products(table, spec.products, spec.inputs, spec.outputs)),
      tied_(!spec.tied_to.empty()),
      trains_bias_(spec.trains_bias),
      learns_variance_(spec.variance == OutputVariance::learned),
      place_(place) {
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
    const bool multiplies_by_transpose = place.trainable_below && !place.sparse_below;
    kernel_ =
        plan.add_kernel(table, spec.name + ".kernel", inputs_, outputs_, multiplies_by_transpose, products_);
  }
  if (spec.unit_norm) {
    plan.keep_norms(kernel_, tied_ ? kernels::UnitVectors::columns : kernels::UnitVectors::rows);
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
  const bool sums_over_rows = training && !place_.sparse_above;
  booking.input_pairs = book_pairs(plan, rows, inputs_, products_, {true, sums_over_rows, !tied_});
  const bool takes_derivative = training || (place_.differentiated && purpose == Purpose::evaluation);
  if (takes_derivative && !last && kernels::derivative_reads_preactivation(activation_)) {
    booking.preactivation = plan.book(rows, outputs_);
  }
  if (!training) return booking;
  if (sums_over_rows) {
    booking.delta_pairs = book_pairs(plan, rows, outputs_, products_, {place_.trainable_below, true, tied_});
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

kernels::DenseForward Dense::product(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  kernels::DenseForward f;
  f.products = products_;
  if (buffers.stored_input) {  // products of floats: pairs of neighbours would be half empty
    f.products = kernels::Products::float32;
    f.stored_x = rows_of(buffers.stored_input, rows);
  } else if (products_ == kernels::Products::float32) {
    f.x = constant(rows_of(buffers.input, rows));
    if (buffers.sparse_input) f.sparse_x = buffers.sparse_input.values_of(rows);
  } else {
    f.x = constant(rows_of(buffers.input_pairs.along_columns[0], rows));
    f.x_low = constant(rows_of(buffers.input_pairs.along_columns[1], rows));
  }
  f.weights = buffers.stored_input ? pass.parameters.float_panels(kernel_) : forward_panels(pass.parameters);
  f.bias = pass.parameters.weights(bias_);
  f.slope = slope_ < 0 ? nullptr : pass.parameters.weights(slope_);
  f.activation = activation_;
  f.preactivation = rows_of(buffers.preactivation, rows);
  f.y = rows_of(buffers.output, rows);
  return f;
}

kernels::LossEpilogue Dense::with_variance(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                           const kernels::LossEpilogue& loss) const {
  kernels::LossEpilogue result = loss;
  if (log_variance_ >= 0) {
    result.log_variance = pass.parameters.weights(log_variance_);
    result.variance_terms = rows_of(buffers.variance_terms, rows);
  }
  return result;
}

bool Dense::prepare_input(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  if (products_ == kernels::Products::float32 || buffers.stored_input) return false;
  pack_pairs(pass.kernels, buffers.input, buffers.input_pairs, rows);
  return true;
}

void Dense::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                    const kernels::LossEpilogue* loss) const {
  static_cast<void>(prepare_input(pass, buffers, rows));
  kernels::DenseForward f = product(pass, buffers, rows);
  kernels::LossEpilogue epilogue;
  if (loss != nullptr) {
    epilogue = with_variance(pass, buffers, rows, *loss);
    f.loss = &epilogue;
  }
  in_pieces(pass.worker, f.weights, {}, rows.size(), [&](Range panels) {
    f.panels = panels;
    pass.kernels.dense_forward(f);
  });
}

void Dense::forward_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                         bool last) const {
  kernels::DenseForward f = product(pass, buffers, rows);
  if (last) {
    f.activation = kernels::Activation::identity;
    f.preactivation = rows_of(buffers.delta, rows);
    f.y = {};
  }
  in_pieces(pass.worker, f.weights, part, rows.size(), [&](Range panels) {
    f.panels = panels;
    pass.kernels.dense_forward(f);
  });
}

void Dense::loss_of_rows(const Pass& pass, const LayerBuffers& buffers, Range rows,
                         const kernels::LossEpilogue& loss) const {
  const kernels::LossEpilogue epilogue = with_variance(pass, buffers, rows, loss);
  kernels::DenseForward f = product(pass, buffers, rows);
  f.preactivation = rows_of(buffers.delta, rows);
  f.loss = &epilogue;
  pass.kernels.dense_loss(f);
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
  if (products_ != kernels::Products::float32 && !place_.sparse_above) {
    pack_pairs(pass.kernels, buffers.delta, buffers.delta_pairs, rows);
  }
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
  input_gradient_part(pass, buffers, rows, {}, below);
}

void Dense::input_gradient_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                                const kernels::ActivationGradient& below) const {
  kernels::DenseInputGradient g;
  g.products = products_;
  if (products_ == kernels::Products::float32) {
    g.delta = constant(rows_of(buffers.delta, rows));
    if (buffers.sparse_delta) {
      g.sparse_delta = buffers.auxiliary_delta
                           ? buffers.auxiliary_delta.joined_gradients(buffers.sparse_delta, rows)
                           : buffers.sparse_delta.gradients_of(rows);
    }
  } else {
    g.delta = constant(rows_of(buffers.delta_pairs.along_columns[0], rows));
    g.delta_low = constant(rows_of(buffers.delta_pairs.along_columns[1], rows));
  }
  g.transposed = backward_panels(pass.parameters);
  g.below = rows_of(below, rows);
  in_pieces(pass.worker, g.transposed, part, rows.size(), [&](Range panels) {
    g.panels = panels;
    pass.kernels.dense_input_gradient(g);
  });
}

void Dense::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  const auto add = [&](MatrixView<float> input, MatrixView<float> delta) {
    const MatrixView<float> a = tied_ ? delta : input;
    const MatrixView<float> b = tied_ ? input : delta;
    list.add_product(kernel_, {constant(a), constant(b)});
  };
  const auto delta = constant(buffers.delta);
  const auto& inputs = buffers.input_pairs.along_rows;
  const auto& deltas = buffers.delta_pairs.along_rows;
  if (buffers.stored_input) {
    list.add_product(kernel_, {{}, delta, buffers.stored_input});
  } else if (buffers.sparse_input || buffers.sparse_delta) {
    sparse_gradients(buffers, list);
  } else if (products_ == kernels::Products::float32) {
    add(buffers.input, buffers.delta);
  } else {
    add(inputs[0], deltas[0]);
  }
  if (products_ == kernels::Products::bfloat16_3x && !buffers.sparse_delta && !buffers.stored_input) {
    add(inputs[0], deltas[1]);
    add(inputs[1], deltas[0]);
  }
  if (trains_bias_) list.add_column_sum(bias_, delta);
  if (slope_ >= 0) list.add_column_sum(slope_, constant(buffers.slope_terms));
  if (learns_variance_) list.add_column_sum(log_variance_, constant(buffers.variance_terms));
}

void Dense::sparse_gradients(const LayerBuffers& buffers, GradientList& list) const {
  if (buffers.sparse_input) {
    list.add_sparse_product(kernel_,
                            {code_side(), buffers.sparse_input.columns_of_values(), constant(buffers.delta)});
    return;
  }
  const auto add = [&](const SparseCode& code) {
    list.add_sparse_product(
        kernel_, {kernels::SparseSide::columns, code.columns_of_gradients(), constant(buffers.input)});
  };
  add(buffers.sparse_delta);
  if (buffers.auxiliary_delta) add(buffers.auxiliary_delta.room);
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
