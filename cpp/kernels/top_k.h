// The k greatest elements of each row, and the gradient that only they let through.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernels.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Integers in the order of the floats they come from; NaN is the greatest, so that it is kept and seen.
DIABOLO_INLINE VecI ordered(Vec v) {
  const VecI bits = bits_of(v);
  const VecI key = bits ^ ((bits >> 31) & 0x7fffffff);
  return (v == v) ? key : broadcast_int(0x7fffffff);
}

DIABOLO_INLINE Index sum_of(VecI v) {
  Index sum = 0;
  for (Index i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

/// How many of a row's elements have keys of at least `low`.
Index count_from(const float* row, Index units, std::int32_t low) {
  VecI count{};
  for (Index j = 0; j < units; j += kLanes) {
    const VecI exists = lane_numbers() < static_cast<std::int32_t>(units - j < kLanes ? units - j : kLanes);
    count -= (ordered(load(row + j)) >= low) & exists;
  }
  return sum_of(count);
}

/// The greatest key that at least k elements reach: found bit by bit, from the sign on.
std::int32_t kth_greatest(const float* row, Index units, Index k) {
  std::int32_t key = count_from(row, units, 0) >= k ? 0 : INT32_MIN;
  for (std::int32_t bit = 1 << 30; bit != 0; bit >>= 1) {
    if (count_from(row, units, key | bit) >= k) key |= bit;
  }
  return key;
}

/// y = x where it is among the k greatest of its row, else 0. Of equals at the border, the first ones are
/// kept.
void top_k(MatrixView<const float> x, Index k, MatrixView<float> y) {
  for (Index r = 0; r < x.rows; ++r) {
    const float* from = x.row(r);
    float* to = y.row(r);
    const std::int32_t border = kth_greatest(from, x.cols, k);
    const Index above = border == INT32_MAX ? 0 : count_from(from, x.cols, border + 1);
    Index equals_left = k - above;
    for (Index j = 0; j < x.cols; j += kLanes) {
      const Vec value = load(from + j);
      const VecI key = ordered(value);
      VecI kept = border == INT32_MAX ? VecI{} : key > border;
      const VecI exists =
          lane_numbers() < static_cast<std::int32_t>(x.cols - j < kLanes ? x.cols - j : kLanes);
      const VecI equal = (key == border) & exists;
      if (equals_left > 0 && any(equal)) {
        for (Index i = 0; i < kLanes && equals_left > 0; ++i) {
          if (equal[i] == 0) continue;
          kept[i] = -1;
          --equals_left;
        }
      }
      store(to + j, select(kept & exists, value, Vec{}));
    }
  }
}

/// The gradient of what was kept, taken through the layer below.
void top_k_gradient(const TopKGradient& g) {
  for (Index r = 0; r < g.y.rows; ++r) {
    float* delta = g.delta.row(r);
    for (Index j = 0; j < g.y.cols; j += kLanes) {
      store(delta + j, select(load(g.y.row(r) + j) == Vec{}, Vec{}, load(delta + j)));
    }
  }
  chain_rows({{g.delta.data, g.delta.rows, g.delta.cols, g.delta.stride}, g.below});
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
