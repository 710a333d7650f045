// The Gaussian code of a variational autoencoder: samples of N(mean, e^s) by reparameterisation, their
// divergence from N(0, 1), and the gradients of both.
#pragma once

#include "kernels/kernels.h"
#include "kernels/noise.h"
#include "kernels/tile_fma.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// s = 10 tanh(v / 10) and its derivative: a log-variance that cannot overflow, and about v where it matters.
struct BoundedLogVariance {
  Vec s;
  Vec slope;
};

DIABOLO_INLINE BoundedLogVariance bounded_log_variance(Vec v) {
  const Vec t = tanh(v * (1.0f / kLogVarianceBound));
  return {kLogVarianceBound * t, fma(-t, t, broadcast(1.0f))};
}

/// KL(N(m, e^s) || N(0, 1)) = (m^2 + e^s - 1 - s) / 2
DIABOLO_INLINE Vec divergence_of(Vec m, Vec s) { return 0.5f * (fma(m, m, expm1(s)) - s); }

/// Up to 16 numbers from or to a place that need not have room for 16.
DIABOLO_INLINE void copy_group(const float* from, Index count, float* to) {
  for (Index i = 0; i < count; ++i) to[i] = from[i];
}

/// One row's means and log-variances, 16 units at a time: zeros beyond the last unit, whose divergence is 0.
struct MomentGroup {
  alignas(64) float mean[kGroup] = {};
  alignas(64) float raw[kGroup] = {};
  Index used;

  MomentGroup(const float* row, Index units, Index first)
      : used(units - first < kGroup ? units - first : kGroup) {
    copy_group(row + first, used, mean);
    copy_group(row + units + first, used, raw);
  }
};

void sample_gaussian(const GaussianSample& g) {
  for (Index r = 0; r < g.z.rows; ++r) {
    float* z = g.z.row(r);
    for_noise(g.noise, r, g.units, [&](Index column, VecU word) { store(z + column, normal_deviate(word)); });
    alignas(64) float lanes[kGroup] = {};
    for (Index first = 0; first < g.units; first += kGroup) {
      const MomentGroup moments(g.moments.row(r), g.units, first);
      for (Index lane = 0; lane < kGroup; lane += kLanes) {
        const Vec m = load(moments.mean + lane);
        const Vec s = bounded_log_variance(load(moments.raw + lane)).s;
        const Vec noise = load(z + first + lane);
        const Vec deviation = exp(0.5f * s) * noise;
        const Vec sample = m + deviation;
        if (g.deviation.data != nullptr) store(g.deviation.row(r) + first + lane, deviation);
        store(z + first + lane, sample);
        const Vec term = g.divergence_kind == Divergence::exact
                             ? divergence_of(m, s)
                             : 0.5f * (fma(sample, sample, -noise * noise) - s);
        const VecI exists = lane_numbers() < static_cast<std::int32_t>(moments.used - lane);
        store(lanes + lane, load(lanes + lane) + select(exists, term, Vec{}));
      }
    }
    g.divergence.row(r)[0] = sum_of_lanes(lanes);
  }
}

void gaussian_gradient(const GaussianGradient& g) {
  for (Index r = 0; r < g.dz.rows; ++r) {
    float* delta = g.delta.row(r);
    const float scale = g.divergence_scale * weight_of_row(g.row_weights, r);
    for (Index first = 0; first < g.units; first += kGroup) {
      const MomentGroup moments(g.moments.row(r), g.units, first);
      alignas(64) float d_mean[kGroup];
      alignas(64) float d_raw[kGroup];
      for (Index lane = 0; lane < kGroup; lane += kLanes) {
        const Vec m = load(moments.mean + lane);
        const BoundedLogVariance v = bounded_log_variance(load(moments.raw + lane));
        const Vec dz = load(g.dz.row(r) + first + lane);
        const Vec factor =
            g.unit_factor == nullptr ? broadcast(scale) : scale * load(g.unit_factor + first + lane);
        const Vec ds = dz * load(g.deviation.row(r) + first + lane) + factor * expm1(v.s);
        store(d_mean + lane, fma(factor, m, dz));
        store(d_raw + lane, 0.5f * ds * v.slope);
      }
      copy_group(d_mean, moments.used, delta + first);
      copy_group(d_raw, moments.used, delta + g.units + first);
    }
  }
}

/// sums (16 from column `first` on) = divergence of each unit times the row's weight, summed over the rows in
/// their order.
void gaussian_divergences(MatrixView<const float> moments, const float* row_weights, Index units, Index first,
                          float* sums) {
  Vec total[kGroup / kLanes] = {};
  Index used = 0;
  for (Index r = 0; r < moments.rows; ++r) {
    const MomentGroup group(moments.row(r), units, first);
    used = group.used;
    for (Index j = 0; j < kGroup / kLanes; ++j) {
      const Vec s = bounded_log_variance(load(group.raw + j * kLanes)).s;
      total[j] += weight_of_row(row_weights, r) * divergence_of(load(group.mean + j * kLanes), s);
    }
  }
  alignas(64) float result[kGroup];
  for (Index j = 0; j < kGroup / kLanes; ++j) store(result + j * kLanes, total[j]);
  copy_group(result, used, sums);
}

/// The standard deviations of codes.
void gaussian_deviations(MatrixView<const float> moments, MatrixView<float> out) {
  for (Index r = 0; r < out.rows; ++r) {
    for (Index first = 0; first < out.cols; first += kGroup) {
      const MomentGroup group(moments.row(r), out.cols, first);
      alignas(64) float deviation[kGroup];
      for (Index lane = 0; lane < kGroup; lane += kLanes) {
        store(deviation + lane, exp(0.5f * bounded_log_variance(load(group.raw + lane)).s));
      }
      copy_group(deviation, group.used, out.row(r) + first);
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
