// GaussianCode: the code of a variational autoencoder. The layer below gives means and log-variances;
// training draws a sample of that normal distribution and adds its divergence from N(0, 1) to the loss;
// inference passes the means on.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014.
struct GaussianCodeSpec {
  Index units = 0;
  double beta = 1.0;               // weight of the divergence (Higgins et al. 2017)
  std::int64_t warmup_epochs = 0;  // over which that weight grows, linearly in steps (Bowman et al. 2016)
  double free_bits = 0.0;  // nats of each unit's mean divergence that cost nothing more (Kingma et al. 2016)
};

class GaussianCode final : public Layer {
 public:
  GaussianCode(const GaussianCodeSpec& spec, int number);

  [[nodiscard]] Index inputs() const override { return 2 * spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;

  [[nodiscard]] bool needs_whole_batch() const override { return spec_.free_bits > 0.0; }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;
  [[nodiscard]] bool has_penalty() const override { return true; }
  [[nodiscard]] double slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                    Index rows) const override;
  [[nodiscard]] double row_penalty(const LayerBuffers& buffers, Index row) const override;

  /// "kl", the mean divergence; "active_units", those whose mean varies over the rows with a variance above
  /// 0.01 (Burda, Grosse & Salakhutdinov 2016).
  [[nodiscard]] Index tallies() const override { return 2 * spec_.units + 1; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

  [[nodiscard]] double forward_cost() const override;

 private:
  [[nodiscard]] double weight(const StepContext& step) const;

  const GaussianCodeSpec spec_;
  const int number_;
};

}  // namespace diabolo
