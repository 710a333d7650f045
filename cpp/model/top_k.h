// TopK: passes the k greatest outputs of the layer below on, for each row, and 0 in the place of the others.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// Makhzani & Frey, "k-sparse autoencoders", ICLR 2014.
struct TopKSpec {
  Index units = 0;
  Index k = 0;
  Index auxiliary_k = 0;  // of the dead units of a row, to be decoded as well (auxiliary_decoder.h); 0: none
  double auxiliary_weight = 0.0;
  Index dead_after = 1;  // a unit is dead that was active for none of so many rows

  /// Whether k is so small that scattered reads of a row's k elements take less time than all zeros: then
  /// they may go on as a list, and neighbouring layers work on these alone.
  [[nodiscard]] bool is_short() const { return k <= units / 16; }
};

class TopK final : public Layer {
 public:
  /// The row of LayerBuffers::kept with the rows since each unit was active.
  static constexpr Index kRowsSinceActive = 0;

  TopK(const TopKSpec& spec, bool passes_a_list);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;

  [[nodiscard]] bool needs_whole_batch() const override { return passes_a_list_ || spec_.auxiliary_k > 0; }
  [[nodiscard]] bool has_statistics() const override { return false; }
  [[nodiscard]] std::vector<KeptState> kept_states() const override;

  [[nodiscard]] Index tallies() const override { return spec_.units; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

  [[nodiscard]] double forward_cost() const override;

 private:
  /// Gradients at few elements of each row, taken through the activation below among zeros.
  void list_gradient(const LayerBuffers& buffers, Range rows, const Pass& pass,
                     const kernels::ActivationGradient& below) const;
  void gradient_with_dead_units(const LayerBuffers& buffers, Range rows, const Pass& pass,
                                const kernels::ActivationGradient& below) const;

  const TopKSpec spec_;
  const bool passes_a_list_;
};

}  // namespace diabolo
