// The extension module diabolo._core: converts, releases the GIL, calls. No policy and no arithmetic.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/process_limits.h"
#include "base/team.h"
#include "data/column_statistics.h"
#include "data/rows.h"
#include "kernels/kernels.h"
#include "model/inference.h"
#include "model/model.h"
#include "model/model_file.h"
#include "training/trainer.h"

namespace py = pybind11;

namespace diabolo {
namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;
using DoubleArray = py::array_t<double, py::array::c_style | py::array::forcecast>;
using IndexArray = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

// --- names
// --------------------------------------------------------------------------------------------------------------

template <class T>
struct Named {
  const char* name;
  T value;
};

constexpr Named<kernels::Activation> kActivations[] = {{"identity", kernels::Activation::identity},
                                                       {"sigmoid", kernels::Activation::sigmoid},
                                                       {"tanh", kernels::Activation::tanh},
                                                       {"relu", kernels::Activation::relu},
                                                       {"leaky_relu", kernels::Activation::leaky_relu},
                                                       {"elu", kernels::Activation::elu},
                                                       {"prelu", kernels::Activation::prelu},
                                                       {"gelu", kernels::Activation::gelu},
                                                       {"silu", kernels::Activation::silu},
                                                       {"softplus", kernels::Activation::softplus}};

constexpr Named<kernels::Loss> kLosses[] = {{"mse", kernels::Loss::mse},
                                            {"mae", kernels::Loss::mae},
                                            {"huber", kernels::Loss::huber},
                                            {"binary_crossentropy", kernels::Loss::binary_crossentropy}};

constexpr Named<Shuffle> kShuffles[] = {
    {"rows", Shuffle::rows}, {"blocks", Shuffle::blocks}, {"none", Shuffle::none}};

constexpr Named<kernels::Function> kFunctions[] = {{"exp", kernels::Function::exp},
                                                   {"expm1", kernels::Function::expm1},
                                                   {"log", kernels::Function::log},
                                                   {"log1p", kernels::Function::log1p},
                                                   {"tanh", kernels::Function::tanh},
                                                   {"sigmoid", kernels::Function::sigmoid},
                                                   {"erf", kernels::Function::erf},
                                                   {"softplus", kernels::Function::softplus},
                                                   {"elu", kernels::Function::elu},
                                                   {"gelu", kernels::Function::gelu},
                                                   {"silu", kernels::Function::silu},
                                                   {"gelu_derivative", kernels::Function::gelu_derivative},
                                                   {"silu_derivative", kernels::Function::silu_derivative}};

constexpr Named<Outcome> kOutcomes[] = {{"completed", Outcome::completed},
                                        {"stopped", Outcome::stopped},
                                        {"loss_not_finite", Outcome::loss_not_finite},
                                        {"weight_not_finite", Outcome::weight_not_finite}};

template <class T, std::size_t n>
T value_of(const Named<T> (&names)[n], const std::string& name) {
  for (const auto& entry : names) {
    if (name == entry.name) return entry.value;
  }
  throw std::invalid_argument("unknown name '" + name + "'.");
}

template <class T, std::size_t n>
const char* name_of(const Named<T> (&names)[n], T value) {
  for (const auto& entry : names) {
    if (value == entry.value) return entry.name;
  }
  return "?";
}

// --- polling
// ------------------------------------------------------------------------------------------------------------

/// Takes the GIL, lets signal handlers run and tells Python how far the run is. Keeps the first exception.
class PythonHook final : public PollHook {
 public:
  PythonHook() = default;
  PythonHook(py::object poll, const Trainer& trainer) : poll_(std::move(poll)), trainer_(&trainer) {}

  [[nodiscard]] bool should_stop() noexcept override {
    try {
      const py::gil_scoped_acquire gil;
      try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (trainer_ != nullptr && !poll_.is_none()) {
          const Progress progress = trainer_->progress();
          poll_(progress.rows, progress.mean_loss);
        }
        return false;
      } catch (...) {
        exception_ = std::current_exception();
        return true;
      }
    } catch (...) {
      return true;
    }
  }

