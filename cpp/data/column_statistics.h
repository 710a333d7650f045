// What must be known of a table before training: is every number usable, and how is each column spread. One
// pass over the rows each, on a team; results do not depend on the number of threads.
#pragma once

#include <optional>
#include <vector>

#include "base/team.h"
#include "data/rows.h"

namespace diabolo {

/// An element of the table, by its source row.
struct Cell {
  Index row = 0;
  Index column = 0;
};

/// Thrown where the poll hook stopped a pass.
struct Interrupted {};

/// The first element (row by row, in the selection's order) that is not finite as float32, or lies outside
/// [low, high]; nullopt: none. NaN is none such if it may stand for a missing value; nor is what a sparse
/// table does not store.
[[nodiscard]] std::optional<Cell> find_invalid(const Rows& rows, float low, float high, bool missing_allowed,
                                               int threads, PollHook* hook);

/// Per column, in double precision, each row counting by its weight; what is NaN counts nothing. Neither
/// these nor the ranges are taken of sparse rows.
struct ColumnMoments {
  std::vector<double> mean;
  std::vector<double> deviation;  // of the population: divided by the weight
  std::vector<double> weight;     // of what counts: the number of rows, if all weigh 1
};
[[nodiscard]] ColumnMoments column_moments(const Rows& rows, int threads, PollHook* hook);

/// Of what is not NaN; infinity to -infinity where there is nothing else.
struct ColumnRanges {
  std::vector<double> minimum;
  std::vector<double> maximum;
};
[[nodiscard]] ColumnRanges column_ranges(const Rows& rows, int threads, PollHook* hook);

}  // namespace diabolo
