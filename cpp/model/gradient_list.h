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
  bool lazy = false;  // of kernels with sparse terms alone, only rows or columns that were met are updated
  std::int32_t* hints = nullptr;  // (rows), this worker's own; for sparse rows alone
};

class GradientList {
 public:
  GradientList(const kernels::KernelTable& table, Parameters& parameters, int most_workers);

  /// Kernel `number` gets the term a^T b, (rows, inputs)^T (rows, outputs); of pairs, if its products are.
  void add_product(int number, const kernels::GradientTerm& term);

  /// Kernel `number` gets a term with few elements.
  void add_sparse_product(int number, const kernels::SparseTerm& term);

  /// Kernel `number` gets its own weights, each column times the column sum of `factors` (rows, outputs).
  void add_factored_weights(int number, MatrixView<const float> factors);

  /// Vector `number` is the column sum of `terms` (rows, units).
  void add_column_sum(int number, MatrixView<const float> terms);

  /// Cuts the work into units. Sums over fixed blocks are kept for penalties or norms where asked.
  void finish(bool with_penalty, bool with_norm);

  /// Before a team sets out.
  void begin_run() {
    work_.reset();
    strip_work_.reset();
  }

  /// This worker's part of the gradients, asking for `upcoming` rows on the way. False: a weight became
  /// non-finite. Stops early when the team stops.
  [[nodiscard]] bool run(Worker& worker, const GradientPass& pass, const StepRules& rules,
                         UpcomingRows& upcoming) const;

  /// This worker's part of updating from stored gradients, of all parameters but those with unit vectors.
  [[nodiscard]] bool update_from_stored(Worker& worker, const StepRules& rules) const;

  // ---- Kernels whose vectors are kept at norm 1 (kernels.h, VectorStrip): a pass stores their gradients
  // ----

  [[nodiscard]] bool keeps_norms() const { return !strips_.empty(); }

  /// Whether `lazy` (GradientPass) makes any difference.
  [[nodiscard]] bool has_untouched() const;

  /// This worker's part of leaving only what turns their vectors in the stored gradients.
  void remove_parallel(Worker& worker, bool lazy) const;

  /// This worker's part of their update and of bringing their vectors back to norm 1; with
  /// `remove_parallel_first`, after that. False: a weight became non-finite.
  [[nodiscard]] bool update_unit_vectors(Worker& worker, const StepRules& rules, bool lazy,
                                         bool remove_parallel_first) const;

  /// Of the last pass: the penalty before its update; the Euclidean norm of all stored gradients.
  [[nodiscard]] double penalty() const;
  [[nodiscard]] double gradient_norm() const;

 private:
  static constexpr int kMostTerms = 6;        // two layers with tied weights, three products each
  static constexpr int kMostSparseTerms = 4;  // two layers with tied weights, two codes each

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

  /// Vectors of norm 1 that one worker looks at together: kUnitRows rows, or a panel of columns.
  struct Strip {
    std::size_t target = 0;
    Index first = 0;  // row or panel
  };

  /// The units that a lazy step looks at alone; without dense terms, for these touch all.
  [[nodiscard]] static kernels::TouchedUnits touched(const Target& target, bool lazy) {
    if (!lazy || target.term_count > 0) return {};
    return {target.sparse_terms.data(), target.sparse_count};
  }

  Target& target_for(int number);
  [[nodiscard]] Range share_of(int worker, int workers) const;
  [[nodiscard]] bool run_kernel(const Unit& unit, const GradientPass& pass, const StepRules& rules) const;
  [[nodiscard]] bool run_vector(const Unit& unit, const GradientPass& pass, const StepRules& rules) const;
  [[nodiscard]] bool update_unit(const Unit& unit, const StepRules& rules,
                                 const kernels::TouchedUnits& touched) const;
  [[nodiscard]] kernels::VectorStrip strip(const Strip& which, bool lazy) const;
  /// Calls `work(strip)` for this worker's share.
  template <class Work>
  void run_strips(Worker& worker, bool lazy, const Work& work) const;

  const kernels::KernelTable& table_;
  Parameters& parameters_;
  std::vector<Target> targets_;
  std::vector<Unit> units_;
  std::vector<Strip> strips_;
  double total_cost_ = 0.0;
  mutable SharedWork work_;                    // the units, by their numbers
  mutable SharedWork strip_work_;              // the strips, likewise
  mutable AlignedBuffer<float> penalty_sums_;  // per 16 x 16 block; empty: not wanted
  mutable AlignedBuffer<float> square_sums_;
};

}  // namespace diabolo
