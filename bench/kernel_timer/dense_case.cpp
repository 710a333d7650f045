// See dense_case.h.
#include "dense_case.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

using diabolo::Index;
using diabolo::MatrixView;
namespace kernels = diabolo::kernels;

namespace {

template <class T>
MatrixView<const T> constant(MatrixView<T> m) {
  return {m.data, m.rows, m.cols, m.stride};
}

/// Adam with so small a rate that weights stay what they are over any number of calls with one gradient.
kernels::UpdateRule adam() {
  kernels::UpdateRule rule;
  rule.rule = kernels::Rule::adam;
  rule.rate = 1e-9f;
  rule.decay_1 = 0.9f;
  rule.gain_1 = 0.1f;
  rule.decay_2 = 0.999f;
  rule.gain_2 = 0.001f;
  rule.epsilon = 1e-8f;
  return rule;
}

}  // namespace

DenseCase::DenseCase(const kernels::KernelTable& table, Index rows, Index inputs, Index outputs,
                     kernels::Products products)
    : table_(table),
      rows_(rows),
      inputs_(inputs),
      outputs_(outputs),
      products_(products),
      kernel_(plan_.add_kernel(table, "kernel", inputs, outputs, true, products)),
      bias_(plan_.add_vector("bias", outputs)),
      parameters_(table, plan_, diabolo::Purpose::training),
      adam_(adam()),
      x_(booking_.book(rows, inputs)),
      x_delta_(booking_.book(rows, inputs)),
      y_(booking_.book(rows, outputs)),
      delta_(booking_.book(rows, outputs)),
      target_(booking_.book(rows, outputs)),
      booked_input_pairs_(diabolo::book_pairs(booking_, rows, inputs, products, {true, true, true})),
      booked_delta_pairs_(diabolo::book_pairs(booking_, rows, outputs, products, {true, true, false})),
      workspace_(booking_),
      input_pairs_(diabolo::lay_out(booked_input_pairs_, workspace_)),
      delta_pairs_(diabolo::lay_out(booked_delta_pairs_, workspace_)),
      lanes_(rows * kernels::kGroup) {
  if (products != kernels::Products::float32) {
    if (!kernels::acquire_pair_unit(table)) throw std::runtime_error("the system lends no tiles.");
    if (table.prepare_thread != nullptr) table.prepare_thread();
  }
  parameters_.add_moments(2);
  parameters_.add_gradient();
  std::mt19937 engine;
  std::normal_distribution<float> normal;
  const auto fill = [&](MatrixView<float> m, auto number) {
    for (Index r = 0; r < m.rows; ++r) {
      for (Index c = 0; c < m.cols; ++c) m.row(r)[c] = number();
    }
  };
  const float deviation = std::sqrt(2.0f / static_cast<float>(inputs));
  std::vector<float> weights(static_cast<std::size_t>(inputs * outputs));
  for (float& w : weights) w = deviation * normal(engine);
  parameters_.import_values(kernel_, weights.data());
  fill(workspace_.view(x_), [&] { return std::max(0.0f, normal(engine)); });
  fill(workspace_.view(delta_), [&] { return 1e-3f * normal(engine); });
  fill(workspace_.view(target_), [&] { return std::generate_canonical<float, 24>(engine); });
  if (products == kernels::Products::float32) return;
  pack_input();
  pack_delta();
}

std::vector<std::string> DenseCase::kernels() {
  return {"forward",         "forward_gelu",         "forward_loss",  "input_gradient",
          "weight_gradient", "weight_gradient_adam", "bias_gradient", "stored_update",
          "transpose",       "pack_input",           "pack_delta"};
}

Work DenseCase::work(const std::string& kernel) {
  const auto rows = static_cast<double>(rows_);
  const auto inputs = static_cast<double>(inputs_);
  const auto outputs = static_cast<double>(outputs_);
  const double product = 2.0 * rows * inputs * outputs;
  if (kernel == "forward") {
    return {[this] { forward(kernels::Activation::relu, nullptr); }, product, rows * outputs};
  }
  if (kernel == "forward_gelu") {
    return {[this] { forward(kernels::Activation::gelu, nullptr); }, product, rows * outputs};
  }
  if (kernel == "forward_loss") {
    return {[this] {
              kernels::LossEpilogue loss;
              loss.loss = kernels::Loss::binary_crossentropy;
              loss.target = constant(workspace_.view(target_));
              loss.scale = 1.0f / static_cast<float>(rows_ * outputs_);
              loss.lanes = lanes_.data();
              loss.delta = workspace_.view(delta_);
              forward(kernels::Activation::sigmoid, &loss);
            },
            product, rows * outputs};
  }
  if (kernel == "input_gradient") return {[this] { input_gradient(); }, product, rows * inputs};
  if (kernel == "weight_gradient") {
    return {[this] { weight_gradient(kernels::GradientUse::store); }, product, inputs * outputs};
  }
  if (kernel == "weight_gradient_adam") {
    return {[this] { weight_gradient(kernels::GradientUse::update); }, product, inputs * outputs};
  }
  const bool floats = products_ == kernels::Products::float32;
  if (kernel == "pack_input" && !floats) return {[this] { pack_input(); }, 0.0, rows * inputs};
  if (kernel == "pack_delta" && !floats) return {[this] { pack_delta(); }, 0.0, rows * outputs};
  if (kernel == "bias_gradient") return {[this] { bias_gradient(); }, 0.0, rows * outputs};
  if (kernel == "stored_update") {
    weight_gradient(kernels::GradientUse::store);
    return {[this] { stored_update(); }, 0.0, inputs * outputs};
  }
  if (kernel == "transpose") {
    return {[this] { table_.copy_weights(parameters_.float_panels(kernel_), parameters_.copies(kernel_)); },
            0.0, inputs * outputs};
  }
  std::string names;
  for (const std::string& name : kernels()) names += " " + name;
  throw std::invalid_argument("no kernel '" + kernel + "'; there are:" + names + ".");
}

