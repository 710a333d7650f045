// Layers of every kind, as Python describes them.
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "model/layer_spec.h"
#include "python/bindings.h"
#include "python/names.h"

namespace py = pybind11;

namespace diabolo {
namespace {

std::vector<Range> ranges_of(const std::vector<std::pair<Index, Index>>& groups) {
  std::vector<Range> ranges;
  for (const auto& [begin, end] : groups) ranges.push_back({begin, end});
  return ranges;
}

}  // namespace

void define_layers(py::module_& m) {
  py::class_<DenseSpec>(m, "Dense")
      .def(py::init([](std::string name, Index inputs, Index outputs, const std::string& activation,
                       std::string initializer, std::string tied_to, const std::string& variance,
                       double initial_variance, const std::string& products, bool trains_bias,
                       bool unit_norm) {
             return DenseSpec{std::move(name),
                              inputs,
                              outputs,
                              value_of(kActivations, activation),
                              std::move(initializer),
                              std::move(tied_to),
                              value_of(kOutputVariances, variance),
                              initial_variance,
                              value_of(kProducts, products),
                              trains_bias,
                              unit_norm};
           }),
           py::arg("name"), py::arg("inputs"), py::arg("outputs"), py::arg("activation"),
           py::arg("initializer"), py::arg("tied_to") = "", py::arg("variance") = "none",
           py::arg("initial_variance") = 1.0, py::arg("products") = "float32", py::arg("trains_bias") = true,
           py::arg("unit_norm") = false);

  py::class_<CorruptionSpec>(m, "Corruption")
      .def(py::init([](Index units, const std::string& kind, double amount, double corrupted_weight,
                       double clean_weight) {
             return CorruptionSpec{units, value_of(kCorruptions, kind), amount, corrupted_weight,
                                   clean_weight};
           }),
           py::arg("units"), py::arg("kind"), py::arg("amount"), py::arg("corrupted_weight") = 1.0,
           py::arg("clean_weight") = 1.0);

  py::class_<ActivityPenaltySpec>(m, "ActivityPenalty")
      .def(py::init([](Index units, double l1, double kl, double target, double decay) {
             return ActivityPenaltySpec{units, l1, kl, target, decay};
           }),
           py::arg("units"), py::arg("l1") = 0.0, py::arg("kl") = 0.0, py::arg("target") = 0.05,
           py::arg("decay") = 0.0);

  py::class_<TopKSpec>(m, "TopK").def(
      py::init([](Index units, Index k, Index auxiliary_k, double auxiliary_weight, Index dead_after) {
        return TopKSpec{units, k, auxiliary_k, auxiliary_weight, dead_after};
      }),
      py::arg("units"), py::arg("k"), py::arg("auxiliary_k") = 0, py::arg("auxiliary_weight") = 0.0,
      py::arg("dead_after") = 1);

  py::class_<JacobianPenaltySpec>(m, "JacobianPenalty")
      .def(py::init([](Index units, double weight) { return JacobianPenaltySpec{units, weight}; }),
           py::arg("units"), py::arg("weight"));

  py::class_<MissingValuesSpec>(m, "MissingValues")
      .def(py::init([](Index units, bool rescale, const std::vector<std::pair<Index, Index>>& groups) {
             return MissingValuesSpec{units, rescale, ranges_of(groups)};
           }),
           py::arg("units"), py::arg("rescale") = true,
           py::arg("groups") = std::vector<std::pair<Index, Index>>{});

  py::class_<DropoutSpec>(m, "Dropout")
      .def(py::init([](Index units, double rate) { return DropoutSpec{units, rate}; }), py::arg("units"),
           py::arg("rate"));

  py::class_<BatchNormSpec>(m, "BatchNorm")
      .def(py::init([](std::string name, Index units, const std::string& activation, double momentum,
                       double epsilon) {
             return BatchNormSpec{std::move(name), units, value_of(kActivations, activation), momentum,
                                  epsilon};
           }),
           py::arg("name"), py::arg("units"), py::arg("activation"), py::arg("momentum") = 0.9,
           py::arg("epsilon") = 1e-5);

  py::class_<SoftmaxSpec>(m, "Softmax")
      .def(py::init([](Index units, const std::vector<std::pair<Index, Index>>& groups) {
             return SoftmaxSpec{units, ranges_of(groups)};
           }),
           py::arg("units"), py::arg("groups"));

  py::class_<BoltzmannHiddenSpec>(m, "BoltzmannHidden")
      .def(py::init([](std::string name, Index visible, Index hidden, const std::string& activation) {
             return BoltzmannHiddenSpec{std::move(name), visible, hidden, value_of(kActivations, activation)};
           }),
           py::arg("name"), py::arg("visible"), py::arg("hidden"), py::arg("activation"));

  py::class_<BoltzmannVisibleSpec>(m, "BoltzmannVisible")
      .def(py::init([](std::string name, Index hidden, Index visible, const std::string& activation,
                       std::string hidden_name, const std::string& hidden_activation, Index steps) {
             return BoltzmannVisibleSpec{std::move(name),
                                         hidden,
                                         visible,
                                         value_of(kActivations, activation),
                                         std::move(hidden_name),
                                         value_of(kActivations, hidden_activation),
                                         steps};
           }),
           py::arg("name"), py::arg("hidden"), py::arg("visible"), py::arg("activation"),
           py::arg("hidden_name"), py::arg("hidden_activation"), py::arg("steps") = 1);

  py::class_<GaussianCodeSpec>(m, "GaussianCode")
      .def(py::init([](Index units, double beta, std::int64_t warmup_epochs, double free_bits) {
             return GaussianCodeSpec{units, beta, warmup_epochs, free_bits};
           }),
           py::arg("units"), py::arg("beta") = 1.0, py::arg("warmup_epochs") = 0, py::arg("free_bits") = 0.0);
}

}  // namespace diabolo
