// See jacobian_penalty.h. With t_0 = u, of the layers l = 1, ..., L below
//   q_l = t_(l-1) W_l       t_l = f'(z_l) q_l          the penalty of a row is weight ||t_L||^2;
//   back from dt_L = 2 weight t_L / rows:
//   dq_l = dt_l f'(z_l)     dz_l += dt_l q_l f''(z_l)  dW_l += t_(l-1)^T dq_l      dt_(l-1) = dq_l W_l^T
#include "model/jacobian_penalty.h"

#include <cmath>
#include <utility>

#include "base/check.h"

namespace diabolo {
namespace {

// The exact norm's buffers of its own, (rows, units) each.
constexpr std::size_t kDirect = 0;       // gradient at the pre-activation past the code
constexpr std::size_t kUnitFactors = 1;  // of the weights in their own gradient

// The estimate's: the probe u (rows, features), and for each layer, (rows, outputs) each:
constexpr std::size_t kProbe = 0;
constexpr std::size_t tangent_of(std::size_t layer) { return 1 + 3 * layer; }
constexpr std::size_t product_of(std::size_t layer) { return 2 + 3 * layer; }  // on the way back: dz
constexpr std::size_t gradient_of(std::size_t layer) { return 3 + 3 * layer; }
/// What comes into a layer: the tangent of the one below, or the probe.
constexpr std::size_t tangent_into(std::size_t layer) { return layer == 0 ? kProbe : tangent_of(layer - 1); }

/// out = x B for all of the panels, which may be those of a transpose.
void multiply(const Pass& pass, MatrixView<const float> x, const kernels::Panels& panels,
              MatrixView<float> out) {
  kernels::DenseInputGradient g;  // a product without a bias; the identity's derivative is 1
  g.delta = x;
  g.transposed = panels;
  g.panels = {0, panels.count()};
  g.below.kept = constant(out);
  g.below.delta = out;
  pass.kernels.dense_input_gradient(g);
}

const float* slope_of(const Parameters& parameters, const DifferentiatedLayer& layer) {
  return layer.slope < 0 ? nullptr : parameters.weights(layer.slope);
}

}  // namespace

JacobianPenalty::JacobianPenalty(const JacobianPenaltySpec& spec, std::vector<DifferentiatedLayer> encoder,
                                 int number)
    : spec_(spec), encoder_(std::move(encoder)), number_(number) {
  require(spec.units >= 1, "a penalty on a Jacobian needs at least one unit.");
  require(std::isfinite(spec.weight) && spec.weight >= 0.0,
          "the weight of a penalty on a Jacobian must not be negative.");
  require(!encoder_.empty(), "a penalty on a Jacobian needs a layer below it.");
}

LayerBooking JacobianPenalty::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.passes_input_on = true;
  if (purpose == Purpose::inference) return booking;
  const bool training = purpose == Purpose::training;
  booking.sees_below = true;
  booking.row_penalty = plan.book(rows, 1);
  if (training) booking.delta = plan.book(rows, spec_.units);
  if (is_exact()) {
    booking.unit_statistics = plan.book(1, spec_.units);
    if (training) booking.own = {plan.book(rows, spec_.units), plan.book(rows, spec_.units)};
    return booking;
  }
  booking.own.push_back(plan.book(rows, encoder_.front().inputs));
  for (const DifferentiatedLayer& layer : encoder_) {
    booking.own.push_back(plan.book(rows, layer.outputs));
    booking.own.push_back(plan.book(rows, layer.outputs));
    booking.own.push_back(training ? plan.book(rows, layer.outputs) : WorkspacePlan::Buffer{});
  }
  return booking;
}

void JacobianPenalty::batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                       Index /*rows*/) const {
  if (units.size() == 0) return;
  pass.kernels.squared_column_norms(pass.parameters.panels(encoder_.front().kernel), units,
                                    buffers.unit_statistics.row(0));
}

void JacobianPenalty::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                              const kernels::LossEpilogue* /*loss*/) const {
  if (buffers.row_penalty.data == nullptr) return;
  if (is_exact()) {
    exact_norm(pass, buffers, rows);
  } else {
    tangents_forward(pass, buffers, rows);
  }
}

void JacobianPenalty::exact_norm(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  const DifferentiatedLayer& layer = encoder_.front();
  kernels::JacobianNorm g;
  g.activation = layer.activation;
  g.kept = rows_of(kept_for_derivative(buffers.below.back()), rows);
  g.slope = slope_of(pass.parameters, layer);
  g.squared_norms = buffers.unit_statistics.row(0);
  g.norms = rows_of(buffers.row_penalty, rows);
  if (!buffers.own.empty()) {
    g.scale = static_cast<float>(spec_.weight / static_cast<double>(pass.step->batch_rows));
    g.row_weights = pass.step->row_weights_from(rows.begin);
    g.direct = rows_of(buffers.own[kDirect], rows);
    g.unit_factors = rows_of(buffers.own[kUnitFactors], rows);
  }
  pass.kernels.jacobian_norm(g);
}

