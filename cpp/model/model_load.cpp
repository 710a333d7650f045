// Model::load: from a file's description of the layers and its tensors to a model. Nothing is taken on trust:
// whatever the description claims must be there as a tensor before memory is taken for it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "model/layer_names.h"
#include "model/layer_spec.h"
#include "model/model.h"
#include "model/model_file.h"

namespace diabolo {
namespace {

/// Far beyond any model, and little memory: a layer is some ten values.
constexpr JsonLimits kLimits = {.depth = 5, .values = 100'000};

JsonValue metadata(const ModelFile& file, const char* key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    throw ModelFileError(std::string("not an estimator: the metadata have no \"") + key + "\"");
  }
  return parse_json(found->second, kLimits);
}

const JsonValue& member(const JsonValue& layer, const char* key) {
  const JsonValue* const found = layer.find(key);
  if (found == nullptr) throw ModelFileError(std::string("a layer has no \"") + key + "\"");
  return *found;
}

std::string text(const JsonValue& layer, const char* key) {
  const std::string* const value = member(layer, key).string();
  if (value == nullptr) throw ModelFileError(std::string("a layer's \"") + key + "\" must be a string");
  return *value;
}

Index whole(const JsonValue& value, const std::string& what, Index least = 1) {
  const JsonNumber* const number = value.number();
  if (number == nullptr || !number->integer || *number->integer < least) {
    throw ModelFileError(what + " must be a whole number >= " + std::to_string(least));
  }
  return *number->integer;
}

double real(const JsonValue& layer, const char* key) {
  const JsonNumber* const number = member(layer, key).number();
  if (number == nullptr) throw ModelFileError(std::string("a layer's \"") + key + "\" must be a number");
  return number->value;
}

bool flag(const JsonValue& layer, const char* key) {
  const bool* const value = member(layer, key).boolean();
  if (value == nullptr) throw ModelFileError(std::string("a layer's \"") + key + "\" must be true or false");
  return *value;
}

DenseSpec dense_from(const JsonValue& layer) {
  DenseSpec spec;
  spec.name = text(layer, "name");
  spec.inputs = whole(member(layer, "inputs"), "the inputs of " + spec.name);
  spec.outputs = whole(member(layer, "outputs"), "the outputs of " + spec.name);
  spec.activation = value_of(kActivations, text(layer, "activation"));
  spec.initializer = text(layer, "initializer");
  spec.tied_to = text(layer, "tied_to");
  if (layer.find("variance") != nullptr) {
    spec.variance = value_of(kOutputVariances, text(layer, "variance"));
    spec.initial_variance = real(layer, "initial_variance");
  }
  if (layer.find("trains_bias") != nullptr) spec.trains_bias = flag(layer, "trains_bias");
  if (layer.find("unit_norm") != nullptr) spec.unit_norm = flag(layer, "unit_norm");
  if (layer.find("products") != nullptr) spec.products = value_of(kProducts, text(layer, "products"));
  return spec;
}

std::vector<Range> groups_of(const JsonValue& described) {
  if (described.array() == nullptr) throw ModelFileError("a layer's \"groups\" must be an array");
  std::vector<Range> groups;
  for (const JsonValue& pair : *described.array()) {
    const JsonValue::Array* const ends = pair.array();
    if (ends == nullptr || ends->size() != 2) throw ModelFileError("a group must be two whole numbers");
    groups.push_back({whole((*ends)[0], "the begin of a group", 0), whole((*ends)[1], "the end of a group")});
  }
  return groups;
}

TopKSpec top_k_from(const JsonValue& layer, Index units) {
  TopKSpec spec{units, whole(member(layer, "k"), "k")};
  if (layer.find("auxiliary_k") != nullptr) {
    spec.auxiliary_k = whole(member(layer, "auxiliary_k"), "auxiliary_k");
    spec.auxiliary_weight = real(layer, "auxiliary_weight");
    spec.dead_after = whole(member(layer, "dead_after"), "dead_after");
  }
  return spec;
}

LayerSpec layer_from(const JsonValue& layer) {
  if (layer.find("layer") == nullptr) return dense_from(layer);  // they came first, and have no name for it
  const std::string kind = text(layer, "layer");
  const Index units = whole(member(layer, "units"), "the units of a layer");
  if (kind == "corruption") {
    return CorruptionSpec{units, value_of(kCorruptions, text(layer, "kind")), real(layer, "amount"),
                          real(layer, "corrupted_weight"), real(layer, "clean_weight")};
  }
  if (kind == "gaussian_code") {
    return GaussianCodeSpec{units, real(layer, "beta"),
                            whole(member(layer, "warmup_epochs"), "warmup_epochs", 0),
                            real(layer, "free_bits")};
  }
  if (kind == "activity_penalty") {
    return ActivityPenaltySpec{units, real(layer, "l1"), real(layer, "kl"), real(layer, "target"),
                               real(layer, "decay")};
  }
  if (kind == "jacobian_penalty") return JacobianPenaltySpec{units, real(layer, "weight")};
  if (kind == "missing_values") {
    MissingValuesSpec spec{units, flag(layer, "rescale")};
    if (layer.find("groups") != nullptr) spec.groups = groups_of(member(layer, "groups"));
    return spec;
  }
  if (kind == "dropout") return DropoutSpec{units, real(layer, "rate")};
  if (kind == "batch_norm") {
    return BatchNormSpec{text(layer, "name"), units, value_of(kActivations, text(layer, "activation")),
                         real(layer, "momentum"), real(layer, "epsilon")};
  }
  if (kind == "softmax") return SoftmaxSpec{units, groups_of(member(layer, "groups"))};
  if (kind == "top_k") return top_k_from(layer, units);
  throw ModelFileError("it has a layer of an unknown kind, '" + kind + "'");
}

std::vector<LayerSpec> layers_of(const ModelFile& file) {
  const JsonValue described = metadata(file, "layers");
  if (described.array() == nullptr) throw ModelFileError("the metadata \"layers\" must be an array");
  std::vector<LayerSpec> layers;
  for (const JsonValue& layer : *described.array()) layers.push_back(layer_from(layer));
  return layers;
}

/// How the tensors' names begin that a checkpoint has beside those of a model.
constexpr std::array<const char*, 3> kOfCheckpoints = {"moments.", "best.", "kept."};

/// The tensors by name; of a checkpoint those of its model alone.
class Tensors {
 public:
  explicit Tensors(const ModelFile& file) {
    const bool checkpoint = file.metadata.count("checkpoint") > 0;
    for (const FileTensor& tensor : file.tensors) {
      const bool extra = std::any_of(kOfCheckpoints.begin(), kOfCheckpoints.end(),
                                     [&](const char* prefix) { return tensor.name.rfind(prefix, 0) == 0; });
      if (!checkpoint || !extra) by_name_[tensor.name] = &tensor;
    }
  }

