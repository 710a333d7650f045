// WorkspacePlan books buffers, Workspace holds them: everything a run needs is allocated once, before it
// starts.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "base/aligned.h"
#include "base/matrix.h"

namespace diabolo {

/// a * b for sizes; throws std::overflow_error where the result does not fit.
[[nodiscard]] inline Index checked_product(Index a, Index b) {
  Index product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw std::overflow_error("a size does not fit in 64 bits");
  return product;
}

[[nodiscard]] inline Index checked_sum(Index a, Index b) {
  Index sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw std::overflow_error("a size does not fit in 64 bits");
  return sum;
}

[[nodiscard]] inline Index round_up(Index n, Index multiple) {
  return checked_product(checked_sum(n, multiple - 1) / multiple, multiple);
}

/// Floats from one row to the next of a matrix with `cols` columns. Whole groups of 16, since kernels store
/// whole registers; and no multiple of 64, for then rows would fall on the same few sets of the first-level
/// cache.
[[nodiscard]] inline Index padded_stride(Index cols) {
  const Index stride = round_up(cols, 16);
  return stride % 64 == 0 ? checked_sum(stride, 16) : stride;
}

class WorkspacePlan {
 public:
  struct Buffer {
    Index offset = -1;  // -1: not booked
    Index rows = 0;
    Index cols = 0;
    Index stride = 0;

    [[nodiscard]] explicit operator bool() const { return offset >= 0; }
  };

  /// Room for a matrix (rows, cols).
  [[nodiscard]] Buffer book(Index rows, Index cols) {
    const Buffer buffer{floats_, rows, cols, padded_stride(cols)};
    // Kernels may read, and ignore, a panel's width past the last row.
    floats_ = checked_sum(floats_, checked_sum(checked_product(rows, buffer.stride), kOverread));
    return buffer;
  }

  struct Integers {
    Index offset = -1;  // -1: not booked

    [[nodiscard]] explicit operator bool() const { return offset >= 0; }
  };

  /// Room for `count` integers of 32 bits.
  [[nodiscard]] Integers book_integers(Index count) {
    const Integers buffer{integers_};
    integers_ = checked_sum(integers_, round_up(count, 16));
    return buffer;
  }

  [[nodiscard]] Index floats() const { return floats_; }
  [[nodiscard]] Index integers() const { return integers_; }
  [[nodiscard]] Index bytes() const {
    return checked_product(checked_sum(floats_, integers_), sizeof(float));
  }

 private:
  static constexpr Index kOverread = 64;
  Index floats_ = 0;
  Index integers_ = 0;
};

class Workspace {
 public:
  explicit Workspace(const WorkspacePlan& plan) : floats_(plan.floats()), integers_(plan.integers()) {}

  /// A null view for a buffer that was not booked.
  [[nodiscard]] MatrixView<float> view(const WorkspacePlan::Buffer& b) {
    if (!b) return {};
    return {floats_.data() + b.offset, b.rows, b.cols, b.stride};
  }
  [[nodiscard]] std::int32_t* integers(const WorkspacePlan::Integers& b) {
    return b ? integers_.data() + b.offset : nullptr;
  }

 private:
  AlignedBuffer<float> floats_;
  AlignedBuffer<std::int32_t> integers_;
};

}  // namespace diabolo
