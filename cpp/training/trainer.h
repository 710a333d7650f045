// Trainer: the loop over batches. It owns what training needs besides the model (moments, buffers, the order
// of the rows) and a private copy of the weights; policy between epochs is its caller's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/team.h"
#include "base/team_size.h"
#include "base/workspace.h"
#include "data/row_order.h"
#include "data/rows.h"
#include "data/targets.h"
#include "model/gradient_list.h"
#include "model/model.h"
#include "model/objective.h"
#include "model/sparse_batch.h"
#include "training/batch_weights.h"
#include "training/optimizer.h"

namespace diabolo {

struct TrainingSettings {
  Objective objective;
  Index batch_size = 256;
  std::int64_t epochs = 1;  // of the whole run: what the schedule stretches over
  OptimizerSettings optimizer;
  double clip_norm = 0.0;  // of the gradients of all parameters together; 0: no clipping
  Shuffle shuffle = Shuffle::rows;
  std::uint64_t seed = 0;
  int threads = 1;
};

enum class Outcome : unsigned char { completed, stopped, loss_not_finite, weight_not_finite };

struct EpochReport {
  Outcome outcome = Outcome::completed;
  std::int64_t epoch = 0;  // from 0
  std::int64_t step = 0;   // from 0 in the epoch; where it ended if not completed
  double loss = 0.0;       // mean over rows, all penalties included
  double reconstruction_loss = 0.0;
  double learning_rate = 0.0;     // of the epoch's last step
  std::vector<Measure> measures;  // of the layers that report any
};

/// How far the current epoch is, for a poll hook.
struct Progress {
  Index rows = 0;
  double mean_loss = 0.0;
};

struct BatchLosses {
  double loss = 0.0;
  double reconstruction_loss = 0.0;
};

/// The numbers of one thing that a layer keeps, where they lie: for another training to take over.
struct KeptValues {
  Index layer = 0;
  KeptState state;
  float* values = nullptr;  // (outputs of the layer)
  Index count = 0;
};

class Trainer {
 public:
  Trainer(std::shared_ptr<const Model> start, Rows train, std::optional<Rows> validation,
          const TrainingSettings& settings, std::optional<Targets> targets = std::nullopt,
          std::optional<Targets> validation_targets = std::nullopt);

  [[nodiscard]] EpochReport run_epoch(PollHook* hook);

  /// From the next epoch on the rate that the schedule's factor multiplies.
  void set_learning_rate(double rate) { settings_.optimizer.learning_rate = rate; }

  /// Of the validation rows at the current weights; nullopt if stopped. Noise, in layers that evaluate with
  /// any, is the same at every call.
  [[nodiscard]] std::optional<BatchLosses> validation_losses(PollHook* hook) const;

  /// What the layers measure: the names, in the order of EpochReport's.
  [[nodiscard]] std::vector<const char*> measure_names() const;

  void keep_best() { parameters_.copy_weights_to(best_); }
  [[nodiscard]] Model best_model() const { return Model(*start_, best_); }
  [[nodiscard]] std::int64_t completed_epochs() const { return epoch_; }
  [[nodiscard]] Model completed_model() const { return Model(*start_, completed_); }
  [[nodiscard]] const EpochReport& completed_report() const { return completed_report_; }

  /// For checkpoints, between epochs: weights, moments and what layers keep may be replaced by those of an
  /// earlier run, which goes on by resume_after its last completed epoch as if it had never ended. (The order
  /// of the rows and the learning rate follow from the number of the epoch.)
  [[nodiscard]] Parameters& resumed_parameters() { return parameters_; }
  void resume_after(const EpochReport& last);
  [[nodiscard]] std::vector<KeptValues> kept_values() const;

  /// How far the current epoch is. For the poll hook: only the caller's thread may ask.
  [[nodiscard]] Progress progress() const;

  /// One batch of all `rows`: returns its losses and leaves the gradients, penalties included, in
  /// parameters().
  BatchLosses batch_gradients(const Rows& rows);
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

  /// Bytes a trainer will hold, beside the model it starts from. `most_stored` is the greatest number of
  /// stored elements of a sparse row; nullopt: the rows are dense. Throws std::overflow_error.
  [[nodiscard]] static Index planned_bytes(const Network& network, Index rows,
                                           const TrainingSettings& settings,
                                           std::optional<Index> most_stored = std::nullopt);

 private:
  /// The rows of a slab are chosen two slabs ahead, so that every worker can ask for the next one's.
  static constexpr int kSlots = 3;

