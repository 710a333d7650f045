// Objective: the loss that compares a row with what the network makes of it, and how features join in it.
#pragma once

#include "kernels/kernels.h"
#include "model/network.h"

namespace diabolo {

struct Objective {
  kernels::Loss loss = kernels::Loss::mse;
  bool sum_features = false;  // else the mean over them
  bool stored_only = false;  // of sparse rows: stored elements alone, of which each row has a mean of its own

  /// The factor of the sum over a row of a network's outputs.
  [[nodiscard]] double scale(const Network& network) const {
    if (sum_features) return 1.0;
    const Layer& last = network.layer(network.size() - 1);
    return 1.0 / static_cast<double>(kernels::joins_columns(loss) ? last.loss_terms() : last.outputs());
  }
};

}  // namespace diabolo
