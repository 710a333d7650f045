// See layer_spec.h.
#include "model/layer_spec.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "model/auxiliary_decoder.h"

namespace diabolo {
namespace {

/// Whether a layer passes few elements of each row on as a list, to the first of those `above` it: a dense
/// one.
bool passes_a_list(const LayerSpec& spec, std::span<const LayerSpec> above) {
  const auto* const top_k = std::get_if<TopKSpec>(&spec);
  return top_k != nullptr && top_k->is_short() && !above.empty() &&
         std::holds_alternative<DenseSpec>(above.front());
}

/// Whether the layer is a code whose dead units are decoded as well.
bool has_auxiliary(const LayerSpec& spec) {
  const auto* const top_k = std::get_if<TopKSpec>(&spec);
  return top_k != nullptr && top_k->auxiliary_k > 0;
}

/// One overload a kind.
struct Maker {
  const kernels::KernelTable& table;
  ParameterPlan& plan;
  const LayerPlace& place;

  std::unique_ptr<Layer> operator()(const DenseSpec& spec) const {
    DensePlace at;
    at.trainable_below = place.trainable_below;
    at.differentiated = place.differentiated;
    const LayerSpec self = spec;
    at.sparse_below = !place.below.empty() && passes_a_list(place.below.back(), {&self, 1});
    at.sparse_above = !place.above.empty() && passes_a_list(place.above.front(), place.above.subspan(1));
    const bool tied_above = std::any_of(place.above.begin(), place.above.end(), [&](const LayerSpec& above) {
      const auto* const dense = std::get_if<DenseSpec>(&above);
      return dense != nullptr && dense->tied_to == spec.name;
    });
    // A tied layer multiplies as its partner does.
    const int partner = spec.tied_to.empty() ? -1 : plan.find(spec.tied_to + ".kernel");
    const bool tied_to_floats = partner >= 0 && plan.at(partner).products == kernels::Products::float32;
    const bool auxiliary_below = !place.below.empty() && has_auxiliary(place.below.back());
    const bool auxiliary_above = !place.above.empty() && has_auxiliary(place.above.front());
    at.takes_floats = at.differentiated || at.sparse_below || auxiliary_below || tied_to_floats ||
                      ((at.sparse_above || auxiliary_above) && (at.trainable_below || tied_above));
    at.last = place.above.empty();
    if (auxiliary_below) {
      return std::make_unique<AuxiliaryDecoder>(table, plan, spec, at,
                                                std::get<TopKSpec>(place.below.back()));
    }
    return std::make_unique<Dense>(table, plan, spec, at);
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
  std::unique_ptr<Layer> operator()(const TopKSpec& spec) const {
    require(spec.auxiliary_k == 0 || (place.above.size() == 1 && !place.below.empty() &&
                                      std::holds_alternative<DenseSpec>(place.above.front()) &&
                                      std::holds_alternative<DenseSpec>(place.below.back())),
            "a code with an auxiliary k stands between a dense layer and a last one.");
    return std::make_unique<TopK>(spec, passes_a_list(spec, place.above));
  }
  std::unique_ptr<Layer> operator()(const JacobianPenaltySpec& spec) const {
    std::vector<DifferentiatedLayer> encoder;
    for (const LayerSpec& below : place.below) {
      const auto* const dense = std::get_if<DenseSpec>(&below);
      require(dense != nullptr && dense->tied_to.empty(),
              "only dense layers, with kernels of their own, may lie below a penalty on their Jacobian.");
      encoder.push_back({dense->activation, plan.find(dense->name + ".kernel"),
                         plan.find(dense->name + ".slope"), dense->inputs, dense->outputs});
    }
    return std::make_unique<JacobianPenalty>(spec, encoder, place.number);
  }
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
