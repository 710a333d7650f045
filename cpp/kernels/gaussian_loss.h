// The Gaussian likelihood of a last layer's tile, with a variance for each output, fixed or learned.
#pragma once

#include "kernels/gaussian_code.h"
#include "kernels/kernels.h"
#include "kernels/tile_place.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

inline constexpr float kLogTwoPi = 0x1.d67f1cp+0f;

/// -log N(t; y, e^s) = (log 2 pi + s + d^2 e^-s) / 2,  d = y - t:
///   gradient d e^-s in y, (1 - d^2 e^-s) / 2 in s
struct GaussianColumns {
  alignas(64) float constant[kWidestPanel];   // (log 2 pi + s) / 2
  alignas(64) float precision[kWidestPanel];  // e^-s
  alignas(64) float slope[kWidestPanel];      // ds / dv

  GaussianColumns(const float* log_variance, Index used) {
    for (Index j = 0; j < used; j += kLanes) {
      const BoundedLogVariance v = bounded_log_variance(load(log_variance + j));
      store(constant + j, 0.5f * (v.s + kLogTwoPi));
      store(precision + j, exp(-v.s));
      store(slope + j, v.slope);
    }
  }
};

/// As loss_of_tile (epilogue.h); also leaves scale * gradient in v in `terms` where wanted.
inline void gaussian_loss_of_tile(const LossEpilogue& loss, TileTarget y, const TileOfTargets& targets,
                                  const TilePlace& place, TileTarget out) {
  const GaussianColumns columns(loss.log_variance + place.column, place.used);
  const TileTarget variance_terms = at_place(loss.variance_terms, place);
  const VecI numbers = lane_numbers();
  for (Index i = 0; i < place.rows; ++i) {
    const float scale = loss.scale * weight_of_row(loss.row_weights, place.row + i);
    const float* target = targets.target.row(i);
    const float* weights = targets.weights.data == nullptr ? nullptr : targets.weights.row(i);
    float* lanes = loss.lanes + (place.row + i) * kGroup;
    for (Index group = 0; group < place.used; group += kGroup) {
      for (Index lane = 0; lane < kGroup; lane += kLanes) {
        const Index j = group + lane;
        const Vec weight = weights == nullptr ? broadcast(1.0f) : load(weights + j);
        const Vec d = load(y.data + i * y.stride + j) - load(target + j);
        const Vec scaled = d * load(columns.precision + j);
        const Vec value = fma(0.5f * d, scaled, load(columns.constant + j));
        const VecI exists = numbers < static_cast<std::int32_t>(place.used - j);
        store(lanes + lane, load(lanes + lane) + select(exists, weight * value, Vec{}));
        if (out.data == nullptr) continue;
        store(out.data + i * out.stride + j, scale * weight * scaled);
        if (variance_terms.data != nullptr) {
          const Vec dv = 0.5f * fma(-d, scaled, broadcast(1.0f)) * load(columns.slope + j);
          store(variance_terms.data + i * variance_terms.stride + j, scale * weight * dv);
        }
      }
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
