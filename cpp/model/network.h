// Network: layers in order, immutable once built, and what a batch of rows needs to pass through them.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "model/layer.h"
#include "model/layer_spec.h"

namespace diabolo {

/// The buffers of one slab of rows in a network, or in some of its layers, booked and then laid out in a
/// workspace.
struct NetworkBooking {
  Range layers;
  WorkspacePlan::Buffer input;  // (rows, inputs of the first layer)
  std::vector<LayerBooking> booked;
};

struct NetworkBuffers {
  Range layers;
  MatrixView<float> input;
  std::vector<LayerBuffers> of_layer;
  MatrixView<float> element_weights;  // (rows, outputs of the last layer): factors of the loss, if any

  [[nodiscard]] const LayerBuffers& at(Index layer) const {
    return of_layer[static_cast<std::size_t>(layer - layers.begin)];
  }
  [[nodiscard]] MatrixView<float> output() const { return of_layer.back().output; }
};

class Network {
 public:
  /// `code_layers` is how many layers, from the input on, make the code.
  Network(const kernels::KernelTable& table, const std::vector<LayerSpec>& specs, Index code_layers);

  [[nodiscard]] const kernels::KernelTable& kernels() const { return table_; }
  [[nodiscard]] const ParameterPlan& parameter_plan() const { return parameter_plan_; }
  /// What threads that pass rows through it need, beside their workspace.
  [[nodiscard]] ThreadPreparation thread_preparation() const;
  [[nodiscard]] const std::vector<LayerSpec>& specs() const { return specs_; }
  [[nodiscard]] Index size() const { return static_cast<Index>(layers_.size()); }
  [[nodiscard]] Index code_layers() const { return code_layers_; }
  [[nodiscard]] const Layer& layer(Index i) const { return *layers_[static_cast<std::size_t>(i)]; }

  /// Whether rows may hold NaN, for what nobody observed.
  [[nodiscard]] bool takes_missing() const {
    return std::holds_alternative<MissingValuesSpec>(specs_.front());
  }

  /// No gradient is wanted below the pre-activation of this layer.
  [[nodiscard]] Index first_trainable() const { return first_trainable_; }

  [[nodiscard]] Range all() const { return {0, size()}; }
  [[nodiscard]] Range encoder() const { return {0, code_layers_}; }
  [[nodiscard]] Range decoder() const { return {code_layers_, size()}; }
  [[nodiscard]] Index inputs(Range layers) const { return layer(layers.begin).inputs(); }
  [[nodiscard]] Index outputs(Range layers) const { return layer(layers.end - 1).outputs(); }

  /// Sparse rows need no buffers up to the first product.
  [[nodiscard]] NetworkBooking book(WorkspacePlan& plan, Range layers, Index rows, Purpose purpose,
                                    bool sparse_rows = false) const;
  [[nodiscard]] NetworkBuffers lay_out(const NetworkBooking& booking, Workspace& workspace) const;

  /// All layers, cut before each that has statistics.
  [[nodiscard]] const std::vector<Range>& segments() const { return segments_; }
  [[nodiscard]] bool needs_whole_batch() const { return needs_whole_batch_; }

  /// To the gradient that layer i has given the one below: what a layer above adds to it.
  void amend_gradient(const Pass& pass, const NetworkBuffers& buffers, Range rows, Index i) const;

  /// A worker's share of the statistics of weights, for passes outside of training: all meet afterwards.
  void weight_statistics(const Pass& pass, const NetworkBuffers& buffers) const;
  [[nodiscard]] bool has_penalty() const { return has_penalty_; }

  /// How many layers come before the one that turns sparse rows into dense ones. Throws
  /// std::invalid_argument if one of them takes no sparse rows.
  [[nodiscard]] Index layers_before_first_product(Purpose purpose) const;

  /// Whether the last layer's loss takes sparse targets.
  [[nodiscard]] bool compares_sparse_rows() const;

  /// Rows through `layers`, by default all that have buffers; the last one of those ends in `loss` where
  /// given.
  void forward(const Pass& pass, const NetworkBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const {
    forward(pass, buffers, buffers.layers, rows, loss);
  }
  void forward(const Pass& pass, const NetworkBuffers& buffers, Range layers, Range rows,
               const kernels::LossEpilogue* loss) const;

  /// From the gradient at the last pre-activation to those of all layers below. `of_batch(i)` is called, if
  /// no row is there too, where layer i needs all deltas of the batch; true ends the pass.
  template <class OfBatch>
  void backward(const Pass& pass, const NetworkBuffers& buffers, Range rows, const OfBatch& of_batch) const {
    for (Index i = buffers.layers.end - 1; i >= first_trainable_; --i) {
      if (rows.size() > 0) layer(i).receive_gradient(pass, buffers.at(i), rows);
      if (layer(i).needs_gradient_of_batch() && of_batch(i)) return;
      if (i == first_trainable_) return;
      if (rows.size() == 0) continue;
      const auto below = layer(i - 1).activation_gradient(pass.parameters, buffers.at(i - 1));
      layer(i).input_gradient(pass, buffers.at(i), rows, below);
      amend_gradient(pass, buffers, rows, i);
    }
  }

  /// Multiplications and additions of one row's forward pass through `layers`.
  [[nodiscard]] double forward_cost(Range layers) const;

 private:
  const kernels::KernelTable& table_;
  const std::vector<LayerSpec> specs_;
  const Index code_layers_;
  Index first_trainable_ = 0;
  Index amending_ = -1;  // the layer that amends gradients below it, if any
  ParameterPlan parameter_plan_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Range> segments_;
  bool needs_whole_batch_ = false;
  bool has_penalty_ = false;
};

}  // namespace diabolo
