// The two layers of a restricted Boltzmann machine, hidden units above visible ones with one kernel between
// them. In inference they are a tied dense autoencoder; in training they take the gradients of contrastive
// divergence in the place of a loss's.
#pragma once

#include <string>

#include "model/layer.h"

namespace diabolo {

/// With v (visible) and h (hidden), E(v, h) = -b v - c h - v W h for binary units; units with real values and
/// unit variance, "identity", have (v - b)^2 / 2 in place of -b v, or (h - c)^2 / 2 in place of -c h. So
///   E[h | v] = f_h(v W + c)    E[v | h] = f_v(h W^T + b)    f the sigmoid, or the identity
/// CD-k (Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14,
/// 2002) draws h from v = v_0, then k times v_t = E[v | h] and h_t = E[h | v_t], of which the next h is
/// drawn. Its gradients, averaged over rows, are
///   W: v_k h_k - v_0 h_0 = v_0 (h_k - h_0) + (v_k - v_0) h_k    c: h_k - h_0    b: v_k - v_0
/// which are those of a tied autoencoder whose deltas are h_k - h_0 and v_k - v_0. States of visible units
/// are not drawn: their expectation has less noise (Hinton, "A practical guide to training restricted
/// Boltzmann machines", 2010, section 3).

struct BoltzmannHiddenSpec {
  std::string name;  // its parameters are name.kernel (visible, hidden) and name.bias
  Index visible = 0;
  Index hidden = 0;
  kernels::Activation activation = kernels::Activation::sigmoid;  // or identity
};

struct BoltzmannVisibleSpec {
  std::string name;  // its parameter is name.bias
  Index hidden = 0;
  Index visible = 0;
  kernels::Activation activation = kernels::Activation::sigmoid;  // or identity
  std::string hidden_name;                                        // the layer below, whose kernel it shares
  kernels::Activation hidden_activation = kernels::Activation::sigmoid;
  Index steps = 1;  // k
};

class BoltzmannHidden final : public Layer {
 public:
  BoltzmannHidden(const kernels::KernelTable& table, ParameterPlan& plan, const BoltzmannHiddenSpec& spec,
                  int number);

  [[nodiscard]] Index inputs() const override { return spec_.visible; }
  [[nodiscard]] Index outputs() const override { return spec_.hidden; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  [[nodiscard]] kernels::ActivationGradient activation_gradient(const Parameters& parameters,
                                                                const LayerBuffers& buffers) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;
  [[nodiscard]] double forward_cost() const override;

 private:
  const BoltzmannHiddenSpec spec_;
  const int number_;
  int kernel_ = -1;
  int bias_ = -1;
};

class BoltzmannVisible final : public Layer {
 public:
  BoltzmannVisible(ParameterPlan& plan, const BoltzmannVisibleSpec& spec, int number);

  [[nodiscard]] Index inputs() const override { return spec_.hidden; }
  [[nodiscard]] Index outputs() const override { return spec_.visible; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  /// In training `loss` has the rows that came in as its target; its value is that of v_1.
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;
  [[nodiscard]] double forward_cost() const override;

 private:
  void expect_visible(const Pass& pass, MatrixView<const float> hidden, MatrixView<float> visible,
                      const kernels::LossEpilogue* loss) const;
  void expect_hidden(const Pass& pass, MatrixView<const float> visible, MatrixView<float> hidden) const;

  const BoltzmannVisibleSpec spec_;
  const int number_;
  int kernel_ = -1;
  int hidden_bias_ = -1;
  int bias_ = -1;
};

}  // namespace diabolo
