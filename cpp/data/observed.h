// Which rows and columns of a table with missing values (NaN) hold any other.
#pragma once

#include <optional>

#include "base/team.h"
#include "data/rows.h"

namespace diabolo {

/// The first row and the first column that hold NaN alone; nullopt: there is none.
struct Unobserved {
  std::optional<Index> row;  // of the table
  std::optional<Index> column;
};

/// Throws Interrupted (column_statistics.h).
[[nodiscard]] Unobserved find_unobserved(const Rows& rows, int threads, PollHook* hook);

}  // namespace diabolo
