// See trainer.h. A step is two phases with a meeting after each:
//   rows     every worker takes its rows all the way: gather, forward, loss, gradients at every
//   pre-activation weights  the weights of all layers are shared out: reduce over the rows, update on the
//   spot
#include "training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "model/layered_pass.h"

namespace diabolo {
namespace {

/// A slab feeds this many workers before it grows by another block of rows.
constexpr int kThreadsPerBlock = 8;

/// A worker's share of a slab begins at an even row: a pair of rows (kernels/arguments/products.h) has one
/// owner.
constexpr Index kRowGranule = 2;

/// Operations of a step for each worker: about 10 us of work, against two meetings of about 1 us. Measured on
/// 32-16-8-16-32: with batches of 256 (2.0e6 operations) two workers are 1.4 times as fast as one; with 32,
/// slower.
constexpr double kCostPerThread = 7.5e5;

Index slab_rows_for(const Network& network, Index batch_size, Index rows, int threads) {
  if (network.needs_whole_batch()) return std::min(batch_size, rows);
  const Index blocks = (threads + kThreadsPerBlock - 1) / kThreadsPerBlock;
  return std::min({batch_size, rows, blocks * kernels::kRowBlock});
}

/// Forward, input gradients and weight gradients cost about the same: three products a layer.
int useful_threads(const Network& network, Index slab_rows, int threads) {
  const double cost = 3.0 * network.forward_cost(network.all()) * static_cast<double>(slab_rows);
  return static_cast<int>(std::clamp(cost / kCostPerThread, 1.0, static_cast<double>(threads)));
}

SparseBatch sparse_batch(const Network& network, const Rows& rows, const Objective& objective, Index count) {
  const SparseTable* table = rows.sparse();
  require(table != nullptr || !objective.stored_only, "only sparse rows tell which elements are stored.");
  if (table == nullptr) return {};
  return {network, objective, count, table->most_stored(), Purpose::training};
}

NetworkBuffers attached(NetworkBuffers buffers, SparseBatch& sparse) {
  if (sparse) sparse.attach_to(buffers);
  return buffers;
}

GradientList plan_gradients(const Network& network, const NetworkBuffers& buffers, Parameters& parameters,
                            bool with_penalty, bool with_norm, int most_workers) {
  GradientList list(network.kernels(), parameters, most_workers);
  for (Index i = 0; i < network.size(); ++i) network.layer(i).list_gradients(buffers.at(i), list);
  list.finish(with_penalty, with_norm);
  return list;
}

}  // namespace

Trainer::Trainer(std::shared_ptr<const Model> start, Rows train, std::optional<Rows> validation,
                 const TrainingSettings& settings, std::optional<Targets> targets,
                 std::optional<Targets> validation_targets)
    : settings_(settings),
      train_(std::move(train)),
      validation_(std::move(validation)),
      targets_(std::move(targets)),
      validation_targets_(std::move(validation_targets)),
      start_(std::move(start)),
      network_(start_->network()),
      parameters_(network_.kernels(), network_.parameter_plan(), Purpose::training),
      slab_rows_(slab_rows_for(network_, settings.batch_size, train_.count(), settings.threads)),
      threads_(useful_threads(network_, slab_rows_, settings.threads)),
      team_size_(threads_),
      steps_per_epoch_((train_.count() + settings.batch_size - 1) / settings.batch_size),
      order_(train_, settings.shuffle, settings.seed,
             RowOrder::window_rows(train_.features(), settings.batch_size)),
      booking_(
          network_.book(plan_, network_.all(), slab_rows_, Purpose::training, train_.sparse() != nullptr)),
      lanes_booking_(plan_.book(slab_rows_, kernels::kGroup)),
      target_booking_(targets_ ? plan_.book(slab_rows_, targets_->outputs()) : WorkspacePlan::Buffer{}),
      workspace_(plan_),
      sparse_(sparse_batch(network_, train_, settings.objective, slab_rows_)),
      buffers_(attached(network_.lay_out(booking_, workspace_), sparse_)),
      target_(targets_ ? workspace_.view(target_booking_) : buffers_.input),
      lanes_(workspace_.view(lanes_booking_)),
      row_loss_(slab_rows_),
      weights_(train_, slab_rows_),
      row_numbers_(kSlots * slab_rows_),
      hints_(sparse_ ? threads_ * slab_rows_ : 0),
      gradients_(plan_gradients(network_, buffers_, parameters_, has_penalty(), clips(), threads_)),
      completed_(parameters_.floats()),
      best_(parameters_.floats()) {
  const Index outputs = network_.outputs(network_.all());
  const bool compares_stored = sparse_ && !targets_;
  require(!sparse_ || start_->scaler().empty(), "sparse rows are not scaled.");
  require(!compares_stored || network_.compares_sparse_rows(), "this network's loss takes only dense rows.");
  require((compares_stored ? train_.features() : target_.cols) == outputs,
          "there must be a target for each output of the network.");
  require(!validation_ || validation_targets_.has_value() == targets_.has_value(),
          "rows of validation must have targets if those of training have.");
  require(!validation_targets_ || (validation_targets_->outputs() == outputs && !network_.has_penalty()),
          "validation by targets takes one for each output, and no penalties of layers.");
  require(!settings.optimizer.lazy || gradients_.has_untouched(),
          "a lazy optimizer needs a code that goes on as a list of its active units.");
  AlignedBuffer<float>& weights = completed_;
  start_->parameters().copy_weights_to(weights);
  parameters_.take_weights_from(weights);
  parameters_.add_moments(kernels::moments_of(settings.optimizer.rule));
  const bool several_slabs = slab_rows_ < std::min(settings.batch_size, train_.count());
  if (several_slabs || stores_gradients()) parameters_.add_gradient();
  for (Index i = 0; i < network_.size(); ++i) {
    tallies_.emplace_back(static_cast<std::size_t>(network_.layer(i).tallies()));
  }
}

Index Trainer::planned_bytes(const Network& network, Index rows, const TrainingSettings& settings,
                             std::optional<Index> most_stored) {
  const ParameterPlan& parameters = network.parameter_plan();
  const Index slab_rows = slab_rows_for(network, settings.batch_size, rows, settings.threads);
  const bool keeps_gradient =
      settings.clip_norm > 0.0 || parameters.keeps_norms() || slab_rows < std::min(settings.batch_size, rows);
  const Index copies = 3 + kernels::moments_of(settings.optimizer.rule) + (keeps_gradient ? 1 : 0);
  Index floats = checked_product(parameters.floats(), copies);
  floats = checked_sum(floats, parameters.copied_floats(Purpose::training));

  WorkspacePlan plan;
  static_cast<void>(network.book(plan, network.all(), slab_rows, Purpose::training, most_stored.has_value()));
  floats = checked_sum(floats, checked_sum(plan.floats(), plan.integers()));
  const Index sparse = most_stored ? SparseBatch::planned_bytes(slab_rows, *most_stored) : 0;

  const Index window = RowOrder::window_rows(network.inputs(network.all()), settings.batch_size);
  return checked_sum(checked_product(floats, sizeof(float)),
                     checked_sum(sparse, RowOrder::planned_bytes(rows, settings.shuffle, window)));
}

void Trainer::resume_after(const EpochReport& last) {
  parameters_.copy_weights_to(completed_);
  completed_report_ = last;
  epoch_ = last.epoch + 1;
}

std::vector<KeptValues> Trainer::kept_values() const {
  std::vector<KeptValues> all;
  for (Index i = 0; i < network_.size(); ++i) {
    const MatrixView<float> kept = buffers_.at(i).kept;
    Index row = 0;
    for (const KeptState& state : network_.layer(i).kept_states()) {
      all.push_back({i, state, kept.row(row++), kept.cols});
    }
  }
  return all;
}

EpochReport Trainer::run_epoch(PollHook* hook) {
  step_ = 0;
  rows_done_ = 0;
  weight_done_ = 0.0;
  loss_sum_ = 0.0;
  penalty_sum_ = 0.0;
  loss_not_finite_ = false;
  weight_not_finite_ = false;
  for (std::vector<double>& tallies : tallies_) std::fill(tallies.begin(), tallies.end(), 0.0);
  if (train_.has_weights()) {
    order_.begin_epoch(epoch_);
    weights_.begin_epoch(train_, settings_.batch_size, order_);
  }
  order_.begin_epoch(epoch_);
  for (Index i = 0; i < network_.size(); ++i) network_.layer(i).begin_epoch(parameters_, buffers_.at(i));
  const Slab first = slab_at(0, train_.count(), settings_.batch_size, 0);
  choose_rows(first);
  choose_rows(slab_after(first));

  Team team(threads_, hook, network_.thread_preparation());
  bool stopped = false;
  for (next_ = first; next_.rows > 0 && !stopped;) stopped = run_stretch(team);

  EpochReport report;
  report.epoch = epoch_;
  report.step = step_;
  const double weight = weight_done_ > 0.0 ? weight_done_ : 1.0;
  report.reconstruction_loss = loss_sum_ / weight;
  report.loss = report.reconstruction_loss + penalty_sum_ / weight;
  report.learning_rate = settings_.optimizer.learning_rate *
                         settings_.optimizer.schedule.factor_at(epoch_ * steps_per_epoch_ + step_,
                                                                steps_per_epoch_, settings_.epochs);
  if (loss_not_finite_) {
    report.outcome = Outcome::loss_not_finite;
  } else if (weight_not_finite_) {
    report.outcome = Outcome::weight_not_finite;
  } else if (stopped) {
    report.outcome = Outcome::stopped;
  } else {
    report.measures = measures();
    for (Index i = 0; i < network_.size(); ++i) network_.layer(i).end_epoch(buffers_.at(i), parameters_);
    parameters_.copy_weights_to(completed_);
    completed_report_ = report;
    ++epoch_;
  }
  return report;
}

Trainer::Slab Trainer::slab_at(Index position, Index total, Index batch_size, int slot) const {
  Slab slab;
  slab.position = position;
  slab.slot = slot;
  if (position >= total) return slab;
  const Index batch_begin = position / batch_size * batch_size;
  const Index batch_end = std::min(batch_begin + batch_size, total);
  slab.rows = std::min(slab_rows_, batch_end - position);
  slab.batch_rows = batch_end - batch_begin;
  slab.first_row = position - batch_begin;
  slab.first = position == batch_begin;
  slab.last = position + slab.rows == batch_end;
  slab.mean_weight = weights_.mean(position / batch_size);
  return slab;
}

Trainer::Slab Trainer::slab_after(const Slab& slab) const {
  return slab_at(slab.position + slab.rows, train_.count(), settings_.batch_size, (slab.slot + 1) % kSlots);
}

/// Some batches from the next slab on. True: the run is being stopped.
bool Trainer::run_stretch(Team& team) {
  using Clock = std::chrono::steady_clock;
  const Slab first = next_;
  const Index batches = team_size_.pieces(settings_.batch_size);
  const Clock::time_point begin = Clock::now();
  gradients_.begin_run();
  const bool stopped =
      team.run(team_size_.threads(), [&](Worker& worker) { run_steps(worker, first, batches); });
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  team_size_.took(seconds.count(), next_.position - first.position);
  return stopped;
}

void Trainer::run_steps(Worker& worker, Slab slab, Index batches) {
  StepRules rules;
  for (; slab.rows > 0; slab = slab_after(slab)) {
    if (slab.first && batches-- == 0) break;
    const std::int64_t step = slab.position / settings_.batch_size;
    slab.step = epoch_ * steps_per_epoch_ + step;
    if (slab.first) {
      rules = rules_at(settings_.optimizer, slab.step, steps_per_epoch_, settings_.epochs);
      if (worker.is_caller()) step_ = step;
    }
    if (!train_slab(worker, slab, rules)) return;
  }
  if (worker.is_caller()) next_ = slab;
}

bool Trainer::train_slab(Worker& worker, const Slab& slab, const StepRules& rules) {
  rows_phase(worker, train_, slab);
  if (worker.meet()) return false;

  const Slab next = slab_after(slab);
  if (worker.is_caller()) {
    collect_loss(worker, slab);
    choose_rows(slab_after(next));
  }
  observe(worker, slab);
  const Range mine = worker.share(next.rows, kRowGranule);
  weights_phase(worker, slab, clips() ? kernels::GradientUse::store : kernels::GradientUse::update, rules,
                UpcomingRows(train_, numbers_of(next) + mine.begin, mine.size()));
  if (worker.meet()) return false;

  if (!slab.last) return true;
  if (worker.is_caller() && has_penalty()) {
    penalty_sum_ += gradients_.penalty() * static_cast<double>(slab.batch_rows) * slab.mean_weight;
  }
  return !stores_gradients() || finish_step(worker, rules);
}

StepContext Trainer::context(const Slab& slab) const {
  StepContext step;
  step.noise = {settings_.seed, RandomStream::training_noise, slab.step, slab.first_row};
  step.batch_rows = slab.batch_rows;
  step.row_weights = weights_.of_rows();
  step.steps_per_epoch = steps_per_epoch_;
  return step;
}

void Trainer::rows_phase(Worker& worker, const Rows& rows, const Slab& slab) {
  const Range mine = worker.share(slab.rows, kRowGranule);
  weights_.weigh(rows, numbers_of(slab), mine, slab.mean_weight);
  const StepContext step = context(slab);
  const Pass pass{network_.kernels(), parameters_, worker, &step};
  const Index* numbers = numbers_of(slab) + mine.begin;
  if (sparse_) {
    sparse_.gather(*rows.sparse(), numbers, mine);
  } else {
    rows.gather(numbers, mine.size(), start_->scaler(), rows_of(buffers_.input, mine));
  }
  if (targets_) targets_->gather(numbers, mine.size(), rows_of(target_, mine));

  const LayerBuffers& last = buffers_.of_layer.back();
  const double scale = settings_.objective.scale(network_);
  std::fill_n(lanes_.row(mine.begin), mine.size() * kernels::kGroup, 0.0f);
  kernels::LossEpilogue loss;
  loss.loss = settings_.objective.loss;
  loss.target = constant(rows_of(target_, mine));
  if (sparse_ && !targets_) sparse_.set_target(mine, loss);
  if (!targets_) loss.weights = constant(rows_of(buffers_.element_weights, mine));
  loss.scale = static_cast<float>(scale / static_cast<double>(slab.batch_rows));
  loss.row_weights = step.row_weights_from(mine.begin);
  loss.lanes = lanes_.row(mine.begin);
  loss.delta = rows_of(last.delta, mine);
  loss.slope_terms = rows_of(last.slope_terms, mine);

  const LayeredPass layered(network_, pass, buffers_, slab.rows, mine);
  const bool by_layers = LayeredPass::serves(slab.rows, worker.count());
  if (by_layers ? layered.forward(loss) : forward_rows(pass, slab, mine, loss)) return;

  if (!worker.poll(0.0)) {  // else the pass may have been left early
    float* row_loss = row_loss_.data() + mine.begin;
    network_.kernels().finish_loss(loss.lanes, mine.size(), static_cast<float>(scale), row_loss);
    const auto finite = [](float x) { return std::isfinite(x); };
    if (!std::all_of(row_loss, row_loss + mine.size(), finite)) give_up(worker, loss_not_finite_);
  }
  if (by_layers) {
    static_cast<void>(layered.backward());  // if it was stopped, the next meeting says so again
  } else {
    backward_rows(pass, slab, mine);
  }
}

/// A worker's rows all the way back; it meets the others only where a layer looks at the gradients of the
/// whole batch. If the run is being stopped, the next meeting says so again.
void Trainer::backward_rows(const Pass& pass, const Slab& slab, Range mine) const {
  // Where all meet on the way, nobody may leave it early.
  if (!network_.needs_whole_batch() && pass.worker.poll(0.0)) return;
  network_.backward(pass, buffers_, mine, [&](Index i) {
    if (pass.worker.meet()) return true;
    const Layer& layer = network_.layer(i);
    const Range units = pass.worker.share(layer.outputs(), kernels::kGroup);
    layer.gradient_statistics(pass, buffers_.at(i), units, slab.rows);
    return pass.worker.meet();
  });
}

/// A worker's rows all the way to the loss; it meets the others only before layers that look at the whole
/// batch. True: the run is being stopped.
bool Trainer::forward_rows(const Pass& pass, const Slab& slab, Range mine,
                           const kernels::LossEpilogue& loss) const {
  for (const Range layers : network_.segments()) {
    if (layers.begin > 0) {
      if (pass.worker.meet()) return true;
      const Layer& layer = network_.layer(layers.begin);
      const Range units = pass.worker.share(layer.outputs(), kernels::kGroup);
      layer.batch_statistics(pass, buffers_.at(layers.begin), units, slab.rows);
      if (pass.worker.meet()) return true;
    }
    if (mine.size() > 0) network_.forward(pass, buffers_, layers, mine, &loss);
  }
  return false;
}

/// Between the phases, in shares of units: the buffers stand still.
void Trainer::observe(Worker& worker, const Slab& slab) {
  for (Index i = 0; i < network_.size(); ++i) {
    std::vector<double>& tallies = tallies_[static_cast<std::size_t>(i)];
    if (tallies.empty()) continue;
    const Range units = worker.share(network_.layer(i).outputs(), kernels::kGroup);
    network_.layer(i).observe(buffers_.at(i), units, slab.rows, tallies.data());
  }
}

std::vector<Measure> Trainer::measures() const {
  std::vector<Measure> all;
  for (Index i = 0; i < network_.size(); ++i) {
    const std::vector<double>& tallies = tallies_[static_cast<std::size_t>(i)];
    if (tallies.empty()) continue;
    for (const Measure& m : network_.layer(i).measures(tallies.data(), rows_done_)) all.push_back(m);
  }
  return all;
}

std::vector<const char*> Trainer::measure_names() const {
  std::vector<const char*> names;
  for (const Measure& m : measures()) names.push_back(m.name);
  return names;
}

void Trainer::weights_phase(Worker& worker, const Slab& slab, kernels::GradientUse use,
                            const StepRules& rules, UpcomingRows upcoming) {
  std::int32_t* hints = sparse_ ? hints_.data() + worker.index() * slab_rows_ : nullptr;
  const GradientPass pass{slab.rows, !slab.first, slab.last, use, settings_.optimizer.lazy, hints};
  if (!gradients_.run(worker, pass, rules, upcoming)) give_up(worker, weight_not_finite_);
}

/// Everyone learns of it at the next meeting, so that all leave at the same place.
void Trainer::give_up(Worker& worker, std::atomic<bool>& reason) {
  reason.store(true, std::memory_order_relaxed);
  worker.stop();
}

/// What is left of a step where gradients were stored, all of them or those of unit vectors (Gao et al.
/// 2024): these lose the part along their vectors before anybody looks at their length.
bool Trainer::finish_step(Worker& worker, StepRules rules) {
  const bool lazy = settings_.optimizer.lazy;
  if (clips()) {
    if (gradients_.keeps_norms()) {
      gradients_.remove_parallel(worker, lazy);
      if (worker.meet()) return false;
    }
    if (!clip(worker, rules)) return false;
    if (!gradients_.update_from_stored(worker, rules)) give_up(worker, weight_not_finite_);
  }
  if (gradients_.keeps_norms() && !gradients_.update_unit_vectors(worker, rules, lazy, !clips())) {
    give_up(worker, weight_not_finite_);
  }
  return !worker.meet();
}

/// Pascanu, Mikolov & Bengio (2013): gradients longer than clip_norm are shortened to it, all by one factor.
bool Trainer::clip(Worker& worker, StepRules& rules) {
  const double norm = gradients_.gradient_norm();
  if (!std::isfinite(norm)) {
    give_up(worker, weight_not_finite_);
    return false;  // every worker computes the same norm
  }
  if (norm > settings_.clip_norm) {
    rules.kernels.clip = rules.vectors.clip = static_cast<float>(settings_.clip_norm / norm);
  }
  return true;
}

void Trainer::choose_rows(const Slab& slab) {
  order_.next(slab.rows, row_numbers_.data() + slab.slot * slab_rows_);
}

/// In the order of the rows, whatever the workers.
void Trainer::collect_loss(Worker& worker, const Slab& slab) {
  const StepContext step = context(slab);
  for (Index r = 0; r < slab.rows; ++r) {
    const double weight = slab.mean_weight * step.row_weight(r);
    loss_sum_ += weight * static_cast<double>(row_loss_[r]);
    weight_done_ += weight;
  }
  rows_done_ += slab.rows;
  if (!network_.has_penalty()) return;
  for (Index i = 0; i < network_.size(); ++i) {
    penalty_sum_ += slab.mean_weight * network_.layer(i).slab_penalty(step, buffers_.at(i), slab.rows);
  }
  if (!std::isfinite(penalty_sum_)) give_up(worker, loss_not_finite_);
}

Progress Trainer::progress() const {
  return {rows_done_, (loss_sum_ + penalty_sum_) / (weight_done_ > 0.0 ? weight_done_ : 1.0)};
}

}  // namespace diabolo
