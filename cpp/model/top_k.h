// TopK: passes the k greatest outputs of the layer below on, for each row, and 0 in the place of the others.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// Makhzani & Frey, "k-sparse autoencoders", ICLR 2014.
struct TopKSpec {
  Index units = 0;
  Index k = 0;
};

class TopK final : public Layer {
 public:
  explicit TopK(const TopKSpec& spec);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;

  [[nodiscard]] Index tallies() const override { return spec_.units; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

  [[nodiscard]] double forward_cost() const override;

 private:
  const TopKSpec spec_;
};

}  // namespace diabolo
