// Model files, as metadata and tensors; and any other file, replaced in one step.
#include <pybind11/stl.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "model/model_file.h"
#include "python/arrays.h"
#include "python/bindings.h"

namespace py = pybind11;

namespace diabolo {
namespace {

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
  for (FileTensor& tensor : file.tensors) {
    const std::vector<py::ssize_t> shape(tensor.shape.begin(), tensor.shape.end());
    py::array array(tensor.dtype == DType::F64 ? py::dtype::of<double>() : py::dtype::of<float>(), shape);
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), static_cast<std::byte*>(array.mutable_data()));
    tensors[py::str(tensor.name)] = array;
    tensor = {};  // so that no more than one of them is there twice
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

void replace_with(const std::string& path, const py::bytes& contents) {
  const std::string_view text(contents);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  try {
    const py::gil_scoped_release released;
    replace_file(path, {&bytes, 1});
  } catch (const std::filesystem::filesystem_error& error) {
    throw_os_error(error);
  }
}

}  // namespace

void define_files(py::module_& m) {
  py::register_exception<ModelFileError>(m, "ModelFileError", PyExc_ValueError);
  m.def("read_model_file", &read_file, py::arg("path"));
  m.def("write_model_file", &write_file, py::arg("path"), py::arg("metadata"), py::arg("tensors"));
  m.def("replace_file", &replace_with, py::arg("path"), py::arg("contents"));
}

}  // namespace diabolo
