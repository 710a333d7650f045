// JacobianPenalty: a price on how much the code moves with the input, which makes an autoencoder contractive.
#pragma once

#include <vector>

#include "model/layer.h"

namespace diabolo {

/// The loss grows by weight * ||J||^2, averaged over rows: the squared Frobenius norm of the Jacobian of the
/// outputs of the layer below in the network's inputs (Rifai, Vincent, Muller, Glorot & Bengio, "Contractive
/// auto-encoders", ICML 2011).
struct JacobianPenaltySpec {
  Index units = 0;
  double weight = 0.0;
};

/// A dense layer between the input and the code, as derivatives are taken of it.
struct DifferentiatedLayer {
  kernels::Activation activation = kernels::Activation::identity;
  int kernel = -1;
  int slope = -1;  // -1: no prelu
  Index inputs = 0;
  Index outputs = 0;
};

/// Of one layer below, ||J||^2 is exact, a sum over units of f'(z)^2 ||w||^2. Of several it is estimated by
/// ||J u||^2, u a fresh vector of random signs for each row and step, whose mean is ||J||^2 (Hutchinson
/// 1990): u goes forward through the layers beside the row, and the gradient back the same way.
class JacobianPenalty final : public Layer {
 public:
  /// `encoder`: the layers below, all of them.
  JacobianPenalty(const JacobianPenaltySpec& spec, std::vector<DifferentiatedLayer> encoder, int number);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] bool amends_below() const override { return true; }
  void amend_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows, Index layer) const override;
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;

  [[nodiscard]] bool has_statistics() const override { return is_exact(); }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;
  [[nodiscard]] bool has_penalty() const override { return true; }
  [[nodiscard]] double slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                    Index rows) const override;
  [[nodiscard]] double row_penalty(const LayerBuffers& buffers, Index row) const override;

  [[nodiscard]] Index tallies() const override { return 1; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

  [[nodiscard]] double forward_cost() const override;

 private:
  [[nodiscard]] bool is_exact() const { return encoder_.size() == 1; }
  void exact_norm(const Pass& pass, const LayerBuffers& buffers, Range rows) const;
  void tangents_forward(const Pass& pass, const LayerBuffers& buffers, Range rows) const;
  void tangents_backward(const Pass& pass, const LayerBuffers& buffers, Range rows) const;

  const JacobianPenaltySpec spec_;
  const std::vector<DifferentiatedLayer> encoder_;
  const int number_;
};

/// What the derivative of a layer's activation is computed from: its pre-activation where that was kept.
[[nodiscard]] inline MatrixView<const float> kept_for_derivative(const LayerBuffers& layer) {
  return constant(layer.preactivation.data != nullptr ? layer.preactivation : layer.output);
}

}  // namespace diabolo
