// Dropout: units of the layer below set to 0 at random while training, the others scaled up so that the sum
// stays what it is in the mean; outside of training it passes its input on.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
struct DropoutSpec {
  Index units = 0;
  double rate = 0.0;  // the probability of 0
};

class Dropout final : public Layer {
 public:
  Dropout(const DropoutSpec& spec, int number);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] double forward_cost() const override;

 private:
  const DropoutSpec spec_;
  const int number_;
};

}  // namespace diabolo
