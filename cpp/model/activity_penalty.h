// ActivityPenalty: a price on the activities of the layer below, which it passes on as they are.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// The loss grows by, averaged over rows and summed over units y,
///   l1 |y|  +  kl (rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r)))
/// where rho is `target` and r a unit's mean activity: of the batch, or with a decay d the running average
///   r <- d r + (1 - d) mean of the batch,  from the first batch on
/// (Ng, "Sparse autoencoder", CS294A lecture notes, 2011). The gradient reaches the batch's activities as if
/// r were their mean: a slow average must not mean a weak pull.
struct ActivityPenaltySpec {
  Index units = 0;
  double l1 = 0.0;
  double kl = 0.0;
  double target = 0.05;
  double decay = 0.0;
};

class ActivityPenalty final : public Layer {
 public:
  explicit ActivityPenalty(const ActivityPenaltySpec& spec);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;

  [[nodiscard]] bool needs_whole_batch() const override { return spec_.kl > 0.0; }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;
  [[nodiscard]] std::vector<KeptState> kept_states() const override;
  [[nodiscard]] bool has_penalty() const override { return true; }
  [[nodiscard]] double slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                    Index rows) const override;
  [[nodiscard]] double row_penalty(const LayerBuffers& buffers, Index row) const override;
  [[nodiscard]] double standing_penalty(const LayerBuffers& buffers) const override;

  [[nodiscard]] Index tallies() const override { return spec_.units; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

  [[nodiscard]] double forward_cost() const override { return 2.0 * static_cast<double>(spec_.units); }

 private:
  [[nodiscard]] bool keeps_means() const { return spec_.kl > 0.0 && spec_.decay > 0.0; }
  [[nodiscard]] float* mean_activities(const LayerBuffers& buffers) const;

  const ActivityPenaltySpec spec_;
};

}  // namespace diabolo
