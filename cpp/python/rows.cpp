// Rows of NumPy arrays, and their statistics.
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "data/column_statistics.h"
#include "data/fingerprint.h"
#include "data/group_sums.h"
#include "data/observed.h"
#include "python/arrays.h"
#include "python/bindings.h"
#include "python/hook.h"

namespace py = pybind11;

namespace diabolo {
namespace {

ElementType element_type(const py::dtype& type) {
  // Some libraries make arrays that spell the machine's own byte order out ('<') instead of '='.
  if (py::cast<bool>(type.attr("isnative"))) {
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

IntegerArray integers(const py::array& array) {
  const auto kind = array.dtype().kind();
  const auto size = array.dtype().itemsize();
  const bool adjacent = array.ndim() == 1 && (array.shape(0) < 2 || array.strides(0) == size);
  if (kind != 'i' || (size != 4 && size != 8) || !adjacent) {
    throw py::type_error("columns and starts must be adjacent integers of 32 or 64 bits.");
  }
  return {static_cast<const std::byte*>(array.data()), array.shape(0), size == 8};
}

SparseTable sparse_table(const py::array& values, const py::array& columns, const py::array& starts,
                         Index features) {
  SparseTable table;
  table.type = element_type(values.dtype());
  table.values = static_cast<const std::byte*>(values.data());
  table.columns = integers(columns);
  table.starts = integers(starts);
  table.features = features;
  table.rows = table.starts.size - 1;
  if (values.ndim() != 1 || values.shape(0) != columns.shape(0) ||
      (values.shape(0) > 1 && values.strides(0) != values.itemsize())) {
    throw py::value_error("there must be as many values, adjacent ones, as columns.");
  }
  if (table.rows < 1 || features < 1 || features > std::numeric_limits<std::int32_t>::max()) {
    throw py::value_error("sparse rows must have at least one row, and less than 2^31 features.");
  }
  return table;
}

PyRows rows_of_sparse(const py::array& values, const py::array& columns, const py::array& starts,
                      Index features) {
  return {Rows::from_sparse(sparse_table(values, columns, starts, features)),
          py::make_tuple(values, columns, starts)};
}

/// (what, row, the start or column found); None: there is none.
std::optional<std::tuple<std::string, Index, std::int64_t>> sparse_defect(const py::array& values,
                                                                          const py::array& columns,
                                                                          const py::array& starts,
                                                                          Index features) {
  const SparseTable table = sparse_table(values, columns, starts, features);
  const py::gil_scoped_release released;
  const auto defect = find_defect(table);
  if (!defect) return std::nullopt;
  using Kind = SparseDefect::Kind;
  const char* kind = defect->kind == Kind::starts         ? "starts"
                     : defect->kind == Kind::out_of_range ? "out_of_range"
                                                          : "unordered";
  return std::tuple{std::string(kind), defect->row, defect->found};
}

}  // namespace

void define_rows(py::module_& m) {
  py::class_<PyRows>(m, "Rows")
      .def(py::init(&rows_of_array), py::arg("array"))
      .def_static("from_columns", &rows_of_columns, py::arg("columns"))
      .def_static("from_sparse", &rows_of_sparse, py::arg("values"), py::arg("columns"), py::arg("starts"),
                  py::arg("features"))
      .def_static("sparse_defect", &sparse_defect, py::arg("values"), py::arg("columns"), py::arg("starts"),
                  py::arg("features"))
      .def_property_readonly("most_stored",
                             [](const PyRows& r) -> std::optional<Index> {
                               const SparseTable* table = r.rows.sparse();
                               if (table == nullptr) return std::nullopt;
                               return table->most_stored();
                             })
      .def_property_readonly("count", [](const PyRows& r) { return r.rows.count(); })
      .def_property_readonly("features", [](const PyRows& r) { return r.rows.features(); })
      .def("slice",
           [](const PyRows& r, Index begin, Index end) { return PyRows{r.rows.slice(begin, end), r.owner}; })
      .def("take",
           [](const PyRows& r, const IndexArray& indices) {
             return PyRows{r.rows.take({indices.data(), indices.data() + indices.size()}), r.owner};
           })
      .def("weights",
           [](const PyRows& r) -> std::optional<py::array_t<double>> {
             if (!r.rows.has_weights()) return std::nullopt;
             std::vector<double> weights;
             for (Index i = 0; i < r.rows.count(); ++i)
               weights.push_back(r.rows.weight(r.rows.source_row(i)));
             return as_array(std::move(weights));
           })
      .def("weighted",
           [](const PyRows& r, const DoubleArray& weights) {
             return PyRows{r.rows.weighted(weights.data()), py::make_tuple(r.owner, weights)};
           })
      .def(
          "find_invalid",
          [](const PyRows& r, double low, double high, int threads,
             bool missing_allowed) -> std::optional<std::pair<Index, Index>> {
            PythonHook hook;
            const auto cell = without_gil(hook, [&](PollHook* h) -> std::optional<Cell> {
              try {
                return find_invalid(r.rows, static_cast<float>(low), static_cast<float>(high),
                                    missing_allowed, threads, h);
              } catch (const Interrupted&) {
                return std::nullopt;
              }
            });
            if (!cell) return std::nullopt;
            return std::pair{cell->row, cell->column};
          },
          py::arg("low"), py::arg("high"), py::arg("threads"), py::arg("missing_allowed") = false)
      .def("find_unobserved",
           [](const PyRows& r, int threads) {
             PythonHook hook;
             const Unobserved found = without_gil(hook, [&](PollHook* h) -> Unobserved {
               try {
                 return find_unobserved(r.rows, threads, h);
               } catch (const Interrupted&) {
                 return {};
               }
             });
             return std::pair{found.row, found.column};
           })
      .def(
          "find_improper_group",
          [](const PyRows& r, const std::vector<std::pair<Index, Index>>& groups, bool zeros_allowed,
             int threads) -> std::optional<std::pair<Index, Index>> {
            std::vector<Range> ranges;
            for (const auto& [begin, end] : groups) ranges.push_back({begin, end});
            PythonHook hook;
            const auto found = without_gil(hook, [&](PollHook* h) -> std::optional<GroupOfRow> {
              try {
                return find_improper_group(r.rows, ranges, zeros_allowed, threads, h);
              } catch (const Interrupted&) {
                return std::nullopt;
              }
            });
            if (!found) return std::nullopt;
            return std::pair{found->row, found->group};
          },
          py::arg("groups"), py::arg("zeros_allowed"), py::arg("threads"))
      .def("fingerprint",
           [](const PyRows& r, int threads) {
             PythonHook hook;
             return without_gil(hook, [&](PollHook* h) { return fingerprint(r.rows, threads, h); })
                 .value_or(0);
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
             return py::make_tuple(as_array(std::move(moments.mean)), as_array(std::move(moments.deviation)),
                                   as_array(std::move(moments.weight)));
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

}  // namespace diabolo
