// Layers of every kind, as Python describes them.
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "model/layer_spec.h"
#include "python/bindings.h"
#include "python/names.h"

namespace py = pybind11;

namespace diabolo {

void define_layers(py::module_& m) {
  py::class_<DenseSpec>(m, "Dense")
      .def(py::init([](std::string name, Index inputs, Index outputs, const std::string& activation,
                       std::string initializer, std::string tied_to) {
             return DenseSpec{std::move(name),
                              inputs,
                              outputs,
                              value_of(kActivations, activation),
                              std::move(initializer),
                              std::move(tied_to)};
           }),
           py::arg("name"), py::arg("inputs"), py::arg("outputs"), py::arg("activation"),
           py::arg("initializer"), py::arg("tied_to") = "");

  py::class_<CorruptionSpec>(m, "Corruption")
      .def(py::init([](Index units, const std::string& kind, double amount, double corrupted_weight,
                       double clean_weight) {
             return CorruptionSpec{units, value_of(kCorruptions, kind), amount, corrupted_weight,
                                   clean_weight};
           }),
           py::arg("units"), py::arg("kind"), py::arg("amount"), py::arg("corrupted_weight") = 1.0,
           py::arg("clean_weight") = 1.0);
}

}  // namespace diabolo
