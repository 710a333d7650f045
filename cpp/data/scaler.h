// Scaler: the affine map between the user's units and the network's, per feature, in double precision.
#pragma once

#include <vector>

namespace diabolo {

/// scaled = (x - shift) / scale. Empty: the identity.
struct Scaler {
  std::vector<double> shift;    // (features)
  std::vector<double> scale;    // (features), none zero
  std::vector<double> inverse;  // 1 / scale

  Scaler() = default;
  Scaler(std::vector<double> shifts, std::vector<double> scales)
      : shift(std::move(shifts)), scale(std::move(scales)) {
    inverse.reserve(scale.size());
    for (const double s : scale) inverse.push_back(1.0 / s);
  }

  [[nodiscard]] bool empty() const { return shift.empty(); }
};

}  // namespace diabolo
