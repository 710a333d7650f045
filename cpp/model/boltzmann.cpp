// See boltzmann.h.
#include "model/boltzmann.h"

#include <cassert>

#include "base/check.h"
#include "model/panel_pieces.h"

namespace diabolo {
namespace {

// What either layer books of its own, in training.
constexpr std::size_t kExpected = 0;  // (rows, hidden units): their expected states, h_0 or h_k

bool is_of_a_unit(kernels::Activation activation) {
  return activation == kernels::Activation::sigmoid || activation == kernels::Activation::identity;
}

void expect(const Pass& pass, kernels::DenseForward f) {
  in_pieces(pass.worker, f.weights, {}, f.x.rows, [&](Range panels) {
    f.panels = panels;
    pass.kernels.dense_forward(f);
  });
}

/// States of units from their expectation: binary, or normal with unit variance. `states` may be `expected`.
void draw(const Pass& pass, kernels::Activation activation, const kernels::NoiseSource& noise,
          MatrixView<const float> expected, MatrixView<float> states) {
  if (activation == kernels::Activation::sigmoid) {
    return pass.kernels.sample_bernoulli({noise, expected, states});
  }
  kernels::Corrupt c;
  c.kind = kernels::CorruptionKind::gaussian;
  c.noise = noise;
  c.scale = 1.0f;
  c.x = expected;
  c.y = states;
  pass.kernels.corrupt(c);
}

/// delta = (after - before) w / n, w the weights of the rows, n those of the batch.
void compare(const Pass& pass, Range rows, MatrixView<const float> after, MatrixView<const float> before,
             MatrixView<float> delta) {
  kernels::ScaledDifference d;
  d.a = after;
  d.b = before;
  d.scale = 1.0f / static_cast<float>(pass.step->batch_rows);
  d.row_weights = pass.step->row_weights_from(rows.begin);
  d.out = delta;
  pass.kernels.scaled_difference(d);
}

double cost(Index visible, Index hidden) {
  return 2.0 * static_cast<double>(visible) * static_cast<double>(hidden);
}

}  // namespace

BoltzmannHidden::BoltzmannHidden(const kernels::KernelTable& table, ParameterPlan& plan,
                                 const BoltzmannHiddenSpec& spec, int number)
    : spec_(spec), number_(number) {
  require(spec.visible >= 1 && spec.hidden >= 1, spec.name + " must have at least one unit on either side.");
  require(number == 0, "the hidden units of a Boltzmann machine must be the first layer.");
  require(is_of_a_unit(spec.activation), "the units of a Boltzmann machine must be sigmoid or identity.");
  kernel_ = plan.add_kernel(table, spec.name + ".kernel", spec.visible, spec.hidden, true,
                            kernels::Products::float32);
  bias_ = plan.add_vector(spec.name + ".bias", spec.hidden);
}

LayerBooking BoltzmannHidden::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.output = plan.book(rows, spec_.hidden);
  if (purpose != Purpose::training) return booking;
  booking.own = {plan.book(rows, spec_.hidden)};
  booking.delta = plan.book(rows, spec_.hidden);
  return booking;
}

void BoltzmannHidden::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                              const kernels::LossEpilogue* /*loss*/) const {
  const bool draws = !buffers.own.empty();
  kernels::DenseForward f;
  f.x = constant(rows_of(buffers.input, rows));
  f.weights = pass.parameters.panels(kernel_);
  f.bias = pass.parameters.weights(bias_);
  f.activation = spec_.activation;
  f.y = rows_of(draws ? buffers.own[kExpected] : buffers.output, rows);
  expect(pass, f);
  if (!draws) return;
  draw(pass, spec_.activation, noise_source(pass.step->noise, number_, rows.begin), constant(f.y),
       rows_of(buffers.output, rows));
}

/// The layer above compares with h_0, and leaves (h_k - h_0) / n.
kernels::ActivationGradient BoltzmannHidden::activation_gradient(const Parameters& /*parameters*/,
                                                                 const LayerBuffers& buffers) const {
  kernels::ActivationGradient g;
  g.kept = constant(buffers.own[kExpected]);
  g.delta = buffers.delta;
  return g;
}

void BoltzmannHidden::input_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                                     const kernels::ActivationGradient& /*below*/) const {
  assert(false);  // it is the first layer
}

