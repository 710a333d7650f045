// Trainer: what it says of the weights as they are, without a step: losses of validation rows, and the
// gradients of one batch, for tests.
#include "base/check.h"
#include "model/inference.h"
#include "training/trainer.h"

namespace diabolo {

std::optional<BatchLosses> Trainer::validation_losses(PollHook* hook) const {
  const Index rows = validation_->count();
  AlignedBuffer<float> errors(rows);
  AlignedBuffer<double> penalties(network_.has_penalty() ? rows : 0);
  Inference inference(network_, parameters_, start_->scaler(), start_->spaces(), settings_.threads, hook);
  if (validation_targets_) inference.compare_with(*validation_targets_);
  const NoiseOrigin noise{settings_.seed, RandomStream::validation_noise, 0, 0};
  const PassOutcome outcome =
      network_.has_penalty()
          ? inference.row_losses(*validation_, settings_.objective, noise, errors.data(), penalties.data())
          : inference.row_errors(*validation_, settings_.objective, errors.data());
  if (outcome != PassOutcome::completed) return std::nullopt;
  double sum = 0.0;
  double penalty_sum = 0.0;
  double weights = 0.0;
  for (Index i = 0; i < rows; ++i) {
    const double weight = validation_->weight(validation_->source_row(i));
    sum += weight * static_cast<double>(errors[i]);
    if (penalties.size() > 0) penalty_sum += weight * penalties[i];
    weights += weight;
  }
  double standing = penalty();
  for (Index i = 0; i < network_.size(); ++i) standing += network_.layer(i).standing_penalty(buffers_.at(i));
  const double reconstruction = sum / weights;
  return BatchLosses{reconstruction + penalty_sum / weights + standing, reconstruction};
}

double Trainer::penalty() const {
  return has_penalty() ? parameters_.penalty(settings_.optimizer.l1, settings_.optimizer.l2) : 0.0;
}

BatchLosses Trainer::batch_gradients(const Rows& rows) {
  require((rows.sparse() != nullptr) == (train_.sparse() != nullptr),
          "a trainer for sparse rows takes only such, and one for dense rows only those.");
  parameters_.add_gradient();
  loss_sum_ = 0.0;
  penalty_sum_ = 0.0;
  weight_done_ = 0.0;
  weights_.begin_batch(rows);
  for (Index i = 0; i < network_.size(); ++i) network_.layer(i).begin_epoch(parameters_, buffers_.at(i));
  const StepRules rules = rules_at(settings_.optimizer, 0, 1, 1);
  gradients_.begin_run();
  Team team(threads_, nullptr, network_.thread_preparation());
  team.run([&](Worker& worker) {
    for (Index position = 0; position < rows.count();) {
      const Slab slab = slab_at(position, rows.count(), rows.count(), 0);
      if (worker.is_caller()) {
        for (Index r = 0; r < slab.rows; ++r) row_numbers_[r] = rows.source_row(position + r);
      }
      if (worker.meet()) return;
      rows_phase(worker, rows, slab);
      if (worker.meet()) return;
      if (worker.is_caller()) collect_loss(worker, slab);
      weights_phase(worker, slab, kernels::GradientUse::store, rules, {});
      if (worker.meet()) return;
      position += slab.rows;
    }
  });
  const double reconstruction = loss_sum_ / weight_done_;
  return {reconstruction + penalty_sum_ / weight_done_ + penalty(), reconstruction};
}

}  // namespace diabolo
