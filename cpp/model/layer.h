// Layer: one step of a network. A layer gets rows and buffers; it owns no buffer, opens no parallel loop and
// knows neither loss nor optimiser.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/team.h"
#include "base/workspace.h"
#include "kernels/kernels.h"
#include "model/auxiliary_code.h"
#include "model/gradient_list.h"
#include "model/pairs.h"
#include "model/parameters.h"
#include "model/sparse_code.h"

namespace diabolo {

/// What a layer needs in a workspace. Buffers that are not needed stay unbooked.
struct LayerBooking {
  WorkspacePlan::Buffer output;            // (rows, outputs)
  WorkspacePlan::Buffer preactivation;     // (rows, outputs)
  WorkspacePlan::Buffer delta;             // (rows, outputs): dL/d pre-activation
  WorkspacePlan::Buffer slope_terms;       // (rows, outputs)
  WorkspacePlan::Buffer variance_terms;    // (rows, outputs): dL/d log-variance
  WorkspacePlan::Buffer element_weights;   // (rows, outputs): factors of the elements' losses
  WorkspacePlan::Buffer noise;             // (rows, outputs): what was added
  WorkspacePlan::Buffer row_penalty;       // (rows, 1): without its weight
  WorkspacePlan::Buffer unit_statistics;   // (a few, outputs): of the whole batch
  WorkspacePlan::Buffer kept;              // (kept_states(), outputs): booked by the network
  WorkspacePlan::Buffer scale_terms;       // (rows, outputs): terms of the gradient of a scale
  SparseBooking sparse;                    // of a layer whose outputs are few
  AuxiliaryBooking auxiliary;              // of a code whose dead units are to learn
  std::vector<WorkspacePlan::Buffer> own;  // others, in an order of the layer's own
  Pairs<WorkspacePlan::Buffer> input_pairs;
  Pairs<WorkspacePlan::Buffer> delta_pairs;
  bool passes_input_on = false;  // its output is its input: nothing is booked for it
  bool sees_below = false;       // it wants the buffers of the layers below
};

/// The same in a workspace, with the layer's input: the output of the layer below, or the batch.
struct LayerBuffers {
  MatrixView<float> input;
  MatrixView<float> output;
  MatrixView<float> preactivation;
  MatrixView<float> delta;
  MatrixView<float> slope_terms;
  MatrixView<float> variance_terms;
  MatrixView<float> element_weights;
  MatrixView<float> element_weights_below;  // those that a layer below has
  MatrixView<float> noise;
  MatrixView<float> row_penalty;
  MatrixView<float> unit_statistics;
  MatrixView<float> kept;
  SparseCode sparse;        // what goes out, where it is few elements a row: then there is no output
  SparseCode sparse_input;  // the same of the layer below: then there is no input
  SparseCode sparse_delta;  // of the layer above, through which gradients come: the delta has no others
  AuxiliaryCode auxiliary;
  AuxiliaryCode auxiliary_delta;  // of the layer above, beside its own gradients
  std::vector<MatrixView<float>> own;
  std::vector<LayerBuffers> below;  // of the layers below, from the input on, where the layer wants them
  MatrixView<float> scale_terms;
  Pairs<MatrixView<float>> input_pairs;
  Pairs<MatrixView<float>> delta_pairs;
  SparseView stored_input{};       // in place of input: rows as sparse matrices store them
  float* stored_output = nullptr;  // values in the same places, of a layer that adds noise in training
};

/// What a layer of a network does with sparse rows.
enum class OnSparseRows : unsigned char {
  refuses,     // it takes only dense ones
  passes_on,   // sparse rows come out, with noise on their stored elements while training
  multiplies,  // its products are sums over stored elements: dense rows come out
};

/// What a layer's noise depends on: a draw is a function of these and of the layer, whatever the workers.
struct NoiseOrigin {
  std::uint64_t seed = 0;
  RandomStream stream = RandomStream::training_noise;
  std::int64_t step = 0;  // of the whole run
  Index first_row = 0;    // position in the batch of row 0 of the buffers
};

/// The kernels' name for the noise of layer `layer` from row `first_row` of its buffers on.
[[nodiscard]] kernels::NoiseSource noise_source(const NoiseOrigin& origin, int layer, Index first_row);

/// What a training step tells its layers; none in inference.
struct StepContext {
  NoiseOrigin noise;
  Index batch_rows = 1;
  const float* row_weights = nullptr;  // (rows of the buffers): how much each counts, 1 in the mean; null: 1

  [[nodiscard]] double row_weight(Index row) const {
    return static_cast<double>(kernels::weight_of_row(row_weights, row));
  }
  [[nodiscard]] const float* row_weights_from(Index row) const {
    return row_weights == nullptr ? nullptr : row_weights + row;
  }
  std::int64_t steps_per_epoch = 1;
  kernels::Divergence divergence = kernels::Divergence::exact;
};

/// Something a layer reports of an epoch, beside the loss.
struct Measure {
  const char* name;
  double value;
};

/// Something that a layer keeps from step to step of a training and that is no part of a model, a number for
/// each of its outputs: a running mean, a counter. It begins with 0, and a training that goes on from another
/// takes it over.
struct KeptState {
  const char* name;
  float least;  // what the numbers can be
  float greatest;
};

/// What a layer works with in a phase.
struct Pass {
  const kernels::KernelTable& kernels;
  const Parameters& parameters;
  Worker& worker;
  const StepContext* step = nullptr;  // null: inference, where layers add no noise
};

/// One of several about equal parts of a layer's units.
struct UnitPart {
  Index number = 0;
  Index count = 1;

  /// Its share of n things.
  [[nodiscard]] Range of(Index n) const { return {n * number / count, n * (number + 1) / count}; }
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

