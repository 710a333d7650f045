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
  double initial_variance = 1.0;                            // if there is one
  kernels::Products products = kernels::Products::float32;  // at least so precise, see usable_products
  bool trains_bias = true;  // false: it stays 0, for batch normalisation takes it away again
  bool unit_norm =
      false;  // each input's vector of weights has norm 1, from the beginning and after each step
};

/// What a dense layer needs to know of its neighbours.
struct DensePlace {
  bool trainable_below = false;  // a layer below wants the gradient at this one's input
  bool differentiated = false;   // one above wants this one's derivative, also where nobody trains
  bool sparse_below = false;     // the layer below passes a list on, for each row
  bool sparse_above = false;     // the layer above does, of this one's outputs
  bool takes_floats = false;     // its weights are read otherwise than by its own products
  bool last = false;             // no layer above
};

class Dense : public Layer {
 public:
  /// Declares its parameters in `plan`.
  Dense(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec,
        const DensePlace& place);

  [[nodiscard]] Index inputs() const override { return inputs_; }
  [[nodiscard]] Index outputs() const override { return outputs_; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  [[nodiscard]] kernels::ActivationGradient activation_gradient(const Parameters& parameters,
                                                                const LayerBuffers& buffers) const override;
  void receive_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] bool shares_units() const override { return !place_.sparse_below; }
  [[nodiscard]] bool prepare_input(const Pass& pass, const LayerBuffers& buffers, Range rows) const override;
  void forward_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                    bool last) const override;
  void loss_of_rows(const Pass& pass, const LayerBuffers& buffers, Range rows,
                    const kernels::LossEpilogue& loss) const override;
  void input_gradient_part(const Pass& pass, const LayerBuffers& buffers, Range rows, UnitPart part,
                           const kernels::ActivationGradient& below) const override;
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;

  /// The lists of the layer below, ordered by units, are made between two meetings.
  [[nodiscard]] bool has_statistics() const override { return place_.sparse_below; }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;

  /// (A gradient of which few elements are listed has no product with sparse rows.)
  [[nodiscard]] OnSparseRows on_sparse_rows(Purpose purpose) const override {
    const bool listed = purpose == Purpose::training && place_.sparse_above;
    return listed ? OnSparseRows::refuses : OnSparseRows::multiplies;
  }
  [[nodiscard]] double forward_cost() const override;
  [[nodiscard]] kernels::Products products() const { return products_; }

 protected:
  [[nodiscard]] int kernel() const { return kernel_; }
  /// What the units of a code below are of the kernel.
  [[nodiscard]] kernels::SparseSide code_side() const {
    return tied_ ? kernels::SparseSide::columns : kernels::SparseSide::rows;
  }
  [[nodiscard]] kernels::Panels forward_panels(const Parameters& parameters) const;

 private:
  void sparse_gradients(const LayerBuffers& buffers, GradientList& list) const;
  /// The forward product of some rows, without a loss.
  [[nodiscard]] kernels::DenseForward product(const Pass& pass, const LayerBuffers& buffers,
                                              Range rows) const;
  [[nodiscard]] kernels::LossEpilogue with_variance(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                                    const kernels::LossEpilogue& loss) const;
  [[nodiscard]] kernels::Panels backward_panels(const Parameters& parameters) const;

  const Index inputs_;
  const Index outputs_;
  const kernels::Activation activation_;
  const kernels::Products products_;
  const bool tied_;
  int kernel_ = -1;
  int bias_ = -1;
  int slope_ = -1;
  int log_variance_ = -1;
  const bool trains_bias_;
  const bool learns_variance_;
  const DensePlace place_;
};

}  // namespace diabolo
