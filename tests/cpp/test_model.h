// What the test programs share: rows made by integer arithmetic alone, networks, and hashes of weights.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/rows.h"
#include "model/model.h"
#include "training/trainer.h"

namespace diabolo::testing {

/// FNV-1a over the bits of numbers, in their order.
class Hash {
 public:
  void add(std::span<const float> values) {
    for (const float value : values) add(std::bit_cast<std::uint32_t>(value));
  }
  void add(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    add(static_cast<std::uint32_t>(bits));
    add(static_cast<std::uint32_t>(bits >> 32));
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  void add(std::uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) {
      state_ = (state_ ^ (word >> shift & 0xffu)) * 0x100000001b3ull;
    }
  }

  std::uint64_t state_ = 0xcbf29ce484222325ull;
};

/// A table of numbers in [0, 1), 24 bits each: exact in float32 on every machine.
class MadeRows {
 public:
  MadeRows(Index rows, Index features) : features_(features) {
    values_.resize(static_cast<std::size_t>(rows * features));
    std::uint64_t state = 1;
    for (float& value : values_) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      value = static_cast<float>(state >> 40) * 0x1p-24f;
    }
  }

  /// Looks at this table, which must outlive it.
  [[nodiscard]] Rows rows() const {
    const auto count = static_cast<Index>(values_.size()) / features_;
    const auto size = static_cast<Index>(sizeof(float));
    return Rows::from_array(values_.data(), ElementType::float32, count, features_, features_ * size, size);
  }

 private:
  Index features_;
  std::vector<float> values_;
};

/// Layers of these widths; the names are encoder.0, ... up to the code, then decoder.0, ...
inline std::vector<LayerSpec> layers(const std::vector<Index>& widths,
                                     const std::vector<kernels::Activation>& activations,
                                     const std::string& initializer = "glorot_uniform") {
  const std::size_t encoders = activations.size() / 2;
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < activations.size(); ++i) {
    DenseSpec spec;
    spec.name = i < encoders ? "encoder." + std::to_string(i) : "decoder." + std::to_string(i - encoders);
    spec.inputs = widths[i];
    spec.outputs = widths[i + 1];
    spec.activation = activations[i];
    spec.initializer = initializer;
    specs.push_back(std::move(spec));
  }
  return specs;
}

/// The decoder of a network that is its own mirror image uses the encoder's kernels.
inline std::vector<LayerSpec> tied(std::vector<LayerSpec> specs) {
  for (std::size_t i = specs.size() / 2; i < specs.size(); ++i) {
    std::get<DenseSpec>(specs[i]).tied_to = std::get<DenseSpec>(specs[specs.size() - 1 - i]).name;
  }
  return specs;
}

inline std::shared_ptr<const Model> new_model(const std::vector<LayerSpec>& specs) {
  auto model = std::make_shared<Model>(specs, static_cast<Index>(specs.size() / 2));
  if (!initialize(model->network(), 1, model->parameters(), 2)) std::abort();
  return model;
}

/// Adds all weights in their canonical order.
inline void add_weights(const Model& model, Hash& hash) {
  std::vector<float> values;
  for (int i = 0; i < static_cast<int>(model.parameters().list().size()); ++i) {
    const Parameter& p = model.parameters().at(i);
    values.assign(static_cast<std::size_t>(p.rows * p.cols), 0.0f);
    model.parameters().export_values(i, values.data());
    hash.add(values);
  }
}

}  // namespace diabolo::testing
