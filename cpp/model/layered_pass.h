// LayeredPass: a slab's rows through a network, one layer after the other, every layer shared out among all
// workers by rows and units. For slabs with too few rows for the workers: else each worker takes rows of its
// own all the way, and meets nobody.
#pragma once

#include "model/network.h"

namespace diabolo {

class LayeredPass {
 public:
  /// `mine` are the rows of the slab that fall to this worker in what is done by rows alone.
  LayeredPass(const Network& network, const Pass& pass, const NetworkBuffers& buffers, Index slab_rows,
              Range mine);

  /// Whether so few rows are better shared this way.
  [[nodiscard]] static bool serves(Index slab_rows, int workers) {
    return workers > 1 && slab_rows < kFewestRows * workers;
  }

  /// From gathered rows to losses and the gradient at the last pre-activation, or back from there to those of
  /// all layers below. All workers call both; they meet inside, and the forward pass ends in a meeting. True:
  /// the run is being stopped.
  [[nodiscard]] bool forward(const kernels::LossEpilogue& loss) const;
  [[nodiscard]] bool backward() const;

 private:
  /// For each worker: about a register tile. Below, every worker reads all weights for the sake of a few
  /// rows. (Two workers on Zen 4, 784-512-256-64-256-512-784: a batch of 16 takes 0.96 ms this way,
  /// else 1.37; one of 32 the same.)
  static constexpr Index kFewestRows = 16;

  [[nodiscard]] bool forward_layer(Index i, const kernels::LossEpilogue* loss) const;

  const Network& network_;
  const Pass& pass_;
  const NetworkBuffers& buffers_;
  const Index slab_rows_;
  const Range mine_;
  Range rows_;     // of the products of layers that share units,
  UnitPart part_;  // and which part of the units
};

}  // namespace diabolo
