// See activity_tallies.h.
#include "model/activity_tallies.h"

#include <algorithm>
#include <cmath>

namespace diabolo {

void count_active(MatrixView<const float> outputs, Range units, float threshold, double* counts) {
  for (Index r = 0; r < outputs.rows; ++r) {
    const float* y = outputs.row(r);
    for (Index u = units.begin; u < units.end; ++u) counts[u] += std::abs(y[u]) > threshold ? 1.0 : 0.0;
  }
}

std::vector<Measure> activity_measures(const double* counts, Index units, Index rows) {
  double active = 0.0;
  double dead = 0.0;
  for (Index u = 0; u < units; ++u) {
    active += counts[u];
    dead += counts[u] == 0.0 ? 1.0 : 0.0;
  }
  return {{"active_units", active / static_cast<double>(std::max<Index>(rows, 1))}, {"dead_units", dead}};
}

}  // namespace diabolo
