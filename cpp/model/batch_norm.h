// BatchNorm: each unit of the layer below brought to mean 0 and variance 1 over the rows of the batch, then
// to a learned scale and shift, then through its activation. Outside of training, and in a batch of one row,
// by running statistics.
#pragma once

#include <string>

#include "model/layer.h"

namespace diabolo {

/// Ioffe & Szegedy, "Batch normalization", ICML 2015. Parameters: .scale, .shift and, for prelu, .slope,
/// which are trained; .mean and .variance, running averages of the batches' (of the population, not
/// corrected),
///   running <- momentum running + (1 - momentum) batch.
struct BatchNormSpec {
  std::string name;  // "encoder.0.norm"
  Index units = 0;
  kernels::Activation activation = kernels::Activation::identity;
  double momentum = 0.9;
  double epsilon = 1e-5;
};

class BatchNorm final : public Layer {
 public:
  BatchNorm(ParameterPlan& plan, const BatchNormSpec& spec);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  [[nodiscard]] kernels::ActivationGradient activation_gradient(const Parameters& parameters,
                                                                const LayerBuffers& buffers) const override;
  void receive_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;

  [[nodiscard]] bool needs_whole_batch() const override { return true; }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;
  [[nodiscard]] bool needs_gradient_of_batch() const override { return true; }
  void gradient_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                           Index rows) const override;
  void begin_epoch(const Parameters& parameters, const LayerBuffers& buffers) const override;
  void end_epoch(const LayerBuffers& buffers, Parameters& parameters) const override;

  [[nodiscard]] double forward_cost() const override { return 10.0 * static_cast<double>(spec_.units); }

 private:
  [[nodiscard]] kernels::Normalization normalization(const Parameters& parameters,
                                                     const LayerBuffers& buffers) const;

  const BatchNormSpec spec_;
  int scale_;
  int shift_;
  int mean_;
  int variance_;
  int slope_ = -1;
};

}  // namespace diabolo
