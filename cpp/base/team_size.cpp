// See team_size.h.
#include "base/team_size.h"

#include <algorithm>
#include <limits>

namespace diabolo {

Index TeamSize::pieces(Index rows) const {
  if (threads_ == 1) return std::numeric_limits<Index>::max();
  if (usual_cost_ == 0.0) return 1;
  const double seconds = trying_ ? kTrialSeconds : kStretchSeconds;
  return static_cast<Index>(std::clamp(seconds / (usual_cost_ * static_cast<double>(rows)), 1.0, 1e9));
}

void TeamSize::took(double seconds, Index rows) {
  if (threads_ == 1 || rows == 0) return;
  const double cost = seconds / static_cast<double>(rows);
  if (trying_) {
    trying_ = false;
    stretches_ = 0;
    if (cost < kGain * usual_cost_) {
      alone_ = !alone_;
      usual_cost_ = cost;
      patience_ = kFewestStretches;
    } else {
      patience_ = std::min(2 * patience_, kMostStretches);
    }
    return;
  }
  // A first stretch, or one that was interrupted, says little of the next ones: down fast, up slowly.
  const bool slower = usual_cost_ > 0.0 && cost > kSlower * usual_cost_;
  const double weight = usual_cost_ == 0.0 ? 1.0 : cost < usual_cost_ ? 0.5 : 0.1;
  usual_cost_ += weight * (cost - usual_cost_);
  if (slower) patience_ = kFewestStretches;
  trying_ = ++stretches_ >= (slower ? kFewestStretches / 4 : patience_);
}

}  // namespace diabolo
