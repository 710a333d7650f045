// See batch_weights.h.
#include "training/batch_weights.h"

#include <algorithm>

namespace diabolo {

void BatchWeights::begin_epoch(const Rows& rows, Index batch_size, RowOrder& order) {
  if (of_rows_.size() == 0) return;
  means_.clear();
  std::vector<Index> numbers(static_cast<std::size_t>(of_rows_.size()));
  for (Index position = 0; position < rows.count();) {
    const Index batch_rows = std::min(batch_size, rows.count() - position);
    double sum = 0.0;
    for (Index done = 0; done < batch_rows;) {
      const Index count = std::min(of_rows_.size(), batch_rows - done);
      order.next(count, numbers.data());
      for (Index r = 0; r < count; ++r) sum += rows.weight(numbers[static_cast<std::size_t>(r)]);
      done += count;
    }
    means_.push_back(sum / static_cast<double>(batch_rows));
    position += batch_rows;
  }
}

void BatchWeights::begin_batch(const Rows& rows) {
  if (of_rows_.size() == 0) return;
  double sum = 0.0;
  for (Index i = 0; i < rows.count(); ++i) sum += rows.weight(rows.source_row(i));
  means_.assign(1, sum / static_cast<double>(rows.count()));
}

void BatchWeights::weigh(const Rows& rows, const Index* source_rows, Range range, double mean) {
  if (of_rows_.size() == 0) return;
  for (Index r = range.begin; r < range.end; ++r) {
    of_rows_[r] = static_cast<float>(rows.weight(source_rows[r]) / mean);
  }
}

}  // namespace diabolo
