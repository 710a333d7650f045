// Softmax: the last layer of a network whose outputs are probabilities, group by group of columns; the losses
// that compare probabilities are fused with it.
#pragma once

#include <vector>

#include "model/layer.h"

namespace diabolo {

/// Columns of no group pass through as they are.
struct SoftmaxSpec {
  Index units = 0;
  std::vector<Range> groups;  // of consecutive columns, in ascending order
};

class Softmax final : public Layer {
 public:
  explicit Softmax(const SoftmaxSpec& spec);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] Index loss_terms() const override { return loss_terms_; }
  [[nodiscard]] double forward_cost() const override;

 private:
  const SoftmaxSpec spec_;
  Index loss_terms_;
};

}  // namespace diabolo