  /// How a gradient at this layer's output becomes one at its pre-activation: asked by the layer above. A
  /// layer without an activation has its delta at the output itself.
  [[nodiscard]] virtual kernels::ActivationGradient activation_gradient(const Parameters& parameters,
                                                                        const LayerBuffers& buffers) const;

  /// The delta of `rows` is complete: for what a layer makes of it before any product does.
  virtual void receive_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows) const;

  /// The gradient at the input for `rows`, taken through the activation of the layer below. Asked only where
  /// a layer below has parameters.
  virtual void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                              const kernels::ActivationGradient& below) const = 0;

  /// Whether gradients of its penalty reach layers below past those between. Then amend_gradient adds them to
  /// the gradient at the pre-activation of each layer below, as soon as that is there.
  [[nodiscard]] virtual bool amends_below() const { return false; }
  virtual void amend_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows, Index layer) const;

  // ---- Layers whose units can be shared out ----

  /// Whether the outputs of forward, and the inputs of input_gradient, can be computed in parts, each for
  /// rows of any number: for when there are too few rows to share (layered_pass.h).
  [[nodiscard]] virtual bool shares_units() const { return false; }
  /// What forward does with all rows of the input before it multiplies. False: nothing.
  [[nodiscard]] virtual bool prepare_input(const Pass& pass, const LayerBuffers& buffers, Range rows) const;
  /// `part` of the outputs of `rows`; of the last layer their pre-activations, left in delta.
  virtual void forward_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                            bool last) const;
  /// What forward does with its loss, from the pre-activations in delta.
  virtual void loss_of_rows(const Pass& pass, const LayerBuffers& buffers, Range rows,
                            const kernels::LossEpilogue& loss) const;
  /// `part` of the gradient at the input of `rows`.
  virtual void input_gradient_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                                   const kernels::ActivationGradient& below) const;

  /// Which products and column sums make up the gradients of its parameters, if it has any.
  virtual void list_gradients(const LayerBuffers& buffers, GradientList& list) const;

  /// What it does with sparse rows that come in; asked of the first layers.
  [[nodiscard]] virtual OnSparseRows on_sparse_rows(Purpose /*purpose*/) const {
    return OnSparseRows::refuses;
  }

  // ---- Penalties and statistics, of the layers that have any ----

  /// Whether forward needs something of all rows of the batch (then a slab is the whole batch) or, with
  /// statistics alone, of the weights. For either the rows phase is split before it, and batch_statistics
  /// comes first, for the units of each worker.
  [[nodiscard]] virtual bool needs_whole_batch() const { return false; }
  [[nodiscard]] virtual bool has_statistics() const { return needs_whole_batch(); }
  virtual void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units, Index rows) const;

  /// Whether input_gradient needs something of all deltas of the batch: then gradient_statistics comes
  /// between receive_gradient and it, for the units of each worker, with a meeting before and after.
  [[nodiscard]] virtual bool needs_gradient_of_batch() const { return false; }
  virtual void gradient_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                   Index rows) const;

  /// What it keeps from step to step and belongs to the model, taken from the parameters before an epoch and
  /// given back after one that was completed.
  virtual void begin_epoch(const Parameters& parameters, const LayerBuffers& buffers) const;
  virtual void end_epoch(const LayerBuffers& buffers, Parameters& parameters) const;

  /// What it keeps from step to step beside the parameters, in the order of the rows of LayerBuffers::kept.
  [[nodiscard]] virtual std::vector<KeptState> kept_states() const { return {}; }

  /// Whether it adds to the loss: of a slab of a training step, with the weight of that step; of one row of
  /// an evaluation pass, with its full weight; and what holds for all rows, by what training knows by now.
  [[nodiscard]] virtual bool has_penalty() const { return false; }
  [[nodiscard]] virtual double slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                            Index rows) const;
  [[nodiscard]] virtual double row_penalty(const LayerBuffers& buffers, Index row) const;
  [[nodiscard]] virtual double standing_penalty(const LayerBuffers& buffers) const;

  /// What it adds up over the rows of an epoch (each worker for some units), and the measures made of it.
  [[nodiscard]] virtual Index tallies() const { return 0; }
  virtual void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const;
  [[nodiscard]] virtual std::vector<Measure> measures(const double* tallies, Index rows) const;

  /// Of a last layer: how many terms a loss that joins columns has in a row.
  [[nodiscard]] virtual Index loss_terms() const { return outputs(); }

  /// Multiplications and additions of one row's forward pass.
  [[nodiscard]] virtual double forward_cost() const = 0;
};

/// Rows [range) of a view; a null view stays null.
template <class T>
[[nodiscard]] MatrixView<T> rows_of(MatrixView<T> m, Range range) {
  if (m.data == nullptr) return {};
  return {m.row(range.begin), range.size(), m.cols, m.stride};
}

/// Rows [range) of a sparse view; an empty view stays empty.
[[nodiscard]] inline SparseView rows_of(SparseView m, Range range) {
  if (!m) return {};
  const Index at = range.begin * m.stride;
  return {m.values + at, m.columns + at, m.counts + range.begin, range.size(), m.cols, m.stride};
}

template <class T>
[[nodiscard]] MatrixView<const T> constant(MatrixView<T> m) {
  return {m.data, m.rows, m.cols, m.stride};
}

/// An activation's gradient, cut to `rows`.
[[nodiscard]] inline kernels::ActivationGradient rows_of(kernels::ActivationGradient g, Range rows) {
  g.kept = rows_of(g.kept, rows);
  g.delta = rows_of(g.delta, rows);
  g.slope_terms = rows_of(g.slope_terms, rows);
  return g;
}

}  // namespace diabolo
