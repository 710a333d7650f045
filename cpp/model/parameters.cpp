// See parameters.h.
#include "model/parameters.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/workspace.h"

namespace diabolo {
namespace {

/// The panel width for `outputs` columns: the one that computes the fewest columns beyond the last; among
/// equals the widest, which reads the other operand least often.
Index panel_width(const kernels::KernelTable& table, Index outputs) {
  Index best = table.panel_widths[0];
  for (int i = 1; i < table.panel_width_count; ++i) {
    const Index width = table.panel_widths[i];
    // A sixteenth more columns is a fair price for a wider tile: narrow ones load more per multiplication.
    if (round_up(outputs, width) <= round_up(outputs, best) * 17 / 16) best = width;
  }
  return best;
}

Index panel_floats(Index inputs, Index outputs, Index width) {
  return checked_product(inputs, round_up(outputs, width));
}

int find_in(const std::vector<Parameter>& list, const std::string& name) {
  const auto at = std::find_if(list.begin(), list.end(), [&](const Parameter& p) { return p.name == name; });
  return at == list.end() ? -1 : static_cast<int>(at - list.begin());
}

/// Where element (row, col) of a parameter lies in its panels (a vector is one panel).
Index place_of(const Parameter& p, Index row, Index col) {
  return (col / p.width * p.rows + row) * p.width + col % p.width;
}

}  // namespace

int ParameterPlan::add_kernel(const kernels::KernelTable& table, std::string name, Index inputs,
                              Index outputs, bool needs_input_gradient, kernels::Products products) {
  Parameter p;
  p.name = std::move(name);
  p.rows = inputs;
  p.cols = outputs;
  p.is_kernel = true;
  p.width = panel_width(table, outputs);
  p.transposed_width = panel_width(table, inputs);
  p.needs_input_gradient = needs_input_gradient;
  p.offset = floats_;
  p.size = panel_floats(inputs, outputs, p.width);
  p.products = products;
  if (products != kernels::Products::float32) {
    p.forward.size = panel_floats(kernels::terms_of(inputs, products), outputs, p.width);
  }
  p.transposed.size = panel_floats(kernels::terms_of(outputs, products), inputs, p.transposed_width);
  floats_ = checked_sum(floats_, p.size);
  list_.push_back(std::move(p));
  return static_cast<int>(list_.size()) - 1;
}

int ParameterPlan::add_vector(std::string name, Index units) {
  Parameter p;
  p.name = std::move(name);
  p.cols = units;
  p.width = round_up(units, kernels::kSlack);  // any panel's last one reads whole widths
  p.offset = floats_;
  p.size = p.width;
  floats_ = checked_sum(floats_, p.size);
  list_.push_back(std::move(p));
  return static_cast<int>(list_.size()) - 1;
}

int ParameterPlan::find(const std::string& name) const { return find_in(list_, name); }

bool ParameterPlan::keeps_norms() const {
  return std::any_of(list_.begin(), list_.end(),
                     [](const Parameter& p) { return p.unit_vectors != kernels::UnitVectors::none; });
}

Index ParameterPlan::copied_floats(Purpose purpose) const {
  std::vector<Parameter> list = list_;
  return lay_out_copies(list, purpose);
}

Index ParameterPlan::lay_out_copies(std::vector<Parameter>& list, Purpose purpose) {
  Index floats = 0;
  const auto lay_out = [&](Parameter::Copy& copy, int parts) {
    for (int part = 0; part < parts; ++part) {
      copy.offset[part] = floats;
      floats = checked_sum(floats, copy.size);
    }
  };
  for (Parameter& p : list) {
    if (p.forward.size > 0) lay_out(p.forward, p.parts());
    const bool in_gradient = purpose == Purpose::training && p.needs_input_gradient;
    if (p.transposed_in_forward || in_gradient) lay_out(p.transposed, p.parts());
  }
  return floats;
}

Parameters::Parameters(const kernels::KernelTable& table, const ParameterPlan& plan, Purpose purpose)
    : table_(table),
      list_(plan.list()),
      weights_(plan.floats()),
      copies_(ParameterPlan::lay_out_copies(list_, purpose)) {}

int Parameters::find(const std::string& name) const { return find_in(list_, name); }

void Parameters::add_moments(int count) {
  for (int i = 0; i < count; ++i) moments_[i] = AlignedBuffer<float>(weights_.size());
}

void Parameters::add_gradient() {
  if (gradient_.size() == 0) gradient_ = AlignedBuffer<float>(weights_.size());
}

const float* Parameters::copy(const Parameter::Copy& copy, int part) const {
  return copy.offset[part] < 0 ? nullptr : copies_.data() + copy.offset[part];
}

kernels::Panels Parameters::panels(int number) const {
  const Parameter& p = at(number);
  if (p.products == kernels::Products::float32) return float_panels(number);
  return {copy(p.forward, 0), kernels::terms_of(p.rows, p.products), p.cols, p.width, copy(p.forward, 1)};
}

kernels::Panels Parameters::float_panels(int number) const {
  const Parameter& p = at(number);
  return {weights(number), p.rows, p.cols, p.width, nullptr};
}

kernels::Panels Parameters::transposed_panels(int number) const {
  const Parameter& p = at(number);
  return {copy(p.transposed, 0), kernels::terms_of(p.cols, p.products), p.rows, p.transposed_width,
          copy(p.transposed, 1)};
}

kernels::WeightCopies Parameters::copies(int number) {
  const Parameter& p = at(number);
  const auto place = [&](const Parameter::Copy& copy, int part) {
    return copy.offset[part] < 0 ? nullptr : copies_.data() + copy.offset[part];
  };
  return {p.products,         place(p.forward, 0), place(p.transposed, 0),
          p.transposed_width, place(p.forward, 1), place(p.transposed, 1)};
}

float* Parameters::moment(int which, int number) {
  return moments_[which].size() == 0 ? nullptr : moments_[which].data() + at(number).offset;
}

float* Parameters::gradient(int number) {
  return gradient_.size() == 0 ? nullptr : gradient_.data() + at(number).offset;
}

void Parameters::import_values(int number, const float* values) {
  pack(number, values, weights(number));
  refresh_copies(number);
}

void Parameters::export_values(int number, float* values) const { unpack(number, weights(number), values); }

void Parameters::export_gradient(int number, float* values) const {
  unpack(number, gradient_.data() + at(number).offset, values);
}

int Parameters::moments() const {
  int kept = 0;
  for (const AlignedBuffer<float>& moment : moments_) kept += moment.size() > 0 ? 1 : 0;
  return kept;
}

void Parameters::import_moment(int which, int number, const float* values) {
  pack(number, values, moment(which, number));
}

void Parameters::export_moment(int which, int number, float* values) const {
  unpack(number, moments_[which].data() + at(number).offset, values);
}

void Parameters::pack(int number, const float* values, float* to) const {
  const Parameter& p = at(number);
  for (Index r = 0; r < p.rows; ++r) {
    for (Index c = 0; c < p.cols; ++c) to[place_of(p, r, c)] = values[r * p.cols + c];
  }
}

void Parameters::unpack(int number, const float* from, float* values) const {
  const Parameter& p = at(number);
  for (Index r = 0; r < p.rows; ++r) {
    for (Index c = 0; c < p.cols; ++c) values[r * p.cols + c] = from[place_of(p, r, c)];
  }
}

void Parameters::refresh_copies(int number) {
  const Parameter& p = at(number);
  if (!p.is_kernel) return;
  table_.copy_weights({weights(number), p.rows, p.cols, p.width, nullptr}, copies(number));
}

void Parameters::copy_weights_to(AlignedBuffer<float>& snapshot) const {
  std::copy_n(weights_.data(), weights_.size(), snapshot.data());
}

void Parameters::take_weights_from(const AlignedBuffer<float>& snapshot) {
  std::copy_n(snapshot.data(), weights_.size(), weights_.data());
  for (int i = 0; i < static_cast<int>(list_.size()); ++i) refresh_copies(i);
}

double Parameters::penalty(double l1, double l2) const {
  double sum = 0.0;
  for (int i = 0; i < static_cast<int>(list_.size()); ++i) {
    const Parameter& p = at(i);
    if (!p.is_kernel) continue;
    for (Index r = 0; r < p.rows; ++r) {
      for (Index c = 0; c < p.cols; ++c) {
        const double w = weights(i)[place_of(p, r, c)];
        sum += l1 * std::abs(w) + l2 * w * w;
      }
    }
  }
  return sum;
}

}  // namespace diabolo
