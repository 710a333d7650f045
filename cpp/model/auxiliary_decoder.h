// AuxiliaryDecoder: the only layer of a decoder after a top-k code. It also decodes what the code's dead
// units say of a row, and compares that with what the main code leaves unsaid.
#pragma once

#include "model/dense.h"
#include "model/top_k.h"

namespace diabolo {

/// Gao et al., "Scaling and evaluating sparse autoencoders", arXiv:2406.04093, 2024, appendix A.2, and the
/// authors' code. With the residual e = x - y of each row, y being the reconstruction, and e' the sum of the
/// decoder's vectors of the k greatest dead units times their outputs (no bias), the loss grows by
///   weight * mean of |e - e'|^2 / mean of |e|^2
/// over the rows of the batch; without dead units, or a residual, the term is 0. The residual counts as a
/// constant in its gradients: these reach the dead units alone. (The authors' code divides by the residual's
/// variance in the batch. That is the same where the bias has made its mean 0, and before has no bound.)
class AuxiliaryDecoder final : public Dense {
 public:
  AuxiliaryDecoder(const kernels::KernelTable& table, ParameterPlan& plan, const DenseSpec& spec,
                   const DensePlace& place, const TopKSpec& code);

  [[nodiscard]] LayerBooking book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const override;
  void forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
               const kernels::LossEpilogue* loss) const override;
  void input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                      const kernels::ActivationGradient& below) const override;
  [[nodiscard]] bool shares_units() const override { return false; }
  void list_gradients(const LayerBuffers& buffers, GradientList& list) const override;

  /// Which units are dead is known when all rows have their code.
  [[nodiscard]] bool needs_whole_batch() const override { return true; }
  [[nodiscard]] bool has_statistics() const override { return true; }
  void batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                        Index rows) const override;

  /// How large the residual is, when all rows have theirs.
  [[nodiscard]] bool needs_gradient_of_batch() const override { return true; }
  void gradient_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                           Index rows) const override;

  void begin_epoch(const Parameters& parameters, const LayerBuffers& buffers) const override;
  [[nodiscard]] bool has_penalty() const override { return true; }
  [[nodiscard]] double slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                    Index rows) const override;
  [[nodiscard]] Index tallies() const override { return 1; }
  void observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const override;
  [[nodiscard]] std::vector<Measure> measures(const double* tallies, Index rows) const override;

 private:
  void decode_dead_units(const Pass& pass, const LayerBuffers& buffers, Range rows) const;

  const TopKSpec code_;
};

}  // namespace diabolo
