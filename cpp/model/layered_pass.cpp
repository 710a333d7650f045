// See layered_pass.h.
#include "model/layered_pass.h"

#include <algorithm>

namespace diabolo {
namespace {

/// Rows of a product that share one reading of the weights: a few register tiles.
constexpr Index kGroupRows = 32;

}  // namespace

LayeredPass::LayeredPass(const Network& network, const Pass& pass, const NetworkBuffers& buffers,
                         Index slab_rows, Range mine)
    : network_(network), pass_(pass), buffers_(buffers), slab_rows_(slab_rows), mine_(mine) {
  const Index workers = pass.worker.count();
  const Index groups = std::clamp<Index>(slab_rows / kGroupRows, 1, workers);
  const Index group = pass.worker.index() % groups;
  rows_ = {slab_rows * group / groups, slab_rows * (group + 1) / groups};
  part_ = {pass.worker.index() / groups, (workers - group + groups - 1) / groups};
}

bool LayeredPass::forward(const kernels::LossEpilogue& loss) const {
  if (pass_.worker.meet()) return true;  // rows are gathered
  for (Index i = 0; i < network_.size(); ++i) {
    if (forward_layer(i, i + 1 == network_.size() ? &loss : nullptr)) return true;
    if (pass_.worker.meet()) return true;
  }
  return false;
}

bool LayeredPass::forward_layer(Index i, const kernels::LossEpilogue* loss) const {
  const Layer& layer = network_.layer(i);
  const LayerBuffers& buffers = buffers_.at(i);
  Worker& worker = pass_.worker;
  if (i > 0 && layer.has_statistics()) {
    const Range units = worker.share(layer.outputs(), kernels::kGroup);
    layer.batch_statistics(pass_, buffers, units, slab_rows_);
    if (worker.meet()) return true;
  }
  if (!layer.shares_units()) {
    if (mine_.size() > 0) layer.forward(pass_, buffers, mine_, loss);
    return false;
  }
  if (layer.prepare_input(pass_, buffers, mine_) && worker.meet()) return true;
  layer.forward_part(pass_, buffers, rows_, part_, loss != nullptr);
  if (loss == nullptr) return false;
  if (worker.meet()) return true;
  layer.loss_of_rows(pass_, buffers, mine_, *loss);
  return false;
}

bool LayeredPass::backward() const {
  const Index first = network_.first_trainable();
  for (Index i = network_.size() - 1; i >= first; --i) {
    const Layer& layer = network_.layer(i);
    const LayerBuffers& buffers = buffers_.at(i);
    layer.receive_gradient(pass_, buffers, mine_);
    if (layer.needs_gradient_of_batch()) {
      if (pass_.worker.meet()) return true;
      const Range units = pass_.worker.share(layer.outputs(), kernels::kGroup);
      layer.gradient_statistics(pass_, buffers, units, slab_rows_);
    }
    if (i == first) break;
    if (pass_.worker.meet()) return true;
    const auto below = network_.layer(i - 1).activation_gradient(pass_.parameters, buffers_.at(i - 1));
    if (layer.shares_units()) {
      layer.input_gradient_part(pass_, buffers, rows_, part_, below);
    } else if (mine_.size() > 0) {
      layer.input_gradient(pass_, buffers, mine_, below);
    }
    if (pass_.worker.meet()) return true;
    if (mine_.size() > 0) network_.amend_gradient(pass_, buffers_, mine_, i);
  }
  return false;
}

}  // namespace diabolo
