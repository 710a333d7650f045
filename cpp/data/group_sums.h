// Whether groups of columns hold probabilities: numbers in [0, 1] whose sum is 1, in every row.
#pragma once

#include <optional>
#include <vector>

#include "base/team.h"
#include "data/rows.h"

namespace diabolo {

/// A group of a row of the table.
struct GroupOfRow {
  Index row = 0;
  Index group = 0;
};

/// The first group (row by row, in the selection's order) with a value outside of [0, 1] or a sum further
/// than 0.001 from 1, or with NaN for some of its columns; with `zeros_allowed`, a group of zeros alone is
/// none such. Groups of NaN alone are left to other checks. nullopt: there is none. Throws Interrupted.
[[nodiscard]] std::optional<GroupOfRow> find_improper_group(const Rows& rows,
                                                            const std::vector<Range>& groups,
                                                            bool zeros_allowed, int threads, PollHook* hook);

}  // namespace diabolo
