// See model.h.
#include "model/model.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/scalar_math.h"
#include "model/initializer.h"

namespace diabolo {
namespace {

/// He et al. (2015), as PyTorch.
constexpr float kInitialSlope = 0.25f;

/// Divides each vector of a kernel (inputs, outputs) that has norm 1 in training by its norm.
void normalize_initially(int kernel, Parameters& parameters) {
  const Parameter& p = parameters.at(kernel);
  std::vector<float> values(static_cast<std::size_t>(p.rows * p.cols));
  parameters.export_values(kernel, values.data());
  const bool is_rows = p.unit_vectors == kernels::UnitVectors::rows;
  const Index length = is_rows ? p.cols : p.rows;
  const Index step = is_rows ? 1 : p.cols;
  for (Index v = 0; v < (is_rows ? p.rows : p.cols); ++v) {
    float* vector = values.data() + (is_rows ? v * p.cols : v);
    double square = 0.0;
    for (Index i = 0; i < length; ++i) square += static_cast<double>(vector[i * step]) * vector[i * step];
    const double norm = square > 0.0 ? std::sqrt(square) : 1.0;
    for (Index i = 0; i < length; ++i) vector[i * step] = static_cast<float>(vector[i * step] / norm);
  }
  parameters.import_values(kernel, values.data());
}

}  // namespace

bool initialize(const Network& network, std::uint64_t seed, Parameters& parameters, int threads,
                PollHook* hook) {
  std::vector<float> values;
  for (const LayerSpec& layer : network.specs()) {
    if (const auto* norm = std::get_if<BatchNormSpec>(&layer)) {
      for (const auto& [name, value] :
           {std::pair{".scale", 1.0f}, {".variance", 1.0f}, {".slope", kInitialSlope}}) {
        const int number = parameters.find(norm->name + name);
        if (number < 0) continue;
        values.assign(static_cast<std::size_t>(norm->units), value);
        parameters.import_values(number, values.data());
      }
    }
    const auto* dense = std::get_if<DenseSpec>(&layer);
    if (dense == nullptr) continue;
    const DenseSpec& spec = *dense;
    const int kernel = parameters.find(spec.name + ".kernel");
    if (kernel >= 0) {
      const InitialPlace place{seed, kernel, spec.inputs, spec.outputs};
      if (!initialize_kernel(spec.initializer, place, threads, hook, values)) return false;
      parameters.import_values(kernel, values.data());
    }
    if (spec.trains_bias) {
      const int bias = parameters.find(spec.name + ".bias");
      initialize_bias(spec.initializer, {seed, bias, spec.inputs, spec.outputs}, values);
      parameters.import_values(bias, values.data());
    }
    const int log_variance = parameters.find(spec.name + ".log_variance");
    if (log_variance >= 0) {
      // 10 tanh(v / 10) = log variance, by the logarithm that is the same on every machine.
      const double bound = static_cast<double>(kernels::kLogVarianceBound);
      const double t = portable_log(spec.initial_variance) / bound;
      const auto v = static_cast<float>(0.5 * bound * portable_log((1.0 + t) / (1.0 - t)));
      values.assign(static_cast<std::size_t>(spec.outputs), v);
      parameters.import_values(log_variance, values.data());
    }
    const int slope = parameters.find(spec.name + ".slope");
    if (slope >= 0) {
      values.assign(static_cast<std::size_t>(spec.outputs), kInitialSlope);
      parameters.import_values(slope, values.data());
    }
  }
  for (int i = 0; i < static_cast<int>(parameters.list().size()); ++i) {
    if (parameters.at(i).unit_vectors != kernels::UnitVectors::none) normalize_initially(i, parameters);
  }
  return true;
}

Model::Model(const std::vector<LayerSpec>& specs, Index code_layers)
    : network_(std::make_shared<const Network>(kernels::select_table(), specs, code_layers)),
      parameters_(network_->kernels(), network_->parameter_plan(), Purpose::inference) {}

Model::Model(const Model& like, const AlignedBuffer<float>& weights)
    : network_(like.network_),
      parameters_(network_->kernels(), network_->parameter_plan(), Purpose::inference),
      scaler_(like.scaler_) {
  parameters_.take_weights_from(weights);
}

void Model::set_scaler(Scaler scaler) {
  const auto features = static_cast<std::size_t>(network_->inputs(network_->all()));
  require(scaler.shift.size() == features && scaler.scale.size() == features,
          "a scaler must have one shift and one scale for each feature.");
  scaler_ = std::move(scaler);
}

Index Model::planned_bytes(const Network& network) {
  const ParameterPlan& plan = network.parameter_plan();
  return checked_product(checked_sum(plan.floats(), plan.copied_floats(Purpose::inference)), sizeof(float));
}

}  // namespace diabolo
