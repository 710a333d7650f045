// Optimizer: from a step number to that step's UpdateRule. Pure functions of the step: nothing to save or
// restore but the step itself.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "model/gradient_list.h"

namespace diabolo {

/// The learning rate over time, as a factor of the base rate.
struct Schedule {
  enum class Kind : unsigned char { constant, step, exponential, cosine };

  Kind kind = Kind::constant;
  std::int64_t epochs = 1;  // step: length of a stair;  cosine: of the linear warm-up
  double factor = 1.0;      // step: per stair;  exponential: per epoch;  cosine: what is left at the end

  /// Steps count from 0.
  [[nodiscard]] double factor_at(std::int64_t step, std::int64_t steps_per_epoch,
                                 std::int64_t total_epochs) const;
};

struct OptimizerSettings {
  kernels::Rule rule = kernels::Rule::adam;
  double learning_rate = 1e-3;
  double decay_1 = 0.9;    // Adam's beta_1, SGD's momentum
  double decay_2 = 0.999;  // Adam's beta_2, RMSprop's rho
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // decoupled, on kernels alone
  double l1 = 0.0;            // penalties, on kernels alone
  double l2 = 0.0;
  bool lazy = false;  // adam: of kernels beside a code of few units, update only those that had a gradient
  Schedule schedule;
  std::int64_t updates_before = 0;  // of the run that this one continues: Adam's bias correction counts on
};

/// The rules of step `step` (from 0); `clip` scales gradients stored earlier, whose penalties are in them
/// already.
[[nodiscard]] StepRules rules_at(const OptimizerSettings& settings, std::int64_t step,
                                 std::int64_t steps_per_epoch, std::int64_t total_epochs);

}  // namespace diabolo
