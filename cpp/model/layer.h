// Layer: one step of a network. A layer gets rows and buffers; it owns no buffer, opens no parallel loop and
// knows neither loss nor optimiser.
#pragma once

#include <string>

#include "base/team.h"
#include "base/workspace.h"
#include "kernels/kernels.h"
#include "model/gradient_list.h"
#include "model/parameters.h"

namespace diabolo {

/// What a layer needs in a workspace. Buffers that are not needed stay unbooked.
struct LayerBooking {
  WorkspacePlan::Buffer output;         // (rows, outputs)
  WorkspacePlan::Buffer preactivation;  // (rows, outputs)
  WorkspacePlan::Buffer delta;          // (rows, outputs): dL/d pre-activation
  WorkspacePlan::Buffer slope_terms;    // (rows, outputs)
};

/// The same in a workspace, with the layer's input: the output of the layer below, or the batch.
struct LayerBuffers {
  MatrixView<float> input;
  MatrixView<float> output;
  MatrixView<float> preactivation;
  MatrixView<float> delta;
  MatrixView<float> slope_terms;
};

/// What a layer works with in a phase.
struct Pass {
  const kernels::KernelTable& kernels;
  const Parameters& parameters;
  Worker& worker;
};

class Layer {
 public:
  virtual ~Layer() = default;

  [[nodiscard]] virtual Index inputs() const = 0;
  [[nodiscard]] virtual Index outputs() const = 0;

  /// Books what `rows` rows need. The last layer of a training network leaves its output unwritten: the loss
  /// takes it.
  [[nodiscard]] virtual LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose,
                                          bool last) const = 0;

  /// Output from input for `rows`; with `loss`, also the loss and its gradient at the pre-activation.
  virtual void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                       const kernels::LossEpilogue* loss) const = 0;

  /// How a gradient at this layer's output becomes one at its pre-activation: asked by the layer above.
  [[nodiscard]] virtual kernels::ActivationGradient activation_gradient(
      const Parameters& parameters, const LayerBuffers& buffers) const = 0;

  /// The gradient at the input for `rows`, taken through the activation of the layer below.
  virtual void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                              const kernels::ActivationGradient& below) const = 0;

  /// Which products and column sums make up the gradients of its parameters.
  virtual void list_gradients(const LayerBuffers& buffers, GradientList& list) const = 0;
};

/// Rows [range) of a view; a null view stays null.
template <class T>
[[nodiscard]] MatrixView<T> rows_of(MatrixView<T> m, Range range) {
  if (m.data == nullptr) return {};
  return {m.row(range.begin), range.size(), m.cols, m.stride};
}

template <class T>
[[nodiscard]] MatrixView<const T> constant(MatrixView<T> m) {
  return {m.data, m.rows, m.cols, m.stride};
}

}  // namespace diabolo
