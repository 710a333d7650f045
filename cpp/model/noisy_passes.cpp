// Passes with noise: the losses of rows as training sees them, and what a variational autoencoder says of
// rows: the evidence lower bound and the likelihood by importance sampling. The encoder runs once for a piece
// of rows, the decoder once for each sample.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/scalar_math.h"
#include "model/inference.h"

namespace diabolo {
namespace {

constexpr Index kMostRowsAtOnce = 128;

/// The mean of numbers, or the logarithm of the mean of their exponentials, as they come.
struct RunningMean {
  double greatest = -HUGE_VAL;  // importance alone
  double sum = 0.0;

  void add(double value, Inference::Evidence kind) {
    if (kind == Inference::Evidence::average) {
      sum += value;
    } else if (value <= greatest) {
      sum += portable_exp(value - greatest);
    } else {
      sum = sum * portable_exp(greatest - value) + 1.0;
      greatest = value;
    }
  }
  [[nodiscard]] double mean(std::int64_t count, Inference::Evidence kind) const {
    const auto n = static_cast<double>(count);
    if (!std::isfinite(sum)) return std::numeric_limits<double>::quiet_NaN();
    return kind == Inference::Evidence::average ? sum / n : greatest + portable_log(sum / n);
  }
};

}  // namespace

template <class Finish>
PassOutcome Inference::run_samples(const Rows& rows, const Objective& objective, StepContext context,
                                   std::int64_t samples, const Finish& finish) const {
  require(rows.features() == network_.inputs(network_.all()),
          "rows must have as many features as the network has inputs.");
  if (rows.count() == 0) return PassOutcome::completed;
  const int threads = useful_threads(rows, network_.all());
  const Index at_once = std::min(kMostRowsAtOnce, (rows.count() + threads - 1) / threads);

  WorkspacePlan plan;
  const NetworkBooking booking =
      network_.book(plan, network_.all(), threads * at_once, Purpose::evaluation, rows.sparse() != nullptr);
  const auto lanes_buffer = plan.book(threads * at_once, kernels::kGroup);
  Workspace workspace(plan);
  NetworkBuffers buffers = network_.lay_out(booking, workspace);
  SparseBatch sparse = sparse_batch(rows, network_.all(), &objective, threads * at_once);
  if (sparse) sparse.attach_to(buffers);
  const MatrixView<float> lanes = workspace.view(lanes_buffer);
  AlignedBuffer<Index> source_rows(threads * at_once);
  AlignedBuffer<float> losses(threads * at_once);
  const Index code = network_.code_layers() - 1;
  const auto scale = static_cast<float>(objective.scale(network_));
  std::atomic<bool> invalid{false};

  Team team(threads, hook_, network_.thread_preparation());
  const bool stopped = team.run([&](Worker& worker) {
    StepContext step = context;
    const Pass pass{network_.kernels(), parameters_, worker, &step};
    network_.weight_statistics(pass, buffers);
    const Range share = worker.share(rows.count());
    const Index mine = worker.index() * at_once;  // the worker's own rows of the buffers
    for (Index first = share.begin; first < share.end; first += at_once) {
      const Range here{mine, mine + std::min(at_once, share.end - first)};
      for (Index i = 0; i < here.size(); ++i) source_rows[mine + i] = rows.source_row(first + i);
      if (!gather(rows, source_rows.data() + mine, scaler_, network_.takes_missing(), here, buffers,
                  sparse)) {
        invalid.store(true, std::memory_order_relaxed);
        return worker.stop();
      }
      step.noise.first_row = context.noise.first_row + first - mine;
      network_.forward(pass, buffers, {0, code}, here, nullptr);
      for (std::int64_t sample = 0; sample < samples; ++sample) {
        step.noise.step = context.noise.step + sample;
        std::fill_n(lanes.row(mine), here.size() * kernels::kGroup, 0.0f);
        kernels::LossEpilogue epilogue;
        epilogue.loss = objective.loss;
        epilogue.target = constant(rows_of(buffers.input, here));
        epilogue.weights = constant(rows_of(buffers.element_weights, here));
        if (sparse) sparse.set_target(here, epilogue);
        epilogue.lanes = lanes.row(mine);
        network_.forward(pass, buffers, {code, network_.size()}, here, &epilogue);
        if (worker.poll(0.0)) return;
        network_.kernels().finish_loss(epilogue.lanes, here.size(), scale, losses.data() + mine);
        for (Index r = here.begin; r < here.end; ++r) finish(buffers, r, first + r - mine, losses[r]);
      }
    }
  });
  if (invalid.load(std::memory_order_relaxed)) return PassOutcome::invalid_value;
  return stopped ? PassOutcome::stopped : PassOutcome::completed;
}

PassOutcome Inference::row_losses(const Rows& rows, const Objective& objective, const NoiseOrigin& noise,
                                  float* reconstruction, double* penalty) const {
  StepContext context;
  context.noise = noise;
  const auto finish = [&](const NetworkBuffers& buffers, Index at, Index row, float loss) {
    reconstruction[row] = loss;
    penalty[row] = 0.0;
    for (Index i = 0; i < network_.size(); ++i) {
      penalty[row] += network_.layer(i).row_penalty(buffers.at(i), at);
    }
  };
  return run_samples(rows, objective, context, 1, finish);
}

PassOutcome Inference::evidence(const Rows& rows, const Objective& objective, Evidence kind,
                                std::uint64_t seed, std::int64_t samples, double* out) const {
  const Index code = network_.code_layers() - 1;
  require(std::holds_alternative<GaussianCodeSpec>(network_.specs()[static_cast<std::size_t>(code)]),
          "only a network with a gaussian code has an evidence.");
  StepContext context;
  context.noise.seed = seed;
  context.noise.stream = RandomStream::inference_noise;
  if (kind == Evidence::importance) context.divergence = kernels::Divergence::sampled;
  std::vector<RunningMean> means(static_cast<std::size_t>(rows.count()));
  const auto finish = [&](const NetworkBuffers& buffers, Index at, Index row, float loss) {
    const double divergence = static_cast<double>(buffers.at(code).row_penalty.row(at)[0]);
    means[static_cast<std::size_t>(row)].add(-static_cast<double>(loss) - divergence, kind);
  };
  const PassOutcome outcome = run_samples(rows, objective, context, samples, finish);
  for (Index row = 0; row < rows.count(); ++row) {
    out[row] = means[static_cast<std::size_t>(row)].mean(samples, kind);
  }
  return outcome;
}

}  // namespace diabolo
