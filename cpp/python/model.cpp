// Models and what they compute of rows.
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/inference.h"
#include "model/initializer.h"
#include "model/model.h"
#include "python/arrays.h"
#include "python/bindings.h"
#include "python/hook.h"
#include "python/names.h"

namespace py = pybind11;

namespace diabolo {
namespace {

py::dict weights_of(const Model& model) {
  return to_dict(model.parameters(), [&](int i, float* to) { model.parameters().export_values(i, to); });
}

std::shared_ptr<Model> model_with_weights(const Model& model, const py::dict& weights) {
  AlignedBuffer<float> values(model.parameters().floats());
  model.parameters().copy_weights_to(values);
  auto changed = std::make_shared<Model>(model, values);
  for (const auto& [name, array] : weights) {
    const int number = changed->parameters().find(py::cast<std::string>(name));
    if (number < 0) throw py::key_error(py::cast<std::string>(name));
    const auto numbers = py::cast<FloatArray>(array);
    const auto shape = shape_of(changed->parameters().at(number));
    if (!std::equal(shape.begin(), shape.end(), numbers.shape(), numbers.shape() + numbers.ndim())) {
      throw py::value_error("the shape of " + py::cast<std::string>(name) + " does not fit.");
    }
    changed->parameters().import_values(number, numbers.data());
  }
  return changed;
}

using Interval = std::optional<std::pair<float, float>>;

/// Which values are refused.
struct Checks {
  bool finite = false;  // those that are not finite as float32
  Interval interval;    // and those outside of it
};

void refuse(const Checks& checks, Inference& inference) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (checks.interval) {
    inference.refuse_outside(checks.interval->first, checks.interval->second);
  } else if (checks.finite) {
    inference.refuse_outside(-infinity, infinity);
  }
}

/// What a pass writes, (rows, cols); None if it met a value that is refused.
template <class Run>
std::optional<FloatArray> infer(const Model& model, const PyRows& rows, Index cols, Checks checks,
                                int threads, const Run& run) {
  FloatArray out = new_matrix(rows.rows.count(), cols);
  const MatrixView<float> view = view_of(out);
  PythonHook hook;
  const PassOutcome outcome = without_gil(hook, [&](PollHook* h) {
    Inference inference(model, threads, h);
    refuse(checks, inference);
    return run(inference, view);
  });
  if (outcome == PassOutcome::invalid_value) return std::nullopt;
  return out;
}

/// None if a value is refused.
std::optional<py::array_t<double>> squared_jacobian_norms(const Model& model, const PyRows& rows, int threads,
                                                          bool finite) {
  std::vector<double> out(static_cast<std::size_t>(rows.rows.count()));
  PythonHook hook;
  const PassOutcome outcome = without_gil(hook, [&](PollHook* h) {
    Inference inference(model, threads, h);
    refuse({finite, {}}, inference);
    return inference.squared_jacobian_norms(rows.rows, out.data());
  });
  if (outcome == PassOutcome::invalid_value) return std::nullopt;
  return as_array(std::move(out));
}

/// In nats a row: the objective is summed over features. None if a value is refused.
std::optional<py::array_t<double>> evidence(const Model& model, const PyRows& rows, const std::string& loss,
                                            bool importance, std::uint64_t seed, std::int64_t samples,
                                            int threads, bool finite, Interval interval, bool stored_only) {
  const Objective objective{value_of(kLosses, loss), true, stored_only};
  const auto kind = importance ? Inference::Evidence::importance : Inference::Evidence::average;
  std::vector<double> out(static_cast<std::size_t>(rows.rows.count()));
  PythonHook hook;
  const PassOutcome outcome = without_gil(hook, [&](PollHook* h) {
    Inference inference(model, threads, h);
    refuse({finite, interval}, inference);
    return inference.evidence(rows.rows, objective, kind, seed, samples, out.data());
  });
  if (outcome == PassOutcome::invalid_value) return std::nullopt;
  return as_array(std::move(out));
}

/// The products that each dense layer computes.
std::vector<std::string> products_of(const Model& self) {
  std::vector<std::string> names;
  for (const Parameter& p : self.parameters().list()) {
    if (p.is_kernel) names.emplace_back(name_of(kProducts, p.products));
  }
  return names;
}

}  // namespace

