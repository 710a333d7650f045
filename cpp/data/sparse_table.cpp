// See sparse_table.h.
#include "data/sparse_table.h"

#include <algorithm>
#include <type_traits>

namespace diabolo {
namespace {

template <class To>
Index read_row(const SparseTable& table, Index row, Index most, To* values, std::int32_t* columns) {
  const Range stored = table.stored(row);
  std::int64_t last = -1;
  Index count = 0;
  with_type(table.type, [&](auto* type) {
    using T = std::remove_cvref_t<decltype(*type)>;
    for (Index at = stored.begin; at < stored.end && count < most; ++at) {
      const std::int64_t column = table.columns[at];
      if (column <= last || column >= table.features) continue;
      columns[count] = static_cast<std::int32_t>(last = column);
      values[count++] =
          static_cast<To>(to_number(element<T>(table.values + at * static_cast<Index>(sizeof(T)))));
    }
  });
  return count;
}

constexpr Index kLine = 64;

}  // namespace

Range SparseTable::stored(Index row) const {
  const Index size = columns.size;
  const Index begin = std::clamp<Index>(starts[row], 0, size);
  const Index end = std::clamp<Index>(starts[row + 1], begin, size);
  return {begin, end};
}

Index SparseTable::most_stored() const {
  Index most = 0;
  for (Index row = 0; row < rows; ++row) most = std::max(most, stored(row).size());
  return most;
}

Index SparseTable::read(Index row, Index most, float* values_out, std::int32_t* columns_out) const {
  return read_row(*this, row, most, values_out, columns_out);
}

Index SparseTable::read_exact(Index row, Index most, double* values_out, std::int32_t* columns_out) const {
  return read_row(*this, row, most, values_out, columns_out);
}

void SparseTable::prefetch(Index row) const {
  // To the second-level cache, as Rows::prefetch.
  const auto fetch = [](const std::byte* from, Index bytes) {
    const auto* first = from - reinterpret_cast<std::uintptr_t>(from) % kLine;
    for (const auto* line = first; line < from + bytes; line += kLine) __builtin_prefetch(line, 0, 2);
  };
  const Range at = stored(row);
  const auto value_size = static_cast<Index>(size_of(type));
  const Index column_size = columns.wide ? sizeof(std::int64_t) : sizeof(std::int32_t);
  fetch(values + at.begin * value_size, at.size() * value_size);
  fetch(columns.data + at.begin * column_size, at.size() * column_size);
}

std::optional<SparseDefect> find_defect(const SparseTable& table) {
  using Kind = SparseDefect::Kind;
  std::int64_t before = 0;
  for (Index row = 0; row <= table.rows; ++row) {
    const std::int64_t start = table.starts[row];
    if (start < before || start > table.columns.size || (row == 0 && start != 0)) {
      return SparseDefect{Kind::starts, row, start};
    }
    before = start;
  }
  std::optional<SparseDefect> disorder;
  for (Index row = 0; row < table.rows; ++row) {
    std::int64_t last = -1;
    for (Index at = table.starts[row]; at < table.starts[row + 1]; ++at) {
      const std::int64_t column = table.columns[at];
      if (column < 0 || column >= table.features) return SparseDefect{Kind::out_of_range, row, column};
      if (column <= last && !disorder) disorder = SparseDefect{Kind::unordered, row, column};
      last = column;
    }
  }
  return disorder;
}

}  // namespace diabolo
