// SparseTable: somebody else's compressed sparse rows (CSR), of any numeric type, and what may be wrong with
// them. Nothing is ever read or written out of bounds, even if the arrays change while they are read.
#pragma once

#include <cstdint>
#include <optional>

#include "base/matrix.h"
#include "data/elements.h"

namespace diabolo {

/// Integers of 32 or 64 bits, one after the other.
struct IntegerArray {
  const std::byte* data = nullptr;
  Index size = 0;
  bool wide = false;  // 64 bits

  [[nodiscard]] std::int64_t operator[](Index i) const {
    return wide ? element<std::int64_t>(data + i * static_cast<Index>(sizeof(std::int64_t)))
                : element<std::int32_t>(data + i * static_cast<Index>(sizeof(std::int32_t)));
  }
};

/// The stored elements of row r are those in [starts[r], starts[r + 1]): values, and the columns they stand
/// in, ascending. All other elements are 0.
struct SparseTable {
  Index rows = 0;
  Index features = 0;                 // below 2^31
  const std::byte* values = nullptr;  // (columns.size)
  ElementType type = ElementType::float32;
  IntegerArray columns;
  IntegerArray starts;  // (rows + 1)

  /// Which elements are row `row`'s; none beyond the arrays or the number of features.
  [[nodiscard]] Range stored(Index row) const;

  /// The greatest number of stored elements of a row.
  [[nodiscard]] Index most_stored() const;

  /// Writes down at most `most` elements of a row, as float32: returns how many there are. What arrays that
  /// change meanwhile have out of place is left out.
  Index read(Index row, Index most, float* values_out, std::int32_t* columns_out) const;

  /// The same in double precision, unrounded.
  Index read_exact(Index row, Index most, double* values_out, std::int32_t* columns_out) const;

  /// Asks for the memory of a row, which then is on its way while other work goes on.
  void prefetch(Index row) const;
};

/// What keeps a table from being read.
struct SparseDefect {
  enum class Kind : unsigned char {
    starts,        // they do not ascend from 0 to at most the number of elements
    out_of_range,  // a column is below 0 or beyond the features
    unordered,     // columns of a row that do not ascend, or twice the same
  };
  Kind kind;
  Index row = 0;
  std::int64_t found = 0;  // the start or the column
};

/// The first defect of the gravest kind; nullopt: none.
[[nodiscard]] std::optional<SparseDefect> find_defect(const SparseTable& table);

}  // namespace diabolo
