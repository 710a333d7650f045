// SparseBatch: some rows of a sparse table, by their stored elements, and what a network needs to work on
// them and to compare its output with them: never are they dense.
#pragma once

#include "base/aligned.h"
#include "data/rows.h"
#include "model/network.h"
#include "model/objective.h"

namespace diabolo {

class SparseBatch {
 public:
  /// For dense rows: no batch.
  SparseBatch() = default;

  /// Room for `count` rows at a time; a row has at most `most_stored` stored elements. With noise if the
  /// network adds any for this purpose.
  SparseBatch(const Network& network, const Objective& objective, Index count, Index most_stored,
              Purpose purpose);

  [[nodiscard]] explicit operator bool() const { return counts_.size() != 0; }

  /// Rows `where` of the batch = these rows of the table.
  void gather(const SparseTable& table, const Index* source_rows, Range where);

  /// Whether all stored elements of rows `where` lie in [low, high] and are finite.
  [[nodiscard]] bool all_valid(Range where, float low, float high) const;

  /// Lets the first layers read their input here.
  void attach_to(NetworkBuffers& buffers);

  /// Lets the loss compare rows `where` with what was gathered.
  void set_target(Range where, kernels::LossEpilogue& loss);

  [[nodiscard]] SparseView view() const;

  /// Whether other elements than the stored ones count in the objective.
  [[nodiscard]] bool counts_zeros() const { return stored_weights_.size() == 0; }

  /// Bytes it holds. Throws std::overflow_error.
  [[nodiscard]] static Index planned_bytes(Index count, Index most_stored);

 private:
  bool sums_features_ = false;
  Index features_ = 0;
  Index stride_ = 0;
  Index most_stored_ = 0;
  Index noisy_layers_ = 0;               // layers that make the noise, before the one that multiplies
  AlignedBuffer<float> values_;          // (count, stride)
  AlignedBuffer<float> noisy_;           // (count, stride): with noise; empty: there is none
  AlignedBuffer<std::int32_t> columns_;  // (count, stride)
  AlignedBuffer<std::int32_t> counts_;   // (count)
  AlignedBuffer<float> stored_weights_;  // (count): factors of the stored elements' losses
  AlignedBuffer<std::int32_t> hints_;    // (count): where the loss is in each row
};

}  // namespace diabolo
