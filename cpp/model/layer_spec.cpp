// See layer_spec.h.
#include "model/layer_spec.h"

namespace diabolo {
namespace {

/// One overload a kind.
struct Maker {
  const kernels::KernelTable& table;
  ParameterPlan& plan;
  const LayerPlace& place;

  std::unique_ptr<Layer> operator()(const DenseSpec& spec) const {
    return std::make_unique<Dense>(table, plan, spec, place.trainable_below);
  }
  std::unique_ptr<Layer> operator()(const CorruptionSpec& spec) const {
    return std::make_unique<Corruption>(spec, place.number, place.trainable_below);
  }
  std::unique_ptr<Layer> operator()(const GaussianCodeSpec& spec) const {
    return std::make_unique<GaussianCode>(spec, place.number);
  }
  std::unique_ptr<Layer> operator()(const ActivityPenaltySpec& spec) const {
    return std::make_unique<ActivityPenalty>(spec);
  }
  std::unique_ptr<Layer> operator()(const TopKSpec& spec) const { return std::make_unique<TopK>(spec); }
  std::unique_ptr<Layer> operator()(const MissingValuesSpec& spec) const {
    return std::make_unique<MissingValues>(spec, place.number);
  }
  std::unique_ptr<Layer> operator()(const DropoutSpec& spec) const {
    return std::make_unique<Dropout>(spec, place.number);
  }
  std::unique_ptr<Layer> operator()(const BatchNormSpec& spec) const {
    return std::make_unique<BatchNorm>(plan, spec);
  }
  std::unique_ptr<Layer> operator()(const SoftmaxSpec& spec) const { return std::make_unique<Softmax>(spec); }
  std::unique_ptr<Layer> operator()(const BoltzmannHiddenSpec& spec) const {
    return std::make_unique<BoltzmannHidden>(table, plan, spec, place.number);
  }
  std::unique_ptr<Layer> operator()(const BoltzmannVisibleSpec& spec) const {
    return std::make_unique<BoltzmannVisible>(plan, spec, place.number);
  }
};

}  // namespace

std::unique_ptr<Layer> make_layer(const LayerSpec& spec, const kernels::KernelTable& table,
                                  ParameterPlan& plan, const LayerPlace& place) {
  return std::visit(Maker{table, plan, place}, spec);
}

}  // namespace diabolo