  /// Throws what stopped the run, if anything did. Call with the GIL.
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

 private:
  py::object poll_ = py::none();
  const Trainer* trainer_ = nullptr;
  std::exception_ptr exception_;
};

/// Runs `work(hook)` without the GIL; whatever stopped it is thrown.
template <class Work>
auto without_gil(PythonHook& hook, const Work& work) {
  if constexpr (std::is_void_v<decltype(work(&hook))>) {
    {
      const py::gil_scoped_release released;
      work(&hook);
    }
    hook.rethrow();
  } else {
    auto result = [&] {
      const py::gil_scoped_release released;
      return work(&hook);
    }();
    hook.rethrow();
    return result;
  }
}

// --- rows
// ---------------------------------------------------------------------------------------------------------------

ElementType element_type(const py::dtype& type) {
  const bool native = type.byteorder() == '=' || type.byteorder() == '|' || type.itemsize() == 1;
  if (native) {
    const auto size = type.itemsize();
    switch (type.kind()) {
      case 'b': return ElementType::uint8;
      case 'f':
        if (size == 2) return ElementType::float16;
        if (size == 4) return ElementType::float32;
        if (size == 8) return ElementType::float64;
        break;
      case 'i':
        return size == 1   ? ElementType::int8
               : size == 2 ? ElementType::int16
               : size == 4 ? ElementType::int32
                           : ElementType::int64;
      case 'u':
        return size == 1   ? ElementType::uint8
               : size == 2 ? ElementType::uint16
               : size == 4 ? ElementType::uint32
                           : ElementType::uint64;
      default: break;
    }
  }
  throw py::type_error("no rows of type " + std::string(py::str(type)) + ".");
}

/// Rows, and the arrays they look at.
struct PyRows {
  Rows rows;
  py::object owner;
};

PyRows rows_of_array(const py::array& array) {
  if (array.ndim() != 2) throw py::value_error("rows must have two dimensions.");
  return {Rows::from_array(array.data(), element_type(array.dtype()), array.shape(0), array.shape(1),
                           array.strides(0), array.strides(1)),
          array};
}

PyRows rows_of_columns(const std::vector<py::array>& arrays) {
  std::vector<Column> columns;
  for (const py::array& a : arrays) {
    if (a.ndim() != 1) throw py::value_error("columns must have one dimension.");
    if (a.shape(0) != arrays.front().shape(0)) throw py::value_error("columns must have the same length.");
    columns.push_back({static_cast<const std::byte*>(a.data()), a.strides(0), element_type(a.dtype())});
  }
  if (arrays.empty()) throw py::value_error("rows must have at least one column.");
  return {Rows::from_columns(std::move(columns), arrays.front().shape(0)), py::cast(arrays)};
}

/// Takes over a vector without copying it.
py::array_t<double> as_array(std::vector<double> values) {
  auto kept = std::make_unique<std::vector<double>>(std::move(values));
  const py::capsule owner(kept.get(), [](void* p) { delete static_cast<std::vector<double>*>(p); });
  std::vector<double>* data = kept.release();
  return py::array_t<double>(static_cast<py::ssize_t>(data->size()), data->data(), owner);
}

MatrixView<float> view_of(FloatArray& array) {
  return {array.mutable_data(), array.shape(0), array.shape(1), array.shape(1)};
}

FloatArray new_matrix(Index rows, Index cols) { return FloatArray(std::vector<py::ssize_t>{rows, cols}); }

// --- weights
// ------------------------------------------------------------------------------------------------------------

std::vector<py::ssize_t> shape_of(const Parameter& p) {
  return p.is_kernel ? std::vector<py::ssize_t>{p.rows, p.cols} : std::vector<py::ssize_t>{p.cols};
}

template <class Export>
py::dict to_dict(const Parameters& parameters, const Export& export_to) {
  py::dict result;
  for (int i = 0; i < static_cast<int>(parameters.list().size()); ++i) {
    FloatArray values(shape_of(parameters.at(i)));
    export_to(i, values.mutable_data());
    result[py::str(parameters.at(i).name)] = values;
  }
  return result;
}

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

