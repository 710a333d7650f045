// What a variational autoencoder says of rows: the evidence lower bound and the likelihood by importance
// sampling. The encoder runs once for a piece of rows, the decoder once for each sample.
#include <algorithm>
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

const GaussianCodeSpec& gaussian_code(const Network& network) {
  const auto at = static_cast<std::size_t>(network.code_layers() - 1);
  const auto* spec = std::get_if<GaussianCodeSpec>(&network.specs()[at]);
  require(spec != nullptr, "only a network with a gaussian code has an evidence.");
  return *spec;
}

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

bool Inference::evidence(const Rows& rows, const Objective& objective, Evidence kind, std::uint64_t seed,
                         std::int64_t samples, double* out) const {
  gaussian_code(network_);
  require(rows.features() == network_.inputs(network_.all()),
          "rows must have as many features as the network has inputs.");
  if (rows.count() == 0) return true;
  const int threads = static_cast<int>(std::min<Index>(threads_, rows.count()));
  const Index at_once = std::min(kMostRowsAtOnce, (rows.count() + threads - 1) / threads);

  WorkspacePlan plan;
  const NetworkBooking booking = network_.book(plan, network_.all(), threads * at_once, Purpose::evaluation);
  const auto lanes_buffer = plan.book(threads * at_once, kernels::kGroup);
  Workspace workspace(plan);
  const NetworkBuffers buffers = network_.lay_out(booking, workspace);
  const MatrixView<float> lanes = workspace.view(lanes_buffer);
  AlignedBuffer<Index> source_rows(threads * at_once);
  AlignedBuffer<float> losses(threads * at_once);
  std::vector<RunningMean> means(static_cast<std::size_t>(threads * at_once));
  const Index code = network_.code_layers() - 1;
  const auto scale = static_cast<float>(objective.scale(rows.features()));

  Team team(threads, hook_);
  return !team.run([&](Worker& worker) {
    StepContext step;
    step.noise.seed = seed;
    step.noise.stream = RandomStream::inference_noise;
    step.divergence = kind == Evidence::average ? kernels::Divergence::exact : kernels::Divergence::sampled;
    const Pass pass{network_.kernels(), parameters_, worker, &step};
    const Range share = worker.share(rows.count());
    const Index mine = worker.index() * at_once;
    for (Index first = share.begin; first < share.end; first += at_once) {
      const Range here{mine, mine + std::min(at_once, share.end - first)};
      for (Index i = 0; i < here.size(); ++i) source_rows[mine + i] = rows.source_row(first + i);
      rows.gather(source_rows.data() + mine, here.size(), scaler_, rows_of(buffers.input, here));
      network_.forward(pass, buffers, {0, code}, here, nullptr);
      std::fill_n(means.begin() + mine, here.size(), RunningMean());
      step.noise.first_row = first - mine;
      for (std::int64_t sample = 0; sample < samples; ++sample) {
        step.noise.step = sample;
        std::fill_n(lanes.row(mine), here.size() * kernels::kGroup, 0.0f);
        kernels::LossEpilogue epilogue;
        epilogue.loss = objective.loss;
        epilogue.target = constant(rows_of(buffers.input, here));
        epilogue.lanes = lanes.row(mine);
        network_.forward(pass, buffers, {code, network_.size()}, here, &epilogue);
        if (worker.poll(0.0)) return;
        network_.kernels().finish_loss(epilogue.lanes, here.size(), scale, losses.data() + mine);
        for (Index r = here.begin; r < here.end; ++r) {
          const double divergence = buffers.at(code).row_penalty.row(r)[0];
          means[static_cast<std::size_t>(r)].add(-static_cast<double>(losses[r]) - divergence, kind);
        }
      }
      for (Index r = 0; r < here.size(); ++r) {
        out[first + r] = means[static_cast<std::size_t>(mine + r)].mean(samples, kind);
      }
    }
  });
}

}  // namespace diabolo
