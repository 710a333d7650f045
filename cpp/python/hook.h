// How a long run stays in touch with Python: signals, progress, and exceptions that end it.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <type_traits>
#include <utility>

#include "base/team.h"
#include "training/trainer.h"

namespace py = pybind11;

namespace diabolo {

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

}  // namespace diabolo