// --- training
// -----------------------------------------------------------------------------------------------------------

struct PyTrainer {
  PyRows train;  // keeps the arrays alive
  std::optional<PyRows> validation;
  Trainer trainer;
};

TrainingSettings training_settings(const std::string& loss, Index batch_size, std::int64_t epochs,
                                   double learning_rate, const Schedule& schedule,
                                   const OptimizerSettings& rule, double l1, double l2, double clip_norm,
                                   const std::string& shuffle, std::uint64_t seed, int threads) {
  TrainingSettings s;
  s.loss = value_of(kLosses, loss);
  s.batch_size = batch_size;
  s.epochs = epochs;
  s.optimizer = rule;
  s.optimizer.learning_rate = learning_rate;
  s.optimizer.schedule = schedule;
  s.optimizer.l1 = l1;
  s.optimizer.l2 = l2;
  s.clip_norm = clip_norm;
  s.shuffle = value_of(kShuffles, shuffle);
  s.seed = seed;
  s.threads = threads;
  return s;
}

EpochReport run_epoch(PyTrainer& self, const py::object& poll) {
  PythonHook hook(poll, self.trainer);
  return without_gil(hook, [&](PollHook* h) { return self.trainer.run_epoch(h); });
}

std::pair<double, double> validation_losses(PyTrainer& self) {
  if (!self.validation) throw py::value_error("there are no validation rows.");
  PythonHook hook;
  const double loss =
      without_gil(hook, [&](PollHook* h) { return self.trainer.validation_loss(h); }).value_or(0.0);
  return {loss + self.trainer.penalty(), loss};
}

py::tuple batch_gradients(PyTrainer& self, const PyRows& rows) {
  BatchLosses losses;
  {
    const py::gil_scoped_release released;
    losses = self.trainer.batch_gradients(rows.rows);
  }
  const Parameters& parameters = self.trainer.parameters();
  return py::make_tuple(losses.loss, losses.reconstruction_loss,
                        to_dict(parameters, [&](int i, float* to) { parameters.export_gradient(i, to); }));
}

// --- files
// --------------------------------------------------------------------------------------------------------------

[[noreturn]] void throw_os_error(const std::filesystem::filesystem_error& error) {
  const auto path = py::cast(error.path1().string());
  PyErr_SetObject(PyExc_OSError, py::make_tuple(error.code().value(), error.code().message(), path).ptr());
  throw py::error_already_set();
}

py::tuple read_file(const std::string& path) {
  ModelFile file;
  try {
    const py::gil_scoped_release released;
    file = read_model_file(path);
  } catch (const std::filesystem::filesystem_error& error) {
    throw_os_error(error);
  }
  py::dict tensors;
  for (const FileTensor& tensor : file.tensors) {
    const std::vector<py::ssize_t> shape(tensor.shape.begin(), tensor.shape.end());
    py::array array(tensor.dtype == DType::F64 ? py::dtype::of<double>() : py::dtype::of<float>(), shape);
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), static_cast<std::byte*>(array.mutable_data()));
    tensors[py::str(tensor.name)] = array;
  }
  return py::make_tuple(file.metadata, tensors);
}

void write_file(const std::string& path, const std::map<std::string, std::string>& metadata,
                const py::dict& tensors) {
  ModelFile file;
  file.metadata = metadata;
  for (const auto& [name, value] : tensors) {
    const auto given = py::cast<py::array>(value);
    const bool is_double = given.dtype().kind() == 'f' && given.dtype().itemsize() == 8;
    const py::array array =
        is_double ? py::array(py::cast<DoubleArray>(given)) : py::array(py::cast<FloatArray>(given));
    FileTensor tensor;
    tensor.name = py::cast<std::string>(name);
    tensor.dtype = is_double ? DType::F64 : DType::F32;
    tensor.shape.assign(array.shape(), array.shape() + array.ndim());
    const auto* bytes = static_cast<const std::byte*>(array.data());
    tensor.bytes.assign(bytes, bytes + array.nbytes());
    file.tensors.push_back(std::move(tensor));
  }
  try {
    const py::gil_scoped_release released;
    write_model_file(path, file);
  } catch (const std::filesystem::filesystem_error& error) {
    throw_os_error(error);
  }
}

