// How much the codes of rows move with the rows: the exact norm of an encoder's Jacobian. Backward through
// the encoder once for each unit of the code; of a single layer there is a formula.
#include <algorithm>
#include <atomic>
#include <variant>
#include <vector>

#include "base/check.h"
#include "model/inference.h"

namespace diabolo {
namespace {

constexpr Index kMostRowsAtOnce = 128;

/// A dense layer of the encoder and its kernel's transpose, which a model for inference does not keep.
struct EncoderLayer {
  const Layer& layer;
  int kernel;
  AlignedBuffer<float> transposed;

  [[nodiscard]] kernels::Panels panels(const Parameters& parameters) const {
    const Parameter& p = parameters.at(kernel);
    return {transposed.data(), p.cols, p.rows, p.transposed_width, nullptr};
  }
};

std::vector<EncoderLayer> encoder_of(const Network& network, const Parameters& parameters) {
  std::vector<EncoderLayer> encoder;
  for (Index i = 0; i < network.code_layers(); ++i) {
    const LayerSpec& spec = network.specs()[static_cast<std::size_t>(i)];
    if (std::holds_alternative<JacobianPenaltySpec>(spec)) continue;
    const auto* const dense = std::get_if<DenseSpec>(&spec);
    require(dense != nullptr, "only an encoder of dense layers has a Jacobian.");
    const int kernel = parameters.find(dense->name + ".kernel");
    const Parameter& p = parameters.at(kernel);
    const Index floats = checked_product(p.cols, round_up(p.rows, p.transposed_width));
    encoder.push_back({network.layer(i), kernel, AlignedBuffer<float>(floats)});
    kernels::WeightCopies copies;
    copies.transposed = encoder.back().transposed.data();
    copies.transposed_width = p.transposed_width;
    network.kernels().copy_weights({parameters.weights(kernel), p.rows, p.cols, p.width, nullptr}, copies);
  }
  return encoder;
}

}  // namespace

PassOutcome Inference::squared_jacobian_norms(const Rows& rows, double* out) const {
  require(rows.features() == network_.inputs(network_.all()),
          "rows must have as many features as the network has inputs.");
  if (rows.count() == 0) return PassOutcome::completed;
  const std::vector<EncoderLayer> encoder = encoder_of(network_, parameters_);
  const Index units = encoder.back().layer.outputs();
  const int threads = useful_threads(rows, network_.encoder());
  const Index at_once = std::min(kMostRowsAtOnce, (rows.count() + threads - 1) / threads);

  // The dense layers alone, with what derivatives need; each has the number of its place among them.
  WorkspacePlan plan;
  NetworkBooking booking;
  booking.layers = {0, static_cast<Index>(encoder.size())};
  booking.input = plan.book(threads * at_once, rows.features());
  for (const EncoderLayer& e : encoder) {
    booking.booked.push_back(e.layer.book(plan, threads * at_once, Purpose::training, false));
  }
  const auto gradient_buffer = plan.book(threads * at_once, std::max(rows.features(), units));
  const auto sums_buffer = plan.book(threads * at_once, 1);
  Workspace workspace(plan);
  const NetworkBuffers buffers = network_.lay_out(booking, workspace);
  const MatrixView<float> gradient = workspace.view(gradient_buffer);
  const MatrixView<float> sums = workspace.view(sums_buffer);
  AlignedBuffer<Index> source_rows(threads * at_once);
  std::atomic<bool> invalid{false};

  Team team(threads, hook_, network_.thread_preparation());
  const bool stopped = team.run([&](Worker& worker) {
    const Pass pass{network_.kernels(), parameters_, worker};
    const Range share = worker.share(rows.count());
    const Index mine = worker.index() * at_once;  // the worker's own rows of the buffers
    for (Index first = share.begin; first < share.end; first += at_once) {
      const Range here{mine, mine + std::min(at_once, share.end - first)};
      for (Index i = 0; i < here.size(); ++i) source_rows[mine + i] = rows.source_row(first + i);
      SparseBatch none;
      if (!gather(rows, source_rows.data() + mine, scaler_, false, here, buffers, none)) {
        invalid.store(true, std::memory_order_relaxed);
        return worker.stop();
      }
      for (std::size_t l = 0; l < encoder.size(); ++l) {
        encoder[l].layer.forward(pass, buffers.of_layer[l], here, nullptr);
      }
      std::fill_n(out + first, here.size(), 0.0);
      MatrixView<float> of_code = rows_of(gradient, here);
      of_code.cols = units;
      for (Index unit = 0; unit < units; ++unit) {
        for (Index r = 0; r < here.size(); ++r) {
          std::fill_n(of_code.row(r), units, 0.0f);
          of_code.row(r)[unit] = 1.0f;
        }
        const auto at_code = encoder.back().layer.activation_gradient(parameters_, buffers.of_layer.back());
        pass.kernels.chain_rule({constant(of_code), rows_of(at_code, here)});
        for (std::size_t l = encoder.size(); l-- > 0;) {
          kernels::DenseInputGradient g;
          g.delta = constant(rows_of(buffers.of_layer[l].delta, here));
          g.transposed = encoder[l].panels(parameters_);
          g.panels = {0, g.transposed.count()};
          if (l > 0) {
            g.below =
                rows_of(encoder[l - 1].layer.activation_gradient(parameters_, buffers.of_layer[l - 1]), here);
          } else {
            g.below.delta = rows_of(gradient, here);  // of the input, which has no activation
            g.below.delta.cols = rows.features();
            g.below.kept = constant(g.below.delta);
          }
          pass.kernels.dense_input_gradient(g);
          if (l == 0) pass.kernels.squared_sums(constant(g.below.delta), rows_of(sums, here));
        }
        for (Index r = 0; r < here.size(); ++r) {
          out[first + r] += static_cast<double>(sums.row(here.begin + r)[0]);
        }
        if (worker.poll(network_.forward_cost(network_.encoder()) * static_cast<double>(here.size()))) return;
      }
    }
  });
  if (invalid.load(std::memory_order_relaxed)) return PassOutcome::invalid_value;
  return stopped ? PassOutcome::stopped : PassOutcome::completed;
}

}  // namespace diabolo
