// Groups of columns that are one feature each: those of a one-hot encoding, or a row that is a distribution.
#pragma once

#include <vector>

#include "base/matrix.h"

namespace diabolo {

/// How many features `columns` columns are, of which each of these groups is one and any other column one by
/// itself. Throws std::invalid_argument unless the groups are ascending ranges of the columns.
[[nodiscard]] Index count_features(Index columns, const std::vector<Range>& groups);

}  // namespace diabolo