void DenseCase::forward(kernels::Activation activation, const kernels::LossEpilogue* loss) {
  kernels::DenseForward f;
  f.products = products_;
  const bool floats = products_ == kernels::Products::float32;
  f.x = constant(floats ? workspace_.view(x_) : input_pairs_.along_columns[0]);
  f.x_low = constant(input_pairs_.along_columns[1]);
  f.weights = parameters_.panels(kernel_);
  f.panels = {0, f.weights.count()};
  f.bias = parameters_.weights(bias_);
  f.activation = activation;
  // The last layer of a network in training leaves its output unwritten.
  if (loss == nullptr) f.y = workspace_.view(y_);
  f.loss = loss;
  // The loss adds to what it finds.
  if (loss != nullptr) std::fill_n(lanes_.data(), lanes_.size(), 0.0f);
  table_.dense_forward(f);
}

void DenseCase::input_gradient() {
  kernels::DenseInputGradient g;
  g.products = products_;
  const bool floats = products_ == kernels::Products::float32;
  g.delta = constant(floats ? workspace_.view(delta_) : delta_pairs_.along_columns[0]);
  g.delta_low = constant(delta_pairs_.along_columns[1]);
  g.transposed = parameters_.transposed_panels(kernel_);
  g.panels = {0, g.transposed.count()};
  g.below.activation = kernels::Activation::relu;
  g.below.kept = constant(workspace_.view(x_));
  g.below.delta = workspace_.view(x_delta_);
  table_.dense_input_gradient(g);
}

template <class Unit>
void DenseCase::for_each_unit(const Unit& unit) const {
  const Index width = parameters_.at(kernel_).width;
  for (Index panel = 0; panel * width < outputs_; ++panel) {
    for (Index row = 0; row < inputs_; row += kernels::kUnitRows) unit(row, panel);
  }
}

void DenseCase::weight_gradient(kernels::GradientUse use) {
  const auto pairs_of = [&](MatrixView<float> m) {
    m.rows = kernels::terms_of(rows_, products_);
    return constant(m);
  };
  const auto& a = input_pairs_.along_rows;
  const auto& b = delta_pairs_.along_rows;
  const bool floats = products_ == kernels::Products::float32;
  const kernels::GradientTerm of_floats{constant(workspace_.view(x_)), constant(workspace_.view(delta_))};
  const kernels::GradientTerm terms[] = {
      floats ? of_floats : kernels::GradientTerm{pairs_of(a[0]), pairs_of(b[0])},
      {pairs_of(a[0]), pairs_of(b[1])},
      {pairs_of(a[1]), pairs_of(b[0])}};
  const diabolo::Parameter& p = parameters_.at(kernel_);
  kernels::DenseWeightGradient g;
  g.terms = terms;
  g.term_count = products_ == kernels::Products::bfloat16_3x ? 3 : 1;
  g.inputs = inputs_;
  g.outputs = outputs_;
  g.width = p.width;
  g.weights = parameters_.weights(kernel_);
  g.first_moment = parameters_.moment(0, kernel_);
  g.second_moment = parameters_.moment(1, kernel_);
  g.copies = parameters_.copies(kernel_);
  g.gradient = parameters_.gradient(kernel_);
  g.use = use;
  g.rule = &adam_;
  for_each_unit([&](Index row, Index panel) {
    g.unit_row = row;
    g.panel = panel;
    (void)table_.dense_weight_gradient(g);
  });
}

void DenseCase::pack_input() { diabolo::pack_pairs(table_, workspace_.view(x_), input_pairs_, {0, rows_}); }

void DenseCase::pack_delta() {
  diabolo::pack_pairs(table_, workspace_.view(delta_), delta_pairs_, {0, rows_});
}

void DenseCase::bias_gradient() {
  kernels::VectorGradient g;
  g.terms = constant(workspace_.view(delta_));
  g.columns = {0, diabolo::round_up(outputs_, kernels::kGroup)};
  g.units = outputs_;
  g.weights = parameters_.weights(bias_);
  g.first_moment = parameters_.moment(0, bias_);
  g.second_moment = parameters_.moment(1, bias_);
  g.gradient = parameters_.gradient(bias_);
  g.rule = &adam_;
  (void)table_.vector_gradient(g);
}

void DenseCase::stored_update() {
  const diabolo::Parameter& p = parameters_.at(kernel_);
  kernels::StoredUpdate u;
  u.inputs = inputs_;
  u.outputs = outputs_;
  u.width = p.width;
  u.weights = parameters_.weights(kernel_);
  u.first_moment = parameters_.moment(0, kernel_);
  u.second_moment = parameters_.moment(1, kernel_);
  u.copies = parameters_.copies(kernel_);
  u.gradient = parameters_.gradient(kernel_);
  u.rule = &adam_;
  for_each_unit([&](Index row, Index panel) {
    u.unit_row = row;
    u.panel = panel;
    (void)table_.stored_update(u);
  });
}
