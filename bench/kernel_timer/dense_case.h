// DenseCase: one dense layer of given size and form of products with all its buffers, and its kernels one by
// one as the trainer calls them. It measures nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/workspace.h"
#include "kernels/kernels.h"
#include "model/pairs.h"
#include "model/parameters.h"

/// Something to time, and what a call of it amounts to.
struct Work {
  std::function<void()> call;
  double operations = 0.0;  // multiplications and additions of its matrix product; 0: it has none
  double elements = 0.0;    // numbers it produces
};

class DenseCase {
 public:
  /// `rows` of a batch through a layer (inputs, outputs) that stands on a relu layer; panels as wide as a
  /// network of this table would have them. Prepares the running thread for the products. Throws
  /// std::runtime_error where the system does not lend what they need.
  DenseCase(const diabolo::kernels::KernelTable& table, diabolo::Index rows, diabolo::Index inputs,
            diabolo::Index outputs, diabolo::kernels::Products products);

  /// The kernels that `work` knows.
  [[nodiscard]] static std::vector<std::string> kernels();

  /// Throws std::invalid_argument for an unknown kernel. It refers to this object.
  [[nodiscard]] Work work(const std::string& kernel);

 private:
  using MatrixOfFloats = diabolo::MatrixView<float>;

  void forward(diabolo::kernels::Activation activation, const diabolo::kernels::LossEpilogue* loss);
  void input_gradient();
  void weight_gradient(diabolo::kernels::GradientUse use);
  void pack_input();
  void pack_delta();
  void bias_gradient();
  void stored_update();

  /// Calls `unit(first_row, panel)` in the trainer's order.
  template <class Unit>
  void for_each_unit(const Unit& unit) const;

  const diabolo::kernels::KernelTable& table_;
  diabolo::Index rows_;
  diabolo::Index inputs_;
  diabolo::Index outputs_;
  diabolo::kernels::Products products_;
  diabolo::ParameterPlan plan_;
  int kernel_;
  int bias_;
  diabolo::Parameters parameters_;
  diabolo::kernels::UpdateRule adam_;
  diabolo::WorkspacePlan booking_;
  diabolo::WorkspacePlan::Buffer x_;        // (rows, inputs)
  diabolo::WorkspacePlan::Buffer x_delta_;  // (rows, inputs)
  diabolo::WorkspacePlan::Buffer y_;        // (rows, outputs)
  diabolo::WorkspacePlan::Buffer delta_;    // (rows, outputs)
  diabolo::WorkspacePlan::Buffer target_;   // (rows, outputs)
  diabolo::Pairs<diabolo::WorkspacePlan::Buffer> booked_input_pairs_;
  diabolo::Pairs<diabolo::WorkspacePlan::Buffer> booked_delta_pairs_;
  diabolo::Workspace workspace_;
  diabolo::Pairs<MatrixOfFloats> input_pairs_;
  diabolo::Pairs<MatrixOfFloats> delta_pairs_;
  diabolo::AlignedBuffer<float> lanes_;  // (rows, 16)
};