void BoltzmannHidden::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  list.add_product(kernel_, {constant(buffers.input), constant(buffers.delta)});
  list.add_column_sum(bias_, constant(buffers.delta));
}

double BoltzmannHidden::forward_cost() const { return cost(spec_.visible, spec_.hidden); }

BoltzmannVisible::BoltzmannVisible(ParameterPlan& plan, const BoltzmannVisibleSpec& spec, int number)
    : spec_(spec), number_(number) {
  require(number == 1, "the visible units of a Boltzmann machine must stand right above its hidden ones.");
  require(spec.steps >= 1, "contrastive divergence takes at least one step.");
  require(is_of_a_unit(spec.activation) && is_of_a_unit(spec.hidden_activation),
          "the units of a Boltzmann machine must be sigmoid or identity.");
  kernel_ = plan.find(spec.hidden_name + ".kernel");
  hidden_bias_ = plan.find(spec.hidden_name + ".bias");
  require(kernel_ >= 0 && hidden_bias_ >= 0, spec.name + " has no hidden units " + spec.hidden_name + ".");
  require(plan.at(kernel_).rows == spec.visible && plan.at(kernel_).cols == spec.hidden,
          spec.name + " and " + spec.hidden_name + " must have a kernel of one shape.");
  plan.use_transposed_in_forward(kernel_);
  bias_ = plan.add_vector(spec.name + ".bias", spec.visible);
}

LayerBooking BoltzmannVisible::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool /*last*/) const {
  LayerBooking booking;
  booking.output = plan.book(rows, spec_.visible);
  if (purpose != Purpose::training) return booking;
  booking.own = {plan.book(rows, spec_.hidden)};
  booking.delta = plan.book(rows, spec_.visible);
  return booking;
}

void BoltzmannVisible::expect_visible(const Pass& pass, MatrixView<const float> hidden,
                                      MatrixView<float> visible, const kernels::LossEpilogue* loss) const {
  kernels::DenseForward f;
  f.x = hidden;
  f.weights = pass.parameters.transposed_panels(kernel_);
  f.bias = pass.parameters.weights(bias_);
  f.activation = spec_.activation;
  f.y = visible;
  f.loss = loss;
  expect(pass, f);
}

void BoltzmannVisible::expect_hidden(const Pass& pass, MatrixView<const float> visible,
                                     MatrixView<float> hidden) const {
  kernels::DenseForward f;
  f.x = visible;
  f.weights = pass.parameters.panels(kernel_);
  f.bias = pass.parameters.weights(hidden_bias_);
  f.activation = spec_.hidden_activation;
  f.y = hidden;
  expect(pass, f);
}

void BoltzmannVisible::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                               const kernels::LossEpilogue* loss) const {
  const MatrixView<float> visible = rows_of(buffers.output, rows);
  const auto drawn = constant(rows_of(buffers.input, rows));
  if (buffers.own.empty()) return expect_visible(pass, drawn, visible, loss);

  kernels::LossEpilogue value = *loss;  // without a gradient: that is another one
  value.delta = {};
  expect_visible(pass, drawn, visible, &value);
  const MatrixView<float> hidden = rows_of(buffers.own[kExpected], rows);
  expect_hidden(pass, constant(visible), hidden);
  for (Index step = 1; step < spec_.steps; ++step) {
    // Each step draws as if it were a layer of its own: none lies above.
    const int number = number_ + static_cast<int>(step) - 1;
    draw(pass, spec_.hidden_activation, noise_source(pass.step->noise, number, rows.begin), constant(hidden),
         hidden);
    expect_visible(pass, constant(hidden), visible, nullptr);
    expect_hidden(pass, constant(visible), hidden);
  }
  compare(pass, rows, constant(visible), loss->target, rows_of(buffers.delta, rows));
}

void BoltzmannVisible::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                      const kernels::ActivationGradient& below) const {
  compare(pass, rows, constant(rows_of(buffers.own[kExpected], rows)), rows_of(below.kept, rows),
          rows_of(below.delta, rows));
}

void BoltzmannVisible::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  list.add_product(kernel_, {constant(buffers.delta), constant(buffers.own[kExpected])});
  list.add_column_sum(bias_, constant(buffers.delta));
}

double BoltzmannVisible::forward_cost() const { return cost(spec_.visible, spec_.hidden); }

}  // namespace diabolo
