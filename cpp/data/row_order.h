// RowOrder: in which order an epoch visits the rows. A pure function of (seed, epoch), whatever the threads.
#pragma once

#include <cstdint>
#include <vector>

#include "data/rows.h"

namespace diabolo {

enum class Shuffle : unsigned char {
  none,    // as they come
  rows,    // a permutation of all rows: an index of 8 bytes a row
  blocks,  // windows of neighbouring rows in random order, rows shuffled inside: an index of one window
};

class RowOrder {
 public:
  /// `window` is the rows of a window for Shuffle::blocks.
  RowOrder(const Rows& rows, Shuffle shuffle, std::uint64_t seed, Index window);

  void begin_epoch(std::int64_t epoch);

  /// The source rows of the next `count` positions of the epoch.
  void next(Index count, Index* source_rows);

  /// Bytes it holds.
  [[nodiscard]] static Index planned_bytes(Index rows, Shuffle shuffle, Index window);

  /// Rows of a window that is large enough to read a disk at its speed, and to mix batches.
  [[nodiscard]] static Index window_rows(Index features, Index batch_size);

 private:
  void enter_window();

  const Rows& rows_;
  const Shuffle shuffle_;
  const std::uint64_t seed_;
  const Index window_;
  std::int64_t epoch_ = 0;
  Index position_ = 0;
  std::vector<Index> permutation_;   // of all rows, or of the windows
  std::vector<Index> inside_;        // of the rows of the current window
  Index window_number_ = 0;          // in the epoch
  std::size_t inside_position_ = 0;  // in the current window
};

}  // namespace diabolo
