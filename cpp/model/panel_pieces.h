// Products with the panels of a kernel, in pieces between which a worker polls.
#pragma once

#include <algorithm>

#include "base/team.h"
#include "kernels/kernels.h"
#include "model/layer.h"

namespace diabolo {

/// Operations of one kernel call: about a millisecond, so that a large layer still polls often enough.
inline constexpr double kCostPerCall = 5e7;

/// Calls `work(panels)` for pieces of a part of the panels, polling in between.
template <class Work>
void in_pieces(Worker& worker, const kernels::Panels& panels, UnitPart part, Index rows, const Work& work) {
  const double panel_cost =
      2.0 * static_cast<double>(rows) * static_cast<double>(panels.inputs * panels.width);
  const Range mine = part.of(panels.count());
  const auto piece = std::max<Index>(1, static_cast<Index>(kCostPerCall / std::max(panel_cost, 1.0)));
  for (Index first = mine.begin; first < mine.end; first += piece) {
    const Range which{first, std::min(first + piece, mine.end)};
    work(which);
    if (worker.poll(panel_cost * static_cast<double>(which.size()))) return;
  }
}

}  // namespace diabolo
