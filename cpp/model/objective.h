// Objective: the loss that compares a row with what the network makes of it, and how features join in it.
#pragma once

#include "kernels/kernels.h"

namespace diabolo {

struct Objective {
  kernels::Loss loss = kernels::Loss::mse;
  bool sum_features = false;  // else the mean over them
  bool stored_only = false;  // of sparse rows: stored elements alone, of which each row has a mean of its own

  /// The factor of a sum over `features`.
  [[nodiscard]] double scale(Index features) const {
    return sum_features ? 1.0 : 1.0 / static_cast<double>(features);
  }
};

}  // namespace diabolo