  /// Rows of a batch that pass through the network together: at most slab_rows_, so that memory does not grow
  /// with the batch. Gradients add up from slab to slab; the last one's weights phase ends in the update.
  struct Slab {
    Index position = 0;  // in the epoch
    Index rows = 0;
    Index batch_rows = 0;
    bool first = true;
    bool last = true;
    int slot = 0;              // where its row numbers lie in row_numbers_
    Index first_row = 0;       // its position in the batch
    std::int64_t step = 0;     // of the run
    double mean_weight = 1.0;  // of the batch's rows
  };

  /// The slab at a position of `total` rows; none there: one of no rows.
  [[nodiscard]] Slab slab_at(Index position, Index total, Index batch_size, int slot) const;
  [[nodiscard]] Slab slab_after(const Slab& slab) const;
  [[nodiscard]] bool run_stretch(Team& team);
  void run_steps(Worker& worker, Slab slab, Index batches);
  [[nodiscard]] bool train_slab(Worker& worker, const Slab& slab, const StepRules& rules);
  [[nodiscard]] StepContext context(const Slab& slab) const;
  void rows_phase(Worker& worker, const Rows& rows, const Slab& slab);
  void backward_rows(const Pass& pass, const Slab& slab, Range mine) const;
  [[nodiscard]] bool forward_rows(const Pass& pass, const Slab& slab, Range mine,
                                  const kernels::LossEpilogue& loss) const;
  void observe(Worker& worker, const Slab& slab);
  [[nodiscard]] double penalty() const;  // of the weights
  [[nodiscard]] std::vector<Measure> measures() const;
  void weights_phase(Worker& worker, const Slab& slab, kernels::GradientUse use, const StepRules& rules,
                     UpcomingRows upcoming);
  [[nodiscard]] bool finish_step(Worker& worker, StepRules rules);
  [[nodiscard]] bool clip(Worker& worker, StepRules& rules);
  static void give_up(Worker& worker, std::atomic<bool>& reason);
  void choose_rows(const Slab& slab);
  [[nodiscard]] const Index* numbers_of(const Slab& slab) const {
    return row_numbers_.data() + slab.slot * slab_rows_;
  }
  void collect_loss(Worker& worker, const Slab& slab);

  [[nodiscard]] bool has_penalty() const {
    return settings_.optimizer.l1 != 0.0 || settings_.optimizer.l2 != 0.0;
  }
  [[nodiscard]] bool clips() const { return settings_.clip_norm > 0.0; }
  [[nodiscard]] bool stores_gradients() const { return clips() || gradients_.keeps_norms(); }

  TrainingSettings settings_;
  const Rows train_;
  const std::optional<Rows> validation_;
  const std::optional<Targets> targets_;  // without any, outputs are compared with the rows themselves
  const std::optional<Targets> validation_targets_;
  const std::shared_ptr<const Model> start_;  // network and scaler; its weights are the initial ones
  const Network& network_;
  Parameters parameters_;
  const Index slab_rows_;
  const int threads_;
  TeamSize team_size_;
  const std::int64_t steps_per_epoch_;
  RowOrder order_;

  WorkspacePlan plan_;
  const NetworkBooking booking_;
  const WorkspacePlan::Buffer lanes_booking_;
  const WorkspacePlan::Buffer target_booking_;
  Workspace workspace_;
  SparseBatch sparse_;  // the rows as they came in, if they are sparse
  const NetworkBuffers buffers_;
  const MatrixView<float> target_;  // (slab rows, outputs): the rows as they came in if dense, or targets
  const MatrixView<float> lanes_;   // (slab rows, 16)
  AlignedBuffer<float> row_loss_;   // (slab rows)
  BatchWeights weights_;
  AlignedBuffer<Index> row_numbers_;   // (kSlots, slab rows): of this slab and of those to come
  AlignedBuffer<std::int32_t> hints_;  // (threads, slab rows): where each worker is in sparse rows
  GradientList gradients_;
  AlignedBuffer<float> completed_;  // weights of the last completed epoch
  EpochReport completed_report_;
  AlignedBuffer<float> best_;
  std::vector<std::vector<double>> tallies_;  // of each layer, of the epoch

  // Where the run is. Written by the caller's worker alone, but for the two flags.
  std::int64_t epoch_ = 0;
  Slab next_;                 // where the next stretch of steps begins
  std::int64_t step_ = 0;     // of the epoch
  Index rows_done_ = 0;       // of the epoch
  double weight_done_ = 0.0;  // of those rows
  double loss_sum_ = 0.0;
  double penalty_sum_ = 0.0;  // of weights and layers, times the rows' weight
  std::atomic<bool> loss_not_finite_{false};
  std::atomic<bool> weight_not_finite_{false};
};

}  // namespace diabolo
