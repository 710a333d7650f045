// The parts of the extension module, one file each. No policy and no arithmetic stands in any of them.
#pragma once

#include <pybind11/pybind11.h>

#include "data/rows.h"

namespace py = pybind11;

namespace diabolo {

/// Rows, and the arrays they look at.
struct PyRows {
  Rows rows;
  py::object owner;
};

void define_machine(py::module_& m);
void define_rows(py::module_& m);
void define_layers(py::module_& m);
void define_model(py::module_& m);
void define_training(py::module_& m);
void define_files(py::module_& m);

}  // namespace diabolo
