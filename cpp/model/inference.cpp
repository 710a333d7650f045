// See inference.h.
#include "model/inference.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "base/check.h"

namespace diabolo {
namespace {

/// Rows a worker takes through the network at once.
constexpr Index kMostRowsAtOnce = 128;

/// Below this many operations a second thread costs more (a few microseconds to wake) than it brings.
constexpr double kCostPerThread = 2e6;

/// Whether every value lies in [low, high] and is finite; or is NaN where that means a missing one.
template <bool missing_allowed>
bool all_valid(MatrixView<float> x, float low, float high) {
  for (Index r = 0; r < x.rows; ++r) {
    const float* row = x.row(r);
    unsigned bad = 0;  // no early exit: the loop over a row becomes vectors
    for (Index c = 0; c < x.cols; ++c) {
      unsigned refused = static_cast<unsigned>(!(row[c] >= low)) | static_cast<unsigned>(!(row[c] <= high)) |
                         static_cast<unsigned>(row[c] - row[c] != 0.0f);
      if constexpr (missing_allowed) refused &= static_cast<unsigned>(row[c] == row[c]);
      bad |= refused;
    }
    if (bad != 0) return false;
  }
  return true;
}

/// An error that is no number comes of infinities met on the way: such a row is as far off as can be, and
/// must not pass every comparison with a threshold, as NaN does.
float beyond_numbers(float error) {
  return std::isnan(error) ? std::numeric_limits<float>::infinity() : error;
}

/// The factor that makes of an error, in which elements count by what MissingValues gave them as weights, the
/// mean over the features of a row that were observed. 1 where it is that already.
double mean_of_observed(const Network& network, const Objective& objective, const float* weights) {
  const auto& spec = std::get<MissingValuesSpec>(network.specs().front());
  const bool joined = kernels::joins_columns(objective.loss);  // else each column of a group is one feature
  if (objective.sum_features || (spec.rescale && (joined || spec.groups.empty()))) return 1.0;
  const float* const end = weights + spec.units;
  const float* const weight = std::find_if(weights, end, [](float w) { return w > 0.0f; });
  if (weight == end) return 1.0;  // nothing was observed, and the error is NaN
  const std::span<const Range> groups = joined ? std::span(spec.groups) : std::span<const Range>();
  const Index observed = observed_features(weights, spec.units, groups);
  return 1.0 / (objective.scale(network) * static_cast<double>(*weight) * static_cast<double>(observed));
}

/// Borrowed for a pass, given back however it ends.
class Borrowed {
 public:
  Borrowed(PassSpacePool& pool, const Network& network, Range layers, Index rows)
      : pool_(pool), space_(pool.borrow(network, layers, rows)) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() { pool_.give_back(std::move(space_)); }
  PassSpace* operator->() const { return space_.get(); }

