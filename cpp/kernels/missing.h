// Values that nobody observed, which rows hold as NaN: what stands in their place, and what they weigh.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// How many features of a row are not NaN.
Index observed_in(const float* row, Index columns, const Range* groups, Index group_count) {
  VecI count{};
  for (Index j = 0; j < columns; j += kLanes) {
    const Vec x = load(row + j);
    count -= (x == x) & (lane_numbers() < static_cast<std::int32_t>(columns - j));
  }
  Index sum = 0;
  for (Index i = 0; i < kLanes; ++i) sum += count[i];
  for (const Range* group = groups; group != groups + group_count; ++group) {
    if (row[group->begin] == row[group->begin]) sum -= group->size() - 1;
  }
  return sum;
}

void mask_missing(const MaskMissing& m) {
  for (Index r = 0; r < m.x.rows; ++r) {
    float* x = m.x.row(r);
    float* weights = m.weights.row(r);
    const Index observed = observed_in(x, m.x.cols, m.groups, m.group_count);
    const float factor = m.rescale ? static_cast<float>(m.features) / static_cast<float>(observed) : 1.0f;
    const Vec weight = broadcast(observed > 0 ? factor : kNaN);
    const Vec otherwise = broadcast(observed > 0 ? 0.0f : kNaN);
    for (Index j = 0; j < m.x.cols; j += kLanes) {
      const Vec value = load(x + j);
      const VecI is_there = value == value;
      store(weights + j, select(is_there, weight, otherwise));
      store(x + j, select(is_there, value, Vec{}));
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
