// GradientList: the weights phase as data. Each parameter's gradient is a planned list of terms; the list is
// cut into units of work, shared among the workers, and each unit's gradient is stored or used on the spot.
#pragma once

#include <array>
#include <vector>

#include "base/shared_work.h"
#include "base/team.h"
#include "data/upcoming_rows.h"
#include "kernels/kernels.h"
#include "model/parameters.h"

namespace diabolo {

/// An optimiser's step as the kernels want it: penalties and decay touch kernels (weight matrices) alone.
struct StepRules {
  kernels::UpdateRule kernels;
  kernels::UpdateRule vectors;
};

/// How this pass over the slab's rows ends.
struct GradientPass {
  Index rows = 0;           // of the slab that count
  bool add_stored = false;  // earlier slabs of the batch left their sums
  bool last = true;         // no slab follows
  kernels::GradientUse use = kernels::GradientUse::update;
  bool lazy = false;  // of kernels with sparse terms, only rows and columns that have a gradient are updated
  std::int32_t* hints = nullptr;  // (rows), this worker's own; for sparse rows alone
};

class GradientList {
 public:
  GradientList(const kernels::KernelTable& table, Parameters& parameters, int most_workers);

  /// Kernel `number` gets the term a^T b, (rows, inputs)^T (rows, outputs); of pairs, if its products are.
  void add_product(int number, const kernels::GradientTerm& term);

  /// Kernel `number` gets a term with few elements. It must have no other terms but such.
  void add_sparse_product(int number, const kernels::SparseTerm& term);

  /// Kernel `number` gets its own weights, each column times the column sum of `factors` (rows, outputs).
  void add_factored_weights(int number, MatrixView<const float> factors);

  /// Vector `number` is the column sum of `terms` (rows, units).
  void add_column_sum(int number, MatrixView<const float> terms);

  /// Cuts the work into units. Sums over fixed blocks are kept for penalties or norms where asked.
  void finish(bool with_penalty, bool with_norm);

  /// Before a team sets out.
  void begin_run() { work_.reset(); }

  /// This worker's part of the gradients, asking for `upcoming` rows on the way. False: a weight became
  /// non-finite. Stops early when the team stops.
  [[nodiscard]] bool run(Worker& worker, const GradientPass& pass, const StepRules& rules,
                         UpcomingRows& upcoming) const;

  /// This worker's part of updating from stored gradients.
  [[nodiscard]] bool update_from_stored(Worker& worker, const StepRules& rules) const;

  /// Of the last pass: the penalty before its update; the Euclidean norm of all stored gradients.
  [[nodiscard]] double penalty() const;
  [[nodiscard]] double gradient_norm() const;

 private:
  static constexpr int kMostTerms = 6;  // two layers with tied weights, three products each
  static constexpr int kMostSparseTerms = 2;

  struct Target {
    int parameter = 0;
    std::array<kernels::GradientTerm, kMostTerms> terms;
    int term_count = 0;
    std::array<kernels::SparseTerm, kMostSparseTerms> sparse_terms;
    int sparse_count = 0;
    MatrixView<const float> unit_factors;  // data null: none
    Index first_sum = 0;                   // in penalty_sums_ and square_sums_
  };
  /// A unit of a kernel (first row, panel), or a range of a vector's columns.
  struct Unit {
    std::size_t target = 0;
    Index row = 0;
    Index panel = 0;
    Range columns;
    double cost = 0.0;         // floating-point operations per row of the batch
    double cost_before = 0.0;  // of all units before this one
  };

  Target& target_for(int number);
  [[nodiscard]] Range share_of(int worker, int workers) const;
  [[nodiscard]] bool run_kernel(const Unit& unit, const GradientPass& pass, const StepRules& rules) const;
  [[nodiscard]] bool run_vector(const Unit& unit, const GradientPass& pass, const StepRules& rules) const;

  const kernels::KernelTable& table_;
  Parameters& parameters_;
  std::vector<Target> targets_;
  std::vector<Unit> units_;
  double total_cost_ = 0.0;
  mutable SharedWork work_;                    // the units, by their numbers
  mutable AlignedBuffer<float> penalty_sums_;  // per 16 x 16 block; empty: not wanted
  mutable AlignedBuffer<float> square_sums_;
};

}  // namespace diabolo
