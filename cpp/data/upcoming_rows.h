// UpcomingRows: rows that will be gathered soon, asked for bit by bit while other work goes on. Shuffled rows
// lie anywhere in memory, and to wait for each of them when its turn has come costs more than to convert it.
#pragma once

#include "data/rows.h"

namespace diabolo {

class UpcomingRows {
 public:
  UpcomingRows() = default;
  /// `count` rows of the table; both must outlive this.
  UpcomingRows(const Rows& rows, const Index* source_rows, Index count)
      : rows_(&rows), source_rows_(source_rows), count_(count) {}

  /// Asks for the rows up to this part, in [0, 1], of all.
  void fetch_until(double part) {
    const auto until = static_cast<Index>(part * static_cast<double>(count_));
    for (; asked_ < until; ++asked_) rows_->prefetch(source_rows_[asked_]);
  }

 private:
  const Rows* rows_ = nullptr;
  const Index* source_rows_ = nullptr;
  Index count_ = 0;
  Index asked_ = 0;
};

}  // namespace diabolo