void define_model(py::module_& m) {
  py::class_<Model, std::shared_ptr<Model>>(m, "Model")
      .def(py::init([](const std::vector<LayerSpec>& layers, Index code_layers, std::uint64_t seed,
                       int threads) {
             PythonHook hook;
             return without_gil(hook, [&](PollHook* h) -> std::shared_ptr<Model> {
               auto model = std::make_shared<Model>(layers, code_layers);
               return initialize(model->network(), seed, model->parameters(), threads, h) ? model : nullptr;
             });
           }),
           py::arg("layers"), py::arg("code_layers"), py::arg("seed"), py::arg("threads") = 1)
      .def_static("planned_bytes",
                  [](const std::vector<LayerSpec>& layers) {
                    return Model::planned_bytes(Network(kernels::select_table(), layers, 1));
                  })
      .def("set_scaler",
           [](Model& self, const DoubleArray& shift, const DoubleArray& scale) {
             self.set_scaler(Scaler({shift.data(), shift.data() + shift.size()},
                                    {scale.data(), scale.data() + scale.size()}));
           })
      .def("scaler",
           [](const Model& self) -> std::optional<py::tuple> {
             if (self.scaler().empty()) return std::nullopt;
             return py::make_tuple(as_array(self.scaler().shift), as_array(self.scaler().scale));
           })
      .def("parameter_shapes",
           [](const Model& self) {
             py::dict shapes;
             for (const Parameter& p : self.parameters().list()) {
               shapes[py::str(p.name)] = py::tuple(py::cast(shape_of(p)));
             }
             return shapes;
           })
      .def("products", &products_of)
      .def("get_weights", &weights_of)
      .def("with_weights", &model_with_weights)
      .def(
          "transform",
          [](const Model& self, const PyRows& rows, int threads, bool finite) {
            return infer(self, rows, self.network().outputs(self.network().encoder()), {finite, {}}, threads,
                         [&](const Inference& i, MatrixView<float> out) { return i.encode(rows.rows, out); });
          },
          py::arg("rows"), py::arg("threads"), py::arg("finite") = false)
      .def(
          "inverse_transform",
          [](const Model& self, const PyRows& codes, int threads, bool finite) {
            return infer(
                self, codes, self.network().outputs(self.network().all()), {finite, {}}, threads,
                [&](const Inference& i, MatrixView<float> out) { return i.decode(codes.rows, out); });
          },
          py::arg("codes"), py::arg("threads"), py::arg("finite") = false)
      .def(
          "reconstruct",
          [](const Model& self, const PyRows& rows, int threads, bool finite) {
            return infer(
                self, rows, self.network().outputs(self.network().all()), {finite, {}}, threads,
                [&](const Inference& i, MatrixView<float> out) { return i.reconstruct(rows.rows, out); });
          },
          py::arg("rows"), py::arg("threads"), py::arg("finite") = false)
      .def(
          "feature_errors",
          [](const Model& self, const PyRows& rows, int threads, bool finite, bool stored_only) {
            return infer(self, rows, rows.rows.features(), {finite, {}}, threads,
                         [&](const Inference& i, MatrixView<float> out) {
                           return i.feature_errors(rows.rows, out, stored_only);
                         });
          },
          py::arg("rows"), py::arg("threads"), py::arg("finite") = false, py::arg("stored_only") = false)
      .def(
          "layer_output",
          [](const Model& self, const PyRows& rows, Index layer, int threads, bool finite) {
            if (layer < 0 || layer >= self.network().size()) throw py::index_error("no such layer.");
            return infer(self, rows, self.network().layer(layer).outputs(), {finite, {}}, threads,
                         [&](const Inference& i, MatrixView<float> out) {
                           return i.layer_output(rows.rows, layer, out);
                         });
          },
          py::arg("rows"), py::arg("layer"), py::arg("threads"), py::arg("finite") = false)
      .def(
          "row_errors",
          [](const Model& self, const PyRows& rows, const std::string& loss, int threads, bool finite,
             Interval interval, bool sum_features, bool stored_only) -> std::optional<py::array> {
            const Objective objective{value_of(kLosses, loss), sum_features, stored_only};
            const auto errors = infer(self, rows, 1, {finite, interval}, threads,
                                      [&](const Inference& i, MatrixView<float> out) {
                                        return i.row_errors(rows.rows, objective, out.data);
                                      });
            if (!errors) return std::nullopt;
            return py::array(*errors).reshape({rows.rows.count()});
          },
          py::arg("rows"), py::arg("loss"), py::arg("threads"), py::arg("finite") = false,
          py::arg("interval") = py::none(), py::arg("sum_features") = false, py::arg("stored_only") = false)
      .def(
          "code_deviations",
          [](const Model& self, const PyRows& rows, int threads, bool finite) {
            return infer(
                self, rows, self.network().outputs(self.network().encoder()), {finite, {}}, threads,
                [&](const Inference& i, MatrixView<float> out) { return i.code_deviations(rows.rows, out); });
          },
          py::arg("rows"), py::arg("threads"), py::arg("finite") = false)
      .def("squared_jacobian_norms", &squared_jacobian_norms, py::arg("rows"), py::arg("threads"),
           py::arg("finite") = false)
      .def("evidence", &evidence, py::arg("rows"), py::arg("loss"), py::arg("importance"), py::arg("seed"),
           py::arg("samples"), py::arg("threads"), py::arg("finite") = false,
           py::arg("interval") = py::none(), py::arg("stored_only") = false);
}

}  // namespace diabolo
