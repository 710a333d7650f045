// Parameters: every trainable number of a network, by name. The only part that knows how the kernels' layouts
// map to the canonical order, (inputs, outputs) row by row, of import, export and files.
#pragma once

#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/matrix.h"
#include "kernels/kernels.h"

namespace diabolo {

/// What a network declares of one parameter, and where it lies in the buffers.
struct Parameter {
  std::string name;
  Index rows = 1;                                           // inputs; 1 for a vector
  Index cols = 0;                                           // outputs, or units
  bool is_kernel = false;                                   // a matrix: penalised, decayed, in panels
  Index width = 0;                                          // of its panels
  Index transposed_width = 0;                               // of the panels of its transpose
  kernels::Products products = kernels::Products::float32;  // that it enters into
  bool transposed_in_forward = false;  // a tied layer multiplies by the transpose even when nobody trains
  bool needs_input_gradient = false;   // a layer lies below: training multiplies by the transpose
  kernels::UnitVectors unit_vectors = kernels::UnitVectors::none;  // that training keeps at norm 1
  Index offset = 0;                                                // in weights, moments, gradients
  Index size = 0;                                                  // floats there, padding included

  /// A part (high or low; of float32 there is but one) of the copies that products read. -1: none.
  struct Copy {
    Index size = 0;
    Index offset[2] = {-1, -1};
  };
  Copy forward;     // panels in pairs of bfloat16
  Copy transposed;  // panels of the transpose, in floats or pairs

  [[nodiscard]] int parts() const { return products == kernels::Products::bfloat16_3x ? 2 : 1; }
};

/// What the numbers are for: training needs transposes for the input gradients, inference only tied layers'
/// ones. Evaluation is inference that draws samples and measures penalties as training does.
enum class Purpose { inference, evaluation, training };

/// The declarations, laid out. Immutable once the network is built.
class ParameterPlan {
 public:
  /// Returns the parameter's number.
  int add_kernel(const kernels::KernelTable& table, std::string name, Index inputs, Index outputs,
                 bool needs_input_gradient, kernels::Products products);
  int add_vector(std::string name, Index units);
  void use_transposed_in_forward(int number) {
    list_[static_cast<std::size_t>(number)].transposed_in_forward = true;
  }

  void keep_norms(int number, kernels::UnitVectors vectors) {
    list_[static_cast<std::size_t>(number)].unit_vectors = vectors;
  }

  [[nodiscard]] const std::vector<Parameter>& list() const { return list_; }
  [[nodiscard]] const Parameter& at(int number) const { return list_[static_cast<std::size_t>(number)]; }
  [[nodiscard]] int find(const std::string& name) const;  // -1: no such parameter
  [[nodiscard]] bool keeps_norms() const;                 // of any parameter

  /// Floats of the weights, and of their copies for a purpose.
  [[nodiscard]] Index floats() const { return floats_; }
  [[nodiscard]] Index copied_floats(Purpose purpose) const;

  /// Gives every copy that serves the purpose its place among `list`'s; returns the floats of all.
  static Index lay_out_copies(std::vector<Parameter>& list, Purpose purpose);

 private:
  std::vector<Parameter> list_;
  Index floats_ = 0;
};

class Parameters {
 public:
  Parameters(const kernels::KernelTable& table, const ParameterPlan& plan, Purpose purpose);

  [[nodiscard]] const std::vector<Parameter>& list() const { return list_; }
  [[nodiscard]] const Parameter& at(int number) const { return list_[static_cast<std::size_t>(number)]; }
  [[nodiscard]] int find(const std::string& name) const;

  /// Zeroed moments of the weights' size (0, 1 or 2), and room for gradients, for a trainer.
  void add_moments(int count);
  void add_gradient();

  [[nodiscard]] float* weights(int number) { return weights_.data() + at(number).offset; }
  [[nodiscard]] const float* weights(int number) const { return weights_.data() + at(number).offset; }
  /// What the products with a kernel or its transpose read (kept where the purpose needs it).
  [[nodiscard]] kernels::Panels panels(int number) const;
  [[nodiscard]] kernels::Panels transposed_panels(int number) const;
  /// The kernel itself, as floats.
  [[nodiscard]] kernels::Panels float_panels(int number) const;
  /// Where an update of the kernel leaves its copies.
  [[nodiscard]] kernels::WeightCopies copies(int number);
  [[nodiscard]] float* moment(int which, int number);  // null: not kept
  [[nodiscard]] float* gradient(int number);           // null: not kept

  /// Canonical order, (rows, cols) without padding. import refreshes the copies.
  void import_values(int number, const float* values);
  void export_values(int number, float* values) const;
  void export_gradient(int number, float* values) const;

  /// How many moments are kept, and each of them in canonical order, for checkpoints.
  [[nodiscard]] int moments() const;
  void import_moment(int which, int number, const float* values);
  void export_moment(int which, int number, float* values) const;

  /// All weights, as they lie. Both sides must come from the same plan.
  void copy_weights_to(AlignedBuffer<float>& snapshot) const;
  void take_weights_from(const AlignedBuffer<float>& snapshot);
  [[nodiscard]] Index floats() const { return weights_.size(); }

  /// sum over kernels of l1 |w| + l2 w^2, in canonical order.
  [[nodiscard]] double penalty(double l1, double l2) const;

 private:
  void refresh_copies(int number);
  [[nodiscard]] const float* copy(const Parameter::Copy& copy, int part) const;
  void pack(int number, const float* values, float* to) const;
  void unpack(int number, const float* from, float* values) const;

  const kernels::KernelTable& table_;
  std::vector<Parameter> list_;
  AlignedBuffer<float> weights_;
  AlignedBuffer<float> copies_;
  AlignedBuffer<float> moments_[2];
  AlignedBuffer<float> gradient_;
};

}  // namespace diabolo
