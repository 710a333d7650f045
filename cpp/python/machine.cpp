// What Python may know of the machine: instruction sets, threads, memory; single functions for tests.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/process_limits.h"
#include "base/random.h"
#include "base/team.h"
#include "base/workspace.h"
#include "kernels/kernels.h"
#include "python/arrays.h"
#include "python/bindings.h"
#include "python/names.h"

namespace py = pybind11;

namespace diabolo {

void define_machine(py::module_& m) {
  m.def("available_isas", [] {
    std::vector<std::string> names;
    const auto list = kernels::available_tables();
    for (int i = 0; i < list.count; ++i) names.emplace_back(list.tables[i]->name);
    return names;
  });
  m.def("selected_isa", [] { return std::string(kernels::select_table().name); });
  m.def("usable_threads", &usable_threads);
  m.def("available_memory", &available_memory, py::arg("root") = "");
  m.def("cgroup_cpu_quota", &cgroup_cpu_quota, py::arg("root") = "");
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
  m.def("normal_noise",
        [](Index rows, Index columns, std::uint64_t seed, std::uint32_t step, const std::string& isa) {
          WorkspacePlan plan;
          const auto booked = plan.book(rows, columns);
          Workspace workspace(plan);
          const MatrixView<float> noise = workspace.view(booked);
          const auto stream = static_cast<std::uint32_t>(RandomStream::inference_noise);
          kernels::find_table(isa.c_str()).normal_noise({seed, stream, step, 0}, noise);
          FloatArray out = new_matrix(rows, columns);
          for (Index r = 0; r < rows; ++r) std::copy_n(noise.row(r), columns, out.mutable_data(r));
          return out;
        });
}

}  // namespace diabolo
