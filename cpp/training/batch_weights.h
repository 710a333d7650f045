// BatchWeights: what the rows of a step weigh, if they have weights: the loss of a batch is then the sum of
// weight times loss over the sum of weights.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "data/row_order.h"
#include "data/rows.h"

namespace diabolo {

class BatchWeights {
 public:
  /// Of slabs of up to `slab_rows` of these rows; nothing is kept if they have no weights.
  BatchWeights(const Rows& rows, Index slab_rows) : of_rows_(rows.has_weights() ? slab_rows : 0) {}

  /// The mean weight of each batch must be known before its first slab passes: goes through the epoch's order
  /// once, which must begin anew afterwards.
  void begin_epoch(const Rows& rows, Index batch_size, RowOrder& order);
  /// For one batch of all rows.
  void begin_batch(const Rows& rows);

  /// Of a batch's rows; 1 without weights.
  [[nodiscard]] double mean(Index batch) const {
    return means_.empty() ? 1.0 : means_[static_cast<std::size_t>(batch)];
  }

  /// Weighs the rows `range` of a slab, which are those `source_rows` of the table, in units of the batch's
  /// mean.
  void weigh(const Rows& rows, const Index* source_rows, Range range, double mean);

  /// (rows of the slab): weights of mean 1 over the batch; null: there are none.
  [[nodiscard]] const float* of_rows() const { return of_rows_.size() == 0 ? nullptr : of_rows_.data(); }

 private:
  AlignedBuffer<float> of_rows_;
  std::vector<double> means_;
};

}  // namespace diabolo
