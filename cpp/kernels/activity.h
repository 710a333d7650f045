// Penalties on the outputs of a layer: their sums, and their gradients.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernels.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// sums (rows, 1) = sum over units of |y|, unit j added to lane j mod 16.
void absolute_sums(MatrixView<const float> y, MatrixView<float> sums) {
  for (Index r = 0; r < y.rows; ++r) {
    alignas(64) float lanes[kGroup] = {};
    for (Index group = 0; group < y.cols; group += kGroup) {
      for (Index lane = 0; lane < kGroup; lane += kLanes) {
        const VecI exists =
            lane_numbers() <
            static_cast<std::int32_t>(y.cols - group - lane < kGroup ? y.cols - group - lane : kGroup);
        const Vec size = abs(load(y.row(r) + group + lane));
        store(lanes + lane, load(lanes + lane) + select(exists, size, Vec{}));
      }
    }
    sums.row(r)[0] = sum_of_lanes(lanes);
  }
}

/// sums (16) = sums over the rows, in their order, of 16 columns from `column` on, times the rows' weights.
void column_sums(MatrixView<const float> y, const float* row_weights, Index column, float* sums) {
  Vec total[kGroup / kLanes] = {};
  for (Index r = 0; r < y.rows; ++r) {
    for (Index j = 0; j < kGroup / kLanes; ++j) {
      total[j] += weight_of_row(row_weights, r) * load(y.row(r) + column + j * kLanes);
    }
  }
  for (Index j = 0; j < kGroup / kLanes; ++j) store(sums + j * kLanes, total[j]);
}

/// delta += row weight * (l1 sign(y) + unit_gradient), then the chain rule through the layer below.
void activity_gradient(const ActivityGradient& g) {
  const Vec l1 = broadcast(g.l1);
  for (Index r = 0; r < g.y.rows; ++r) {
    float* delta = g.delta.row(r);
    const Vec weight = broadcast(weight_of_row(g.row_weights, r));
    for (Index j = 0; j < g.y.cols; j += kLanes) {
      const Vec y = load(g.y.row(r) + j);
      const Vec sign = select(y > 0.0f, l1, select(y < 0.0f, -l1, Vec{}));
      const Vec unit = g.unit_gradient == nullptr ? Vec{} : load(g.unit_gradient + j);
      store(delta + j, load(delta + j) + weight * (sign + unit));
    }
  }
  chain_rows({{g.delta.data, g.delta.rows, g.delta.cols, g.delta.stride}, g.below});
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
