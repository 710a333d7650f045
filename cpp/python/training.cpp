// Optimisers, schedules and the trainer.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/arrays.h"
#include "python/bindings.h"
#include "python/hook.h"
#include "python/names.h"
#include "training/trainer.h"

namespace py = pybind11;

namespace diabolo {
namespace {

struct PyTargets {
  Targets targets;
  py::object owner;  // keeps the arrays alive
};

std::optional<Targets> value_of(const std::optional<PyTargets>& given) {
  return given ? std::optional(given->targets) : std::nullopt;
}

struct PyTrainer {
  PyRows train;  // keeps the arrays alive, as the next ones
  std::optional<PyRows> validation;
  std::optional<PyTargets> targets;
  std::optional<PyTargets> validation_targets;
  Trainer trainer;
};

TrainingSettings training_settings(const std::string& loss, bool sum_features, bool stored_only,
                                   Index batch_size, std::int64_t epochs, double learning_rate,
                                   const Schedule& schedule, const OptimizerSettings& rule, double l1,
                                   double l2, double clip_norm, const std::string& shuffle,
                                   std::uint64_t seed, int threads, std::int64_t updates_before) {
  TrainingSettings s;
  s.objective = {value_of(kLosses, loss), sum_features, stored_only};
  s.batch_size = batch_size;
  s.epochs = epochs;
  s.optimizer = rule;
  s.optimizer.learning_rate = learning_rate;
  s.optimizer.schedule = schedule;
  s.optimizer.l1 = l1;
  s.optimizer.l2 = l2;
  s.optimizer.updates_before = updates_before;
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
  const BatchLosses losses = without_gil(hook, [&](PollHook* h) {
                               return self.trainer.validation_losses(h);
                             }).value_or(BatchLosses{});
  return {losses.loss, losses.reconstruction_loss};
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

py::list moments_of(const PyTrainer& self) {
  const Parameters& parameters = self.trainer.parameters();
  py::list moments;
  for (int which = 0; which < parameters.moments(); ++which) {
    moments.append(to_dict(parameters, [&](int i, float* to) { parameters.export_moment(which, i, to); }));
  }
  return moments;
}

/// Arrays by name, of the shapes that the parameters have: the caller has checked them.
template <class Import>
void from_dict(const Parameters& parameters, const py::dict& arrays, const Import& import_from) {
  for (int i = 0; i < static_cast<int>(parameters.list().size()); ++i) {
    const Parameter& p = parameters.at(i);
    const auto values = py::cast<FloatArray>(arrays[py::str(p.name)]);
    if (values.size() != p.rows * p.cols) throw py::value_error("'" + p.name + "' has another size.");
    import_from(i, values.data());
  }
}

void take_moments(PyTrainer& self, const std::vector<py::dict>& moments) {
  Parameters& parameters = self.trainer.resumed_parameters();
  if (static_cast<int>(moments.size()) != parameters.moments()) {
    throw py::value_error("the optimizer keeps another number of moments.");
  }
  for (std::size_t which = 0; which < moments.size(); ++which) {
    from_dict(parameters, moments[which], [&](int i, const float* values) {
      parameters.import_moment(static_cast<int>(which), i, values);
    });
  }
}

std::string name_of_kept(const KeptValues& kept) {
  return std::to_string(kept.layer) + "." + kept.state.name;
}

/// What layers keep, by the layer's number and its name: "2.mean_activity".
py::dict kept_states(const PyTrainer& self) {
  py::dict states;
  for (const KeptValues& kept : self.trainer.kept_values()) {
    FloatArray values(kept.count);
    std::copy_n(kept.values, kept.count, values.mutable_data());
    states[py::str(name_of_kept(kept))] = values;
  }
  return states;
}

/// All of it or, if any of it is not what a layer can have kept, nothing.
void take_kept_states(PyTrainer& self, const py::dict& states) {
  const std::vector<KeptValues> all = self.trainer.kept_values();
  std::vector<FloatArray> taken;
  for (const KeptValues& kept : all) {
    const std::string name = name_of_kept(kept);
    if (!states.contains(name)) throw py::value_error("what layers keep lacks '" + name + "'.");
    const auto values = py::cast<FloatArray>(states[py::str(name)]);
    if (values.size() != kept.count) throw py::value_error("'" + name + "' has another size.");
    const auto possible = [&](float x) { return x >= kept.state.least && x <= kept.state.greatest; };
    if (!std::all_of(values.data(), values.data() + values.size(), possible)) {
      throw py::value_error("'" + name + "' has values that no training leaves.");
    }
    taken.push_back(values);
  }
  if (states.size() != all.size()) throw py::value_error("these layers do not keep all of that.");
  for (std::size_t i = 0; i < all.size(); ++i) std::copy_n(taken[i].data(), all[i].count, all[i].values);
}

void resume(PyTrainer& self, const EpochReport& last, const py::dict& weights,
            const std::optional<py::dict>& best, const std::vector<py::dict>& moments, const py::dict& kept) {
  Parameters& parameters = self.trainer.resumed_parameters();
  const auto import_weights = [&](int i, const float* values) { parameters.import_values(i, values); };
  take_moments(self, moments);
  take_kept_states(self, kept);
  if (best) {
    from_dict(parameters, *best, import_weights);
    self.trainer.keep_best();
  }
  from_dict(parameters, weights, import_weights);
  self.trainer.resume_after(last);
}

}  // namespace

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
      .def("lazy",
           [](OptimizerSettings self) {
             self.lazy = true;
             return self;
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
      .def_static("cosine",
                  [](std::int64_t warmup_epochs, double final_fraction) {
                    return Schedule{Kind::cosine, warmup_epochs, final_fraction};
                  })
      .def("factor_at", &Schedule::factor_at, py::arg("step"), py::arg("steps_per_epoch"),
           py::arg("total_epochs"));

  py::class_<EpochReport>(m, "EpochReport")
      .def(py::init([](std::int64_t epoch, std::int64_t step, double loss, double reconstruction_loss,
                       double learning_rate) {
             return EpochReport{Outcome::completed,  epoch,         step, loss,
                                reconstruction_loss, learning_rate, {}};
           }),
           py::kw_only(), py::arg("epoch"), py::arg("step"), py::arg("loss"), py::arg("reconstruction_loss"),
           py::arg("learning_rate"))
      .def_property_readonly("outcome", [](const EpochReport& r) { return name_of(kOutcomes, r.outcome); })
      .def_readonly("epoch", &EpochReport::epoch)
      .def_readonly("step", &EpochReport::step)
      .def_readonly("loss", &EpochReport::loss)
      .def_readonly("reconstruction_loss", &EpochReport::reconstruction_loss)
      .def_readonly("learning_rate", &EpochReport::learning_rate)
      .def_property_readonly("measures", [](const EpochReport& r) {
        py::dict measures;
        for (const auto& [name, value] : r.measures) measures[name] = value;
        return measures;
      });

  py::class_<PyTargets>(m, "Targets")
      .def_static(
          "of_values",
          [](const PyRows& table, const std::optional<DoubleArray>& shift,
             const std::optional<DoubleArray>& scale) {
            Scaler scaler;
            if (shift && scale) {
              scaler = Scaler({shift->data(), shift->data() + shift->size()},
                              {scale->data(), scale->data() + scale->size()});
            }
            return PyTargets{Targets::of_values(table.rows, std::move(scaler)), table.owner};
          },
          py::arg("table"), py::arg("shift") = py::none(), py::arg("scale") = py::none())
      .def_static(
          "of_classes",
          [](const PyRows& numbers, Index classes, float off) {
            return PyTargets{Targets::of_classes(numbers.rows, classes, off), numbers.owner};
          },
          py::arg("numbers"), py::arg("classes"), py::arg("off") = 0.0f);

  py::class_<PyTrainer>(m, "Trainer")
      .def(
          py::init([](const std::shared_ptr<Model>& model, const PyRows& train,
                      const std::optional<PyRows>& validation, const std::string& loss, bool sum_features,
                      bool stored_only, Index batch_size, std::int64_t epochs, double learning_rate,
                      const Schedule& schedule, const OptimizerSettings& rule, double l1, double l2,
                      double clip_norm, const std::string& shuffle, std::uint64_t seed, int threads,
                      std::int64_t updates_before, const std::optional<PyTargets>& targets,
                      const std::optional<PyTargets>& validation_targets) {
            const auto settings =
                training_settings(loss, sum_features, stored_only, batch_size, epochs, learning_rate,
                                  schedule, rule, l1, l2, clip_norm, shuffle, seed, threads, updates_before);
            const auto rows = validation ? std::optional(validation->rows) : std::nullopt;
            return std::unique_ptr<PyTrainer>(new PyTrainer{
                train, validation, targets, validation_targets,
                Trainer(model, train.rows, rows, settings, value_of(targets), value_of(validation_targets))});
          }),
          py::arg("model"), py::arg("train"), py::arg("validation"), py::kw_only(), py::arg("loss"),
          py::arg("sum_features") = false, py::arg("stored_only") = false, py::arg("batch_size"),
          py::arg("epochs"), py::arg("learning_rate"), py::arg("schedule"), py::arg("rule"), py::arg("l1"),
          py::arg("l2"), py::arg("clip_norm"), py::arg("shuffle"), py::arg("seed"), py::arg("threads"),
          py::arg("updates_before") = 0, py::arg("targets") = py::none(),
          py::arg("validation_targets") = py::none())
      .def_static(
          "planned_bytes",
          [](const std::vector<LayerSpec>& layers, Index rows, Index batch_size,
             const OptimizerSettings& rule, bool clip, const std::string& shuffle, int threads,
             std::optional<Index> most_stored) {
            TrainingSettings settings;
            settings.shuffle = value_of(kShuffles, shuffle);
            settings.batch_size = batch_size;
            settings.optimizer = rule;
            settings.clip_norm = clip ? 1.0 : 0.0;
            settings.threads = threads;
            return Trainer::planned_bytes(Network(kernels::select_table(), layers, 1), rows, settings,
                                          most_stored);
          },
          py::arg("layers"), py::arg("rows"), py::kw_only(), py::arg("batch_size"), py::arg("rule"),
          py::arg("clip"), py::arg("shuffle"), py::arg("threads"), py::arg("most_stored") = std::nullopt)
      .def("run_epoch", &run_epoch, py::arg("poll"))
      .def("set_learning_rate", [](PyTrainer& self, double rate) { self.trainer.set_learning_rate(rate); })
      .def("validation_losses", &validation_losses)
      .def("measure_names", [](const PyTrainer& self) { return self.trainer.measure_names(); })
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
      .def("moments", &moments_of)
      .def("resume", &resume, py::arg("last"), py::arg("weights"), py::arg("best"), py::arg("moments"),
           py::arg("kept"))
      .def("take_moments", &take_moments, py::arg("moments"))
      .def("kept_states", &kept_states)
      .def("take_kept_states", &take_kept_states, py::arg("states"))
      .def("gradients", &batch_gradients, py::arg("rows"));
}

}  // namespace diabolo
