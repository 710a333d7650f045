// Dense: y = f(x W + b), with bias, activation, loss and the chain rule fused into the products.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// What a last layer knows of the variance around its outputs, for the gaussian loss: the parameter
/// .log_variance, v with variance exp(10 tanh(v / 10)) for each output.
enum class OutputVariance : unsigned char { none, fixed, learned };

/// A dense layer as its user describes it.
struct DenseSpec {
  std::string name;  // "encoder.0": its parameters are encoder.0.kernel, .bias and, for prelu, .slope
  Index inputs = 0;
  Index outputs = 0;
  kernels::Activation activation = kernels::Activation::identity;
  std::string initializer = "glorot_uniform";
  std::string tied_to = "";  // another layer, whose kernel, transposed, is this one's; empty: none
  OutputVariance variance = OutputVariance::none;
  double initial_variance = 1.0;  // if there is one
};

class Dense final : public Layer {
 public:
  /// Declares its parameters in `plan`. `trainable_below` says whether a layer below this one wants the
  /// gradient at its input, `differentiated` whether one above wants this one's derivative, also where nobody
  /// trains.
  Dense(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec, bool trainable_below,
        bool differentiated);

  [[nodiscard]] Index inputs() const override { return inputs_; }
  [[nodiscard]] Index outputs() const override { return outputs_; }
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
  [[nodiscard]] kernels::Panels forward_panels(const Parameters& parameters) const;
  [[nodiscard]] kernels::Panels backward_panels(const Parameters& parameters) const;

  const Index inputs_;
  const Index outputs_;
  const kernels::Activation activation_;
  const bool tied_;
  int kernel_ = -1;
  int bias_ = -1;
  int slope_ = -1;
  int log_variance_ = -1;
  const bool learns_variance_;
  const bool differentiated_;
};

}  // namespace diabolo
