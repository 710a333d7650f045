// MissingValues: the first layer of a network that takes NaN for what nobody observed: it shows 0 in its
// place to the layers above, and lets the loss leave it out.
#pragma once

#include <span>
#include <vector>

#include "model/layer.h"

namespace diabolo {

struct MissingValuesSpec {
  Index units = 0;
  bool rescale = true;             // whether a row's loss is the mean over what was observed, or else the sum
  std::vector<Range> groups = {};  // of columns that are one feature, observed or not as a whole
};

/// How many features of a row were observed: the columns whose loss has a weight, each group being one.
[[nodiscard]] Index observed_features(const float* weights, Index columns, std::span<const Range> groups);

class MissingValues final : public Layer {
 public:
  MissingValues(const MissingValuesSpec& spec, int number);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] double forward_cost() const override { return 4.0 * static_cast<double>(spec_.units); }

 private:
  const MissingValuesSpec spec_;
  const Index features_;  // a group being one
};

}  // namespace diabolo
