// See pass_space.h.
#include "model/pass_space.h"

#include <algorithm>
#include <utility>

namespace diabolo {

PassSpace::PassSpace(const Network& network, Range layers, Index rows)
    : layers_(layers),
      rows_(rows),
      booking_(network.book(plan_, layers, rows, Purpose::inference)),
      lanes_booking_(plan_.book(rows, kernels::kGroup)),
      workspace_(plan_),
      buffers_(network.lay_out(booking_, workspace_)),
      lanes_(workspace_.view(lanes_booking_)),
      source_rows_(rows) {}

std::unique_ptr<PassSpace> PassSpacePool::borrow(const Network& network, Range layers, Index rows) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(at_rest_.begin(), at_rest_.end(),
                                    [&](const auto& space) { return space->serves(layers, rows); });
    if (found != at_rest_.end()) {
      auto space = std::move(*found);
      at_rest_.erase(found);
      return space;
    }
  }
  return std::make_unique<PassSpace>(network, layers, rows);
}

void PassSpacePool::give_back(std::unique_ptr<PassSpace> space) {
  const std::lock_guard lock(mutex_);
  if (at_rest_.size() == kMostAtRest) at_rest_.erase(at_rest_.begin());  // the one that rests longest
  at_rest_.push_back(std::move(space));
}

}  // namespace diabolo