// --- definitions
// --------------------------------------------------------------------------------------------------------

void define_machine(py::module_& m) {
  m.def("available_isas", [] {
    std::vector<std::string> names;
    const auto list = kernels::available_tables();
    for (int i = 0; i < list.count; ++i) names.emplace_back(list.tables[i]->name);
    return names;
  });
  m.def("selected_isa", [] { return std::string(kernels::select_table().name); });
  m.def("usable_threads", &usable_threads);
  m.def("available_memory", &available_memory);
  m.def("build_info", [] {
    return std::map<std::string, std::string>{{"compiler", DIABOLO_COMPILER},
                                              {"openmp", std::to_string(_OPENMP)}};
  });
  m.def("evaluate", [](const std::string& function, const FloatArray& x, const std::string& isa) {
    FloatArray y(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
    kernels::find_table(isa.c_str())
        .evaluate(value_of(kFunctions, function), x.data(), y.mutable_data(), x.size());
    return y;
  });
}

void define_rows(py::module_& m) {
  py::class_<PyRows>(m, "Rows")
      .def(py::init(&rows_of_array), py::arg("array"))
      .def_static("from_columns", &rows_of_columns, py::arg("columns"))
      .def_property_readonly("count", [](const PyRows& r) { return r.rows.count(); })
      .def_property_readonly("features", [](const PyRows& r) { return r.rows.features(); })
      .def("slice",
           [](const PyRows& r, Index begin, Index end) { return PyRows{r.rows.slice(begin, end), r.owner}; })
      .def("take",
           [](const PyRows& r, const IndexArray& indices) {
             return PyRows{r.rows.take({indices.data(), indices.data() + indices.size()}), r.owner};
           })
      .def("find_invalid",
           [](const PyRows& r, double low, double high,
              int threads) -> std::optional<std::pair<Index, Index>> {
             PythonHook hook;
             const auto cell = without_gil(hook, [&](PollHook* h) -> std::optional<Cell> {
               try {
                 return find_invalid(r.rows, static_cast<float>(low), static_cast<float>(high), threads, h);
               } catch (const Interrupted&) {
                 return std::nullopt;
               }
             });
             if (!cell) return std::nullopt;
             return std::pair{cell->row, cell->column};
           })
      .def("column_moments",
           [](const PyRows& r, int threads) {
             PythonHook hook;
             auto moments = without_gil(hook, [&](PollHook* h) -> ColumnMoments {
               try {
                 return column_moments(r.rows, threads, h);
               } catch (const Interrupted&) {
                 return {};
               }
             });
             return py::make_tuple(as_array(std::move(moments.mean)), as_array(std::move(moments.deviation)));
           })
      .def("column_ranges", [](const PyRows& r, int threads) {
        PythonHook hook;
        auto ranges = without_gil(hook, [&](PollHook* h) -> ColumnRanges {
          try {
            return column_ranges(r.rows, threads, h);
          } catch (const Interrupted&) {
            return {};
          }
        });
        return py::make_tuple(as_array(std::move(ranges.minimum)), as_array(std::move(ranges.maximum)));
      });
}

template <class Run>
FloatArray infer(const Model& model, const PyRows& rows, Index cols, int threads, const Run& run) {
  FloatArray out = new_matrix(rows.rows.count(), cols);
  const MatrixView<float> view = view_of(out);
  PythonHook hook;
  without_gil(hook, [&](PollHook* h) {
    const Inference inference(model.network(), model.parameters(), model.scaler(), threads, h);
    return run(inference, view);
  });
  return out;
}

void define_model(py::module_& m) {
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

  py::class_<Model, std::shared_ptr<Model>>(m, "Model")
      .def(py::init([](const std::vector<DenseSpec>& layers, Index code_layers, std::uint64_t seed,
                       int threads) {
             PythonHook hook;
             return without_gil(hook, [&](PollHook* h) -> std::shared_ptr<Model> {
               auto model = std::make_shared<Model>(layers, code_layers);
               return initialize(model->network(), seed, model->parameters(), threads, h) ? model : nullptr;
             });
           }),
           py::arg("layers"), py::arg("code_layers"), py::arg("seed"), py::arg("threads") = 1)
      .def_static("planned_bytes",
                  [](const std::vector<DenseSpec>& layers) {
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
      .def("get_weights", &weights_of)
      .def("with_weights", &model_with_weights)
      .def("transform",
           [](const Model& self, const PyRows& rows, int threads) {
             return infer(
                 self, rows, self.network().outputs(self.network().encoder()), threads,
                 [&](const Inference& i, MatrixView<float> out) { return i.encode(rows.rows, out); });
           })
      .def("inverse_transform",
           [](const Model& self, const PyRows& codes, int threads) {
             return infer(
                 self, codes, self.network().outputs(self.network().all()), threads,
                 [&](const Inference& i, MatrixView<float> out) { return i.decode(codes.rows, out); });
           })
      .def("reconstruct",
           [](const Model& self, const PyRows& rows, int threads) {
             return infer(
                 self, rows, self.network().outputs(self.network().all()), threads,
                 [&](const Inference& i, MatrixView<float> out) { return i.reconstruct(rows.rows, out); });
           })
      .def("feature_errors",
           [](const Model& self, const PyRows& rows, int threads) {
             return infer(
                 self, rows, rows.rows.features(), threads,
                 [&](const Inference& i, MatrixView<float> out) { return i.feature_errors(rows.rows, out); });
           })
      .def("layer_output",
           [](const Model& self, const PyRows& rows, Index layer, int threads) {
             if (layer < 0 || layer >= self.network().size()) throw py::index_error("no such layer.");
             return infer(self, rows, self.network().layer(layer).outputs(), threads,
                          [&](const Inference& i, MatrixView<float> out) {
                            return i.layer_output(rows.rows, layer, out);
                          });
           })
      .def("row_errors", [](const Model& self, const PyRows& rows, const std::string& loss, int threads) {
        const kernels::Loss kind = value_of(kLosses, loss);
        FloatArray errors = infer(self, rows, 1, threads, [&](const Inference& i, MatrixView<float> out) {
          return i.row_errors(rows.rows, kind, out.data);
        });
        return errors.reshape({rows.rows.count()});
      });
}

void define_training(py::module_& m) {
  py::class_<OptimizerSettings>(m, "UpdateRule")
      .def_static("sgd",
                  [](double momentum, bool nesterov) {
                    OptimizerSettings s;
                    s.rule = momentum == 0.0 ? kernels::Rule::sgd
                             : nesterov      ? kernels::Rule::nesterov
                                             : kernels::Rule::momentum;
                    s.decay_1 = momentum;
                    return s;
                  })
      .def_static("adam",
                  [](double beta_1, double beta_2, double epsilon, double weight_decay) {
                    OptimizerSettings s;
                    s.rule = kernels::Rule::adam;
                    s.decay_1 = beta_1;
                    s.decay_2 = beta_2;
                    s.epsilon = epsilon;
                    s.weight_decay = weight_decay;
                    return s;
                  })
      .def_static("rmsprop", [](double rho, double epsilon) {
        OptimizerSettings s;
        s.rule = kernels::Rule::rmsprop;
        s.decay_2 = rho;
        s.epsilon = epsilon;
        return s;
      });

  using Kind = Schedule::Kind;
  py::class_<Schedule>(m, "Schedule")
      .def_static("constant", [] { return Schedule{}; })
      .def_static("step",
                  [](std::int64_t epochs, double factor) { return Schedule{Kind::step, epochs, factor}; })
      .def_static("exponential", [](double factor) { return Schedule{Kind::exponential, 1, factor}; })
      .def_static("cosine", [](std::int64_t warmup_epochs, double final_fraction) {
        return Schedule{Kind::cosine, warmup_epochs, final_fraction};
      });

  py::class_<EpochReport>(m, "EpochReport")
      .def_property_readonly("outcome", [](const EpochReport& r) { return name_of(kOutcomes, r.outcome); })
      .def_readonly("epoch", &EpochReport::epoch)
      .def_readonly("step", &EpochReport::step)
      .def_readonly("loss", &EpochReport::loss)
      .def_readonly("reconstruction_loss", &EpochReport::reconstruction_loss)
      .def_readonly("learning_rate", &EpochReport::learning_rate);

  py::class_<PyTrainer>(m, "Trainer")
      .def(py::init([](const std::shared_ptr<Model>& model, const PyRows& train,
                       const std::optional<PyRows>& validation, const std::string& loss, Index batch_size,
                       std::int64_t epochs, double learning_rate, const Schedule& schedule,
                       const OptimizerSettings& rule, double l1, double l2, double clip_norm,
                       const std::string& shuffle, std::uint64_t seed, int threads) {
             const auto settings = training_settings(loss, batch_size, epochs, learning_rate, schedule, rule,
                                                     l1, l2, clip_norm, shuffle, seed, threads);
             const auto rows = validation ? std::optional(validation->rows) : std::nullopt;
             return std::unique_ptr<PyTrainer>(
                 new PyTrainer{train, validation, Trainer(model, train.rows, rows, settings)});
           }),
           py::arg("model"), py::arg("train"), py::arg("validation"), py::kw_only(), py::arg("loss"),
           py::arg("batch_size"), py::arg("epochs"), py::arg("learning_rate"), py::arg("schedule"),
           py::arg("rule"), py::arg("l1"), py::arg("l2"), py::arg("clip_norm"), py::arg("shuffle"),
           py::arg("seed"), py::arg("threads"))
      .def_static(
          "planned_bytes",
          [](const std::vector<DenseSpec>& layers, Index rows, Index batch_size,
             const OptimizerSettings& rule, bool clip, int threads) {
            TrainingSettings settings;
            settings.batch_size = batch_size;
            settings.optimizer = rule;
            settings.clip_norm = clip ? 1.0 : 0.0;
            settings.threads = threads;
            return Trainer::planned_bytes(Network(kernels::select_table(), layers, 1), rows, settings);
          },
          py::arg("layers"), py::arg("rows"), py::arg("batch_size"), py::arg("rule"), py::arg("clip"),
          py::arg("threads"))
      .def("run_epoch", &run_epoch, py::arg("poll"))
      .def("validation_losses", &validation_losses)
      .def("keep_best", [](PyTrainer& self) { self.trainer.keep_best(); })
      .def("completed_model",
           [](const PyTrainer& self) -> std::shared_ptr<Model> {
             if (self.trainer.completed_epochs() == 0) return nullptr;
             return std::make_shared<Model>(self.trainer.completed_model());
           })
      .def("completed_report",
           [](const PyTrainer& self) -> std::optional<EpochReport> {
             if (self.trainer.completed_epochs() == 0) return std::nullopt;
             return self.trainer.completed_report();
           })
      .def("best_model",
           [](const PyTrainer& self) { return std::make_shared<Model>(self.trainer.best_model()); })
      .def("gradients", &batch_gradients, py::arg("rows"));
}

void define_files(py::module_& m) {
  py::register_exception<ModelFileError>(m, "ModelFileError", PyExc_ValueError);
  m.def("read_model_file", &read_file, py::arg("path"));
  m.def("write_model_file", &write_file, py::arg("path"), py::arg("metadata"), py::arg("tensors"));
}

}  // namespace
}  // namespace diabolo

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  // Before anything that needs more than the oldest x86-64.
  if (diabolo::kernels::available_tables().count == 0) {
    throw py::import_error(
        "diabolo needs an x86-64 processor with SSE4.2 and POPCNT (x86-64-v2), or aarch64.");
  }
  m.doc() = "The C++ core of diabolo.";
  m.attr("__version__") = DIABOLO_VERSION;
  diabolo::define_machine(m);
  diabolo::define_rows(m);
  diabolo::define_model(m);
  diabolo::define_training(m);
  diabolo::define_files(m);
}
