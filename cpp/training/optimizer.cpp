// See optimizer.h. In double precision and fixed-order arithmetic; the kernels get the rounded results.
#include "training/optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/scalar_math.h"

namespace diabolo {

double Schedule::factor_at(std::int64_t step, std::int64_t steps_per_epoch, std::int64_t total_epochs) const {
  const std::int64_t epoch = step / steps_per_epoch;
  switch (kind) {
    case Kind::constant: return 1.0;
    case Kind::step: return portable_power(factor, epoch / epochs);
    case Kind::exponential: return portable_power(factor, epoch);
    case Kind::cosine: {
      const std::int64_t warmup = epochs * steps_per_epoch;
      if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
      const std::int64_t rest = std::max<std::int64_t>(1, total_epochs * steps_per_epoch - warmup);
      const double progress = std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(rest));
      return factor + (1.0 - factor) * 0.5 * (1.0 + portable_cos_pi(progress));
    }
  }
  return 1.0;
}

StepRules rules_at(const OptimizerSettings& s, std::int64_t step, std::int64_t steps_per_epoch,
                   std::int64_t total_epochs) {
  const double rate = s.learning_rate * s.schedule.factor_at(step, steps_per_epoch, total_epochs);
  kernels::UpdateRule rule;
  rule.rule = s.rule;
  rule.rate = static_cast<float>(rate);
  rule.decay_1 = static_cast<float>(s.decay_1);
  rule.gain_1 = static_cast<float>(1.0 - s.decay_1);
  rule.decay_2 = static_cast<float>(s.decay_2);
  rule.gain_2 = static_cast<float>(1.0 - s.decay_2);
  rule.epsilon = static_cast<float>(s.epsilon);
  if (s.rule == kernels::Rule::adam) {
    const std::int64_t updates = s.updates_before + step + 1;
    rule.rate = static_cast<float>(rate / (1.0 - portable_power(s.decay_1, updates)));
    rule.root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - portable_power(s.decay_2, updates)));
  }
  StepRules rules{rule, rule};
  rules.kernels.keep = static_cast<float>(1.0 - rate * s.weight_decay);
  rules.kernels.l1 = static_cast<float>(s.l1);
  rules.kernels.l2 = static_cast<float>(s.l2);
  return rules;
}

}  // namespace diabolo