void JacobianPenalty::tangents_forward(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  pass.kernels.random_signs(noise_source(pass.step->noise, number_, rows.begin),
                            rows_of(buffers.own[kProbe], rows));
  for (std::size_t l = 0; l < encoder_.size(); ++l) {
    const DifferentiatedLayer& layer = encoder_[l];
    const MatrixView<float> product = rows_of(buffers.own[product_of(l)], rows);
    multiply(pass, constant(rows_of(buffers.own[tangent_into(l)], rows)),
             pass.parameters.panels(layer.kernel), product);
    kernels::TangentForward t;
    t.activation = layer.activation;
    t.kept = rows_of(kept_for_derivative(buffers.below[l]), rows);
    t.slope = slope_of(pass.parameters, layer);
    t.product = constant(product);
    t.tangent = rows_of(buffers.own[tangent_of(l)], rows);
    pass.kernels.tangent_forward(t);
  }
  pass.kernels.squared_sums(constant(rows_of(buffers.own[tangent_of(encoder_.size() - 1)], rows)),
                            rows_of(buffers.row_penalty, rows));
}

void JacobianPenalty::tangents_backward(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  const std::size_t last = encoder_.size() - 1;
  const double factor = 2.0 * spec_.weight / static_cast<double>(pass.step->batch_rows);
  for (Index r = rows.begin; r < rows.end; ++r) {
    pass.kernels.scale_rows(constant(rows_of(buffers.own[tangent_of(last)], {r, r + 1})),
                            static_cast<float>(factor * pass.step->row_weight(r)),
                            rows_of(buffers.own[gradient_of(last)], {r, r + 1}));
  }
  for (std::size_t l = last + 1; l-- > 0;) {
    const DifferentiatedLayer& layer = encoder_[l];
    kernels::TangentBackward t;
    t.activation = layer.activation;
    t.kept = rows_of(kept_for_derivative(buffers.below[l]), rows);
    t.slope = slope_of(pass.parameters, layer);
    t.gradient = rows_of(buffers.own[gradient_of(l)], rows);
    t.product = rows_of(buffers.own[product_of(l)], rows);
    pass.kernels.tangent_backward(t);
    if (l == 0) return;
    multiply(pass, constant(t.gradient), pass.parameters.transposed_panels(layer.kernel),
             rows_of(buffers.own[gradient_of(l - 1)], rows));
  }
}

void JacobianPenalty::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                     const kernels::ActivationGradient& below) const {
  pass.kernels.chain_rule({constant(rows_of(buffers.delta, rows)), rows_of(below, rows)});
  if (!is_exact()) tangents_backward(pass, buffers, rows);
}

void JacobianPenalty::amend_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                     Index layer) const {
  const auto l = static_cast<std::size_t>(layer);
  const LayerBuffers& below = buffers.below[l];
  const bool learned = encoder_[l].slope >= 0;  // its second derivative is 0: what there is, is the slope's
  pass.kernels.add_rows(constant(rows_of(buffers.own[is_exact() ? kDirect : product_of(l)], rows)),
                        rows_of(learned ? below.slope_terms : below.delta, rows));
}

void JacobianPenalty::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  if (is_exact()) {
    return list.add_factored_weights(encoder_.front().kernel, constant(buffers.own[kUnitFactors]));
  }
  for (std::size_t l = 0; l < encoder_.size(); ++l) {
    list.add_product(encoder_[l].kernel,
                     {constant(buffers.own[tangent_into(l)]), constant(buffers.own[gradient_of(l)])});
  }
}

double JacobianPenalty::slab_penalty(const StepContext& step, const LayerBuffers& buffers, Index rows) const {
  double sum = 0.0;
  for (Index r = 0; r < rows; ++r) sum += step.row_weight(r) * row_penalty(buffers, r);
  return sum;
}

double JacobianPenalty::row_penalty(const LayerBuffers& buffers, Index row) const {
  return spec_.weight * static_cast<double>(buffers.row_penalty.row(row)[0]);
}

void JacobianPenalty::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  if (units.begin != 0 || units.size() == 0) return;
  for (Index r = 0; r < rows; ++r) tallies[0] += static_cast<double>(buffers.row_penalty.row(r)[0]);
}

std::vector<Measure> JacobianPenalty::measures(const double* tallies, Index rows) const {
  return {{"squared_jacobian_norm", tallies[0] / static_cast<double>(rows < 1 ? 1 : rows)}};
}

double JacobianPenalty::forward_cost() const {
  double cost = 4.0 * static_cast<double>(spec_.units);
  if (is_exact()) return cost;
  for (const DifferentiatedLayer& layer : encoder_) {
    cost += 2.0 * static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs);
  }
  return cost;
}

}  // namespace diabolo
