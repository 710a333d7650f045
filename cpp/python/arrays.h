// NumPy arrays and the library's numbers, both ways.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/matrix.h"
#include "model/parameters.h"

namespace py = pybind11;

namespace diabolo {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;
using DoubleArray = py::array_t<double, py::array::c_style | py::array::forcecast>;
using IndexArray = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

/// Takes over a vector without copying it.
inline py::array_t<double> as_array(std::vector<double> values) {
  auto kept = std::make_unique<std::vector<double>>(std::move(values));
  const py::capsule owner(kept.get(), [](void* p) { delete static_cast<std::vector<double>*>(p); });
  std::vector<double>* data = kept.release();
  return py::array_t<double>(static_cast<py::ssize_t>(data->size()), data->data(), owner);
}

inline MatrixView<float> view_of(FloatArray& array) {
  return {array.mutable_data(), array.shape(0), array.shape(1), array.shape(1)};
}

inline FloatArray new_matrix(Index rows, Index cols) {
  return FloatArray(std::vector<py::ssize_t>{rows, cols});
}

inline std::vector<py::ssize_t> shape_of(const Parameter& p) {
  return p.is_kernel ? std::vector<py::ssize_t>{p.rows, p.cols} : std::vector<py::ssize_t>{p.cols};
}

/// A dictionary from the parameters' names to what `export_to(number, values)` writes.
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

}  // namespace diabolo
