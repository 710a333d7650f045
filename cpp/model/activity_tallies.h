// What a layer of sparse activities reports of an epoch: how many units were active for a row, and how many
// never.
#pragma once

#include <vector>

#include "model/layer.h"

namespace diabolo {

/// Counts, unit by unit, the rows in which an output is above `threshold` in size.
void count_active(MatrixView<const float> outputs, Range units, float threshold, double* counts);

/// "active_units", the mean of a row; "dead_units", those active in no row of the epoch.
[[nodiscard]] std::vector<Measure> activity_measures(const double* counts, Index units, Index rows);

}  // namespace diabolo
