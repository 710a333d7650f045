// See inference.h.
#include "model/inference.h"

#include <algorithm>
#include <variant>

#include "base/check.h"

namespace diabolo {
namespace {

/// Rows a worker takes through the network at once.
constexpr Index kMostRowsAtOnce = 128;

/// Below this many operations a second thread costs more (a few microseconds to wake) than it brings.
constexpr double kCostPerThread = 2e6;

}  // namespace

template <class Finish>
bool Inference::run(const Rows& rows, Range layers, const Scaler& scaler, const Objective* objective,
                    const Finish& finish, const NoiseOrigin* noise) const {
  require(rows.features() == network_.inputs(layers),
          "rows must have as many features as the network has inputs.");
  if (rows.count() == 0) return true;
  const double cost = network_.forward_cost(layers) * static_cast<double>(rows.count());
  const auto useful = static_cast<int>(std::min(cost / kCostPerThread + 1.0, static_cast<double>(threads_)));
  const int threads = static_cast<int>(std::min<Index>(useful, rows.count()));
  const Index at_once = std::min(kMostRowsAtOnce, (rows.count() + threads - 1) / threads);

  WorkspacePlan plan;
  const NetworkBooking booking = network_.book(plan, layers, threads * at_once,
                                               noise == nullptr ? Purpose::inference : Purpose::evaluation);
  const auto lanes_buffer = plan.book(threads * at_once, kernels::kGroup);
  Workspace workspace(plan);
  const NetworkBuffers buffers = network_.lay_out(booking, workspace);
  const MatrixView<float> lanes = workspace.view(lanes_buffer);
  AlignedBuffer<Index> source_rows(threads * at_once);

  Team team(threads, hook_);
  return !team.run([&](Worker& worker) {
    StepContext step;
    if (noise != nullptr) step.noise = *noise;
    const Pass pass{network_.kernels(), parameters_, worker, noise == nullptr ? nullptr : &step};
    const Range share = worker.share(rows.count());
    const Index mine = worker.index() * at_once;  // the worker's own rows of the buffers
    for (Index first = share.begin; first < share.end; first += at_once) {
      const Range here{mine, mine + std::min(at_once, share.end - first)};
      if (noise != nullptr) step.noise.first_row = noise->first_row + first - mine;
      for (Index i = 0; i < here.size(); ++i) source_rows[mine + i] = rows.source_row(first + i);
      rows.gather(source_rows.data() + mine, here.size(), scaler, rows_of(buffers.input, here));
      kernels::LossEpilogue epilogue;
      if (objective != nullptr) {
        std::fill_n(lanes.row(mine), here.size() * kernels::kGroup, 0.0f);
        epilogue.loss = objective->loss;
        epilogue.target = constant(rows_of(buffers.input, here));
        epilogue.lanes = lanes.row(mine);
      }
      network_.forward(pass, buffers, here, objective == nullptr ? nullptr : &epilogue);
      if (worker.poll(0.0)) return;
      finish(buffers, here, first, epilogue.lanes);
    }
  });
}

bool Inference::copy_output(const Rows& rows, Range layers, const Scaler& in, const Scaler& out_scaler,
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

bool Inference::encode(const Rows& rows, MatrixView<float> codes) const {
  return copy_output(rows, network_.encoder(), scaler_, Scaler(), codes);
}

bool Inference::decode(const Rows& codes, MatrixView<float> out) const {
  return copy_output(codes, network_.decoder(), Scaler(), scaler_, out);
}

bool Inference::reconstruct(const Rows& rows, MatrixView<float> out) const {
  return copy_output(rows, network_.all(), scaler_, scaler_, out);
}

bool Inference::layer_output(const Rows& rows, Index layer, MatrixView<float> out) const {
  return copy_output(rows, {0, layer + 1}, scaler_, Scaler(), out);
}

bool Inference::row_errors(const Rows& rows, const Objective& objective, float* out) const {
  const auto scale = static_cast<float>(objective.scale(rows.features()));
  return run(rows, network_.all(), scaler_, &objective,
             [&](const NetworkBuffers&, Range here, Index first, const float* lanes) {
               network_.kernels().finish_loss(lanes, here.size(), scale, out + first);
             });
}

bool Inference::row_losses(const Rows& rows, const Objective& objective, const NoiseOrigin& noise,
                           float* reconstruction, double* penalty) const {
  const auto scale = static_cast<float>(objective.scale(rows.features()));
  return run(
      rows, network_.all(), scaler_, &objective,
      [&](const NetworkBuffers& buffers, Range here, Index first, const float* lanes) {
        network_.kernels().finish_loss(lanes, here.size(), scale, reconstruction + first);
        for (Index r = 0; r < here.size(); ++r) {
          penalty[first + r] = 0.0;
          for (Index i = 0; i < network_.size(); ++i) {
            penalty[first + r] += network_.layer(i).row_penalty(buffers.at(i), here.begin + r);
          }
        }
      },
      &noise);
}

bool Inference::feature_errors(const Rows& rows, MatrixView<float> out) const {
  return run(rows, network_.all(), scaler_, nullptr,
             [&](const NetworkBuffers& buffers, Range here, Index first, const float*) {
               for (Index r = 0; r < here.size(); ++r) {
                 const float* x = buffers.input.row(here.begin + r);
                 const float* y = buffers.output().row(here.begin + r);
                 float* to = out.row(first + r);
                 for (Index c = 0; c < out.cols; ++c) to[c] = (x[c] - y[c]) * (x[c] - y[c]);
               }
             });
}

bool Inference::code_deviations(const Rows& rows, MatrixView<float> out) const {
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