  [[nodiscard]] bool has(const std::string& name) const { return by_name_.count(name) > 0; }

  /// The tensor, which must be of this type and shape, and finite.
  template <class T>
  [[nodiscard]] std::vector<T> values(const std::string& name, DType dtype,
                                      const std::vector<std::int64_t>& shape) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) throw ModelFileError("it has no tensor \"" + name + "\"");
    const FileTensor& tensor = *found->second;
    if (tensor.dtype != dtype || tensor.shape != shape) {
      throw ModelFileError("tensor \"" + name + "\" does not fit the layers");
    }
    std::vector<T> values(tensor.bytes.size() / sizeof(T));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    if (!std::all_of(values.begin(), values.end(), [](T x) { return std::isfinite(x); })) {
      throw ModelFileError("tensor \"" + name + "\" holds NaN or infinity");
    }
    ++used_;
    return values;
  }

  void require_all_used() const {
    if (used_ != by_name_.size()) throw ModelFileError("it has tensors that are none of its layers'");
  }

 private:
  std::map<std::string, const FileTensor*> by_name_;
  std::size_t used_ = 0;
};

Model model_from(const ModelFile& file) {
  const std::vector<LayerSpec> layers = layers_of(file);
  const Index code_layers = whole(metadata(file, "code_layers"), "the metadata \"code_layers\"");
  Tensors tensors(file);
  std::vector<std::pair<std::string, std::vector<float>>> weights;
  const auto take = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    weights.emplace_back(name, tensors.values<float>(name, DType::F32, shape));
  };
  for (const LayerSpec& spec : layers) {
    if (const auto* const norm = std::get_if<BatchNormSpec>(&spec)) {
      for (const char* name : {".scale", ".shift", ".mean", ".variance"})
        take(norm->name + name, {norm->units});
      const std::vector<float>& variances = weights.back().second;
      if (!std::all_of(variances.begin(), variances.end(), [](float x) { return x >= 0.0f; })) {
        throw ModelFileError("tensor \"" + weights.back().first + "\" must not be negative");
      }
      if (norm->activation == kernels::Activation::prelu) take(norm->name + ".slope", {norm->units});
    }
    const auto* const layer = std::get_if<DenseSpec>(&spec);  // the others have no parameters
    if (layer == nullptr) continue;
    if (layer->tied_to.empty()) take(layer->name + ".kernel", {layer->inputs, layer->outputs});
    take(layer->name + ".bias", {layer->outputs});
    if (layer->activation == kernels::Activation::prelu) take(layer->name + ".slope", {layer->outputs});
    if (layer->variance != OutputVariance::none) take(layer->name + ".log_variance", {layer->outputs});
  }
  Model model(layers, code_layers);
  const Network& network = model.network();
  if (network.outputs(network.all()) != network.inputs(network.all())) {
    throw ModelFileError("the last layer must have as many outputs as the first has inputs");
  }
  for (const auto& [name, values] : weights) {
    model.parameters().import_values(model.parameters().find(name), values.data());
  }
  if (tensors.has("scaler.shift") || tensors.has("scaler.scale")) {
    const std::vector<std::int64_t> shape = {network.inputs(network.all())};
    auto shift = tensors.values<double>("scaler.shift", DType::F64, shape);
    auto scale = tensors.values<double>("scaler.scale", DType::F64, shape);
    if (!std::all_of(scale.begin(), scale.end(), [](double x) { return x > 0.0; })) {
      throw ModelFileError("tensor \"scaler.scale\" must be positive");
    }
    model.set_scaler(Scaler(std::move(shift), std::move(scale)));
  }
  tensors.require_all_used();
  return model;
}

}  // namespace

Model Model::load(const std::filesystem::path& path) {
  const ModelFile file = read_model_file(path);
  try {
    return model_from(file);
  } catch (const std::filesystem::filesystem_error&) {
    throw;
  } catch (const std::runtime_error& error) {  // ModelFileError, JsonError
    throw ModelFileError(path.string() + ": " + error.what());
  } catch (const std::invalid_argument& error) {  // layers that do not fit each other
    throw ModelFileError(path.string() + ": " + error.what());
  }
}

}  // namespace diabolo