 private:
  PassSpacePool& pool_;
  std::unique_ptr<PassSpace> space_;
};

}  // namespace

int Inference::useful_threads(const Rows& rows, Range layers) const {
  const double cost = network_.forward_cost(layers) * static_cast<double>(rows.count());
  if (cost < kCostPerThread) return 1;  // without asking how many there are, which takes longer than the pass
  const double most = threads_ > 0 ? threads_ : usable_threads();
  const auto useful = static_cast<Index>(std::min(cost / kCostPerThread + 1.0, most));
  return static_cast<int>(std::min(useful, rows.count()));
}

/// For dense rows: no batch.
SparseBatch Inference::sparse_batch(const Rows& rows, Range layers, const Objective* objective,
                                    Index count) const {
  const SparseTable* table = rows.sparse();
  require(table != nullptr || objective == nullptr || !objective->stored_only,
          "only sparse rows tell which elements are stored.");
  if (table == nullptr) return {};
  require(layers.begin == 0, "sparse rows enter a network at its first layer.");
  require(scaler_.empty(), "sparse rows are not scaled.");
  require(objective == nullptr || targets_ != nullptr || network_.compares_sparse_rows(),
          "this network's loss takes only dense rows.");
  const Objective any;
  return {network_, objective == nullptr ? any : *objective, count, table->most_stored(), Purpose::inference};
}

/// Rows `here` of the buffers = these rows of the table. False: a value is refused.
bool Inference::gather(const Rows& rows, const Index* source_rows, const Scaler& scaler, bool missing_allowed,
                       Range here, const NetworkBuffers& buffers, SparseBatch& sparse) const {
  if (sparse) {
    sparse.gather(*rows.sparse(), source_rows, here);
    return !checks_ || sparse.all_valid(here, low_, high_);
  }
  const MatrixView<float> out = rows_of(buffers.input, here);
  if (checks_) {
    rows.gather(source_rows, out.rows, Scaler(), out);
    if (!(missing_allowed ? all_valid<true>(out, low_, high_) : all_valid<false>(out, low_, high_)))
      return false;
    if (scaler.empty()) return true;
  }
  rows.gather(source_rows, out.rows, scaler, out);
  return true;
}

template <class Finish>
PassOutcome Inference::run(const Rows& rows, Range layers, const Scaler& scaler, const Objective* objective,
                           const Finish& finish) const {
  require(rows.features() == network_.inputs(layers),
          "rows must have as many features as the network has inputs.");
  if (rows.count() == 0) return PassOutcome::completed;
  const int threads = useful_threads(rows, layers);
  const Index at_once = std::min(kMostRowsAtOnce, (rows.count() + threads - 1) / threads);
  const Borrowed space(spaces_, network_, layers, threads * at_once);
  SparseBatch sparse = sparse_batch(rows, layers, objective, threads * at_once);
  std::optional<NetworkBuffers> with_sparse;
  if (sparse) sparse.attach_to(with_sparse.emplace(space->buffers()));
  const NetworkBuffers& buffers = with_sparse ? *with_sparse : space->buffers();
  const MatrixView<float> lanes = space->lanes();
  WorkspacePlan target_plan;
  const bool compares = objective != nullptr && targets_ != nullptr;
  const auto target_booking =
      compares ? target_plan.book(threads * at_once, targets_->outputs()) : WorkspacePlan::Buffer{};
  Workspace target_space(target_plan);
  const MatrixView<float> targets = compares ? target_space.view(target_booking) : buffers.input;
  std::atomic<bool> invalid{false};
  const bool missing_allowed = layers.begin == 0 && network_.takes_missing();

  Team team(threads, hook_, network_.thread_preparation());
  const bool stopped = team.run([&](Worker& worker) {
    const Pass pass{network_.kernels(), parameters_, worker};
    const Range share = worker.share(rows.count());
    const Index mine = worker.index() * at_once;  // the worker's own rows of the buffers
    Index* const source_rows = space->source_rows() + mine;
    for (Index first = share.begin; first < share.end; first += at_once) {
      const Range here{mine, mine + std::min(at_once, share.end - first)};
      for (Index i = 0; i < here.size(); ++i) source_rows[i] = rows.source_row(first + i);
      if (!gather(rows, source_rows, scaler, missing_allowed, here, buffers, sparse)) {
        invalid.store(true, std::memory_order_relaxed);
        return worker.stop();
      }
      kernels::LossEpilogue epilogue;
      if (objective != nullptr) {
        std::fill_n(lanes.row(mine), here.size() * kernels::kGroup, 0.0f);
        epilogue.loss = objective->loss;
        if (compares) targets_->gather(source_rows, here.size(), rows_of(targets, here));
        epilogue.target = constant(rows_of(targets, here));
        if (!compares) epilogue.weights = constant(rows_of(buffers.element_weights, here));
        if (sparse && !compares) sparse.set_target(here, epilogue);
        epilogue.lanes = lanes.row(mine);
      }
      network_.forward(pass, buffers, here, objective == nullptr ? nullptr : &epilogue);
      if (worker.poll(0.0)) return;
      finish(buffers, here, first, epilogue.lanes);
    }
  });
  if (invalid.load(std::memory_order_relaxed)) return PassOutcome::invalid_value;
  return stopped ? PassOutcome::stopped : PassOutcome::completed;
}

PassOutcome Inference::copy_output(const Rows& rows, Range layers, const Scaler& in, const Scaler& out_scaler,
                                   MatrixView<float> out) const {
  return run(
      rows, layers, in, nullptr, [&](const NetworkBuffers& buffers, Range here, Index first, const float*) {
        const MatrixView<float> result = rows_of(buffers.output(), here);
        for (Index r = 0; r < here.size(); ++r) {
          const float* y = result.row(r);
          float* to = out.row(first + r);
          if (out_scaler.empty()) {
            std::copy_n(y, out.cols, to);
            continue;
          }
          for (Index c = 0; c < out.cols; ++c) {
            const auto at = static_cast<std::size_t>(c);
            to[c] =
                static_cast<float>(static_cast<double>(y[c]) * out_scaler.scale[at] + out_scaler.shift[at]);
          }
        }
      });
}

PassOutcome Inference::encode(const Rows& rows, MatrixView<float> codes) const {
  return copy_output(rows, network_.encoder(), scaler_, Scaler(), codes);
}

PassOutcome Inference::decode(const Rows& codes, MatrixView<float> out) const {
  return copy_output(codes, network_.decoder(), Scaler(), scaler_, out);
}

PassOutcome Inference::reconstruct(const Rows& rows, MatrixView<float> out) const {
  return copy_output(rows, network_.all(), scaler_, scaler_, out);
}

PassOutcome Inference::layer_output(const Rows& rows, Index layer, MatrixView<float> out) const {
  return copy_output(rows, {0, layer + 1}, scaler_, Scaler(), out);
}

PassOutcome Inference::row_errors(const Rows& rows, const Objective& objective, float* out) const {
  const auto scale = static_cast<float>(objective.scale(network_));
  return run(rows, network_.all(), scaler_, &objective,
             [&](const NetworkBuffers& buffers, Range here, Index first, const float* lanes) {
               network_.kernels().finish_loss(lanes, here.size(), scale, out + first);
               const MatrixView<float> weights = buffers.element_weights;
               for (Index r = 0; r < here.size(); ++r) {
                 float& error = out[first + r];
                 if (network_.takes_missing() && targets_ == nullptr) {
                   const float* const of_row = weights.row(here.begin + r);
                   // Of a row of which nothing was observed, whose weights are NaN, there is no error at all.
                   if (std::isnan(of_row[0])) continue;
                   error *= static_cast<float>(mean_of_observed(network_, objective, of_row));
                 }
                 error = beyond_numbers(error);
               }
             });
}

PassOutcome Inference::feature_errors(const Rows& rows, MatrixView<float> out, bool stored_only) const {
  if (rows.sparse() != nullptr) return stored_feature_errors(rows, out, stored_only);
  return run(rows, network_.all(), scaler_, nullptr,
             [&](const NetworkBuffers& buffers, Range here, Index first, const float*) {
               for (Index r = 0; r < here.size(); ++r) {
                 const float* x = buffers.input.row(here.begin + r);
                 const float* y = buffers.output().row(here.begin + r);
                 float* to = out.row(first + r);
                 for (Index c = 0; c < out.cols; ++c) to[c] = beyond_numbers((x[c] - y[c]) * (x[c] - y[c]));
                 if (buffers.element_weights.data == nullptr) continue;
                 const float* weights = buffers.element_weights.row(here.begin + r);
                 for (Index c = 0; c < out.cols; ++c) {
                   if (!(weights[c] > 0.0f)) to[c] = std::numeric_limits<float>::quiet_NaN();
                 }
               }
             });
}

PassOutcome Inference::stored_feature_errors(const Rows& rows, MatrixView<float> out,
                                             bool stored_only) const {
  return run(rows, network_.all(), scaler_, nullptr,
             [&](const NetworkBuffers& buffers, Range here, Index first, const float*) {
               const SparseView x = rows_of(buffers.of_layer.front().stored_input, here);
               for (Index r = 0; r < here.size(); ++r) {
                 const float* y = buffers.output().row(here.begin + r);
                 float* to = out.row(first + r);
                 for (Index c = 0; c < out.cols; ++c) to[c] = stored_only ? 0.0f : y[c] * y[c];
                 for (Index k = r * x.stride; k < r * x.stride + x.counts[r]; ++k) {
                   const float d = x.values[k] - y[x.columns[k]];
                   to[x.columns[k]] = d * d;
                 }
               }
             });
}

PassOutcome Inference::code_deviations(const Rows& rows, MatrixView<float> out) const {
  const auto code = static_cast<std::size_t>(network_.code_layers() - 1);
  require(std::holds_alternative<GaussianCodeSpec>(network_.specs()[code]),
          "only a gaussian code has a deviation.");
  return run(rows, {0, network_.code_layers() - 1}, scaler_, nullptr,
             [&](const NetworkBuffers& buffers, Range here, Index first, const float*) {
               network_.kernels().gaussian_deviations(constant(rows_of(buffers.output(), here)),
                                                      rows_of(out, {first, first + here.size()}));
             });
}

}  // namespace diabolo
