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

/// Which lanes of the vector at element j exist.
DIABOLO_INLINE VecI lanes_below(Index j, Index count) {
  return lane_numbers() < static_cast<std::int32_t>(count - j < kLanes ? count - j : kLanes);
}

/// How many of a row's elements have keys of at least `low`.
Index count_from(const float* row, Index units, std::int32_t low) {
  VecI count{};
  for (Index j = 0; j < units; j += kLanes) {
    count -= (ordered(load(row + j)) >= low) & lanes_below(j, units);
  }
  return sum_of(count);
}

/// The greatest key that at least k elements reach, `count(low)` being how many reach low: found bit by bit,
/// from the sign on.
template <class Count>
DIABOLO_INLINE std::int32_t kth_greatest_key(Index k, const Count& count) {
  std::int32_t key = count(0) >= k ? 0 : INT32_MIN;
  for (std::int32_t bit = 1 << 30; bit != 0; bit >>= 1) {
    if (count(key | bit) >= k) key |= bit;
  }
  return key;
}

/// Keys in a buffer whose size is a multiple of the lanes.
struct Keys {
  static constexpr Index kMost = 1024;
  alignas(64) std::int32_t key[kMost];
  Index count = 0;

  DIABOLO_INLINE std::int32_t kth_greatest(Index k) {
    while (count % kLanes != 0) key[count++] = INT32_MIN;  // which at least k elements reach
    return kth_greatest_key(k, [&](std::int32_t low) {
      VecI reach{};
      for (Index j = 0; j < count; j += kLanes) reach -= bits_of(load(as_floats(key + j))) >= low;
      return sum_of(reach);
    });
  }
  static DIABOLO_INLINE const float* as_floats(const std::int32_t* from) {
    return reinterpret_cast<const float*>(from);  // `load` may alias anything
  }
};

/// A key that at least k elements reach and few more: the k-th greatest of the maxima of some 2 k groups.
/// False: k is too large for this to pay.
DIABOLO_INLINE bool low_bound(const float* row, Index units, Index k, std::int32_t& bound) {
  const Index groups = (2 * k + kGroup - 1) / kGroup * kGroup;
  if (groups > Keys::kMost || units < 4 * groups) return false;
  Keys maxima;
  maxima.count = groups;
  for (Index g = 0; g < groups; g += kLanes) {
    VecI most = broadcast_int(INT32_MIN);
    for (Index j = g; j < units; j += groups) {
      const VecI key = lanes_below(j, units) ? ordered(load(row + j)) : broadcast_int(INT32_MIN);
      most = key > most ? key : most;
    }
    store(const_cast<float*>(Keys::as_floats(maxima.key + g)), from_bits(most));
  }
  bound = maxima.kth_greatest(k);
  return true;
}

/// The k-th greatest key of a row: of the few elements above a bound, or where these are many, of all.
std::int32_t kth_greatest(const float* row, Index units, Index k) {
  std::int32_t bound = 0;
  if (low_bound(row, units, k, bound)) {
    Keys above;
    Index j = 0;
    for (; j < units && above.count + kLanes <= Keys::kMost; j += kLanes) {
      const VecI key = ordered(load(row + j));
      const VecI reach = (key >= bound) & lanes_below(j, units);
      if (!any(reach)) continue;
      for (Index i = 0; i < kLanes; ++i) {
        above.key[above.count] = key[i];
        above.count -= reach[i];  // a true lane is -1
      }
    }
    if (j >= units) return above.kth_greatest(k);
  }
  return kth_greatest_key(k, [&](std::int32_t low) { return count_from(row, units, low); });
}

/// Calls `use(j, value, kept)` for each vector of a row, kept being the mask of the k greatest. Of equals at
/// the border, the first ones are kept.
template <class Use>
DIABOLO_INLINE void for_greatest(const float* row, Index units, Index k, const Use& use) {
  const std::int32_t border = kth_greatest(row, units, k);
  const Index above = border == INT32_MAX ? 0 : count_from(row, units, border + 1);
  Index equals_left = k - above;
  for (Index j = 0; j < units; j += kLanes) {
    const Vec value = load(row + j);
    const VecI key = ordered(value);
    const VecI exists = lanes_below(j, units);
    VecI kept = border == INT32_MAX ? VecI{} : key > border;
    const VecI equal = (key == border) & exists;
    if (equals_left > 0 && any(equal)) {
      for (Index i = 0; i < kLanes && equals_left > 0; ++i) {
        if (equal[i] == 0) continue;
        kept[i] = -1;
        --equals_left;
      }
    }
    use(j, value, kept & exists);
  }
}

/// y = x where it is among the k greatest of its row, else 0.
void top_k(MatrixView<const float> x, Index k, MatrixView<float> y) {
  for (Index r = 0; r < x.rows; ++r) {
    float* to = y.row(r);
    for_greatest(x.row(r), x.cols, k,
                 [&](Index j, Vec value, VecI kept) { store(to + j, select(kept, value, Vec{})); });
  }
}

/// The same as a list.
void top_k_list(MatrixView<const float> x, Index k, std::int32_t* columns, MatrixView<float> values) {
  for (Index r = 0; r < x.rows; ++r) {
    std::int32_t* to = columns + r * k;
    float* value_to = values.row(r);
    Index found = 0;
    for_greatest(x.row(r), x.cols, k, [&](Index j, Vec value, VecI kept) {
      if (!any(kept)) return;
      for (Index i = 0; i < kLanes; ++i) {
        if (kept[i] == 0) continue;
        to[found] = static_cast<std::int32_t>(j + i);
        value_to[found] = value[i];
        ++found;
      }
    });
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
