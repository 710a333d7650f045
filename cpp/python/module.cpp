// The extension module diabolo._core.
#include "python/bindings.h"

#include "kernels/kernels.h"

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
  diabolo::define_layers(m);
  diabolo::define_model(m);
  diabolo::define_training(m);
  diabolo::define_files(m);
}
