// Corruption: noise on the rows on their way into the network, fresh at every step; the loss still compares
// with the clean rows. Outside of training it passes its input on.
#pragma once

#include "model/layer.h"

namespace diabolo {

/// Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
struct CorruptionSpec {
  Index units = 0;
  kernels::CorruptionKind kind = kernels::CorruptionKind::gaussian;
  double amount = 0.0;  // gaussian: the noise's standard deviation; else the fraction of elements replaced
  // Factors of the loss of elements that were replaced, and of the others (Vincent's emphasis).
  double corrupted_weight = 1.0;
  double clean_weight = 1.0;
};

class Corruption final : public Layer {
 public:
  Corruption(const CorruptionSpec& spec, int number, bool trainable_below);

  [[nodiscard]] Index inputs() const override { return spec_.units; }
  [[nodiscard]] Index outputs() const override { return spec_.units; }
  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] OnSparseRows on_sparse_rows(Purpose purpose) const override;
  [[nodiscard]] double forward_cost() const override;

 private:
  void forward_sparse(const Pass& pass, const LayerBuffers& buffers, Range rows) const;
  [[nodiscard]] std::int32_t threshold() const;
  [[nodiscard]] bool emphasizes() const { return spec_.corrupted_weight != 1.0 || spec_.clean_weight != 1.0; }

  const CorruptionSpec spec_;
  const int number_;
};

}  // namespace diabolo
