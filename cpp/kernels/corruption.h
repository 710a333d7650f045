// Corruption of rows by noise, and the weights of their elements in the loss.
#pragma once

#include "kernels/kernels.h"
#include "kernels/noise.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// What was not observed stays 0, whatever the noise; its weight stays 0 as well.
DIABOLO_INLINE Vec where_observed(const Corrupt& c, Index row, Index column, Vec noisy) {
  if (c.observed.data == nullptr) return noisy;
  return select(load(c.observed.row(row) + column) == Vec{}, Vec{}, noisy);
}

void add_gaussian_noise(const Corrupt& c, Index row) {
  const Vec scale = broadcast(c.scale);
  for_noise(c.noise, row, c.x.cols, [&](Index column, VecU word) {
    const Vec noisy = fma(scale, normal_deviate(word), load(c.x.row(row) + column));
    store(c.y.row(row) + column, where_observed(c, row, column, noisy));
  });
}

void replace_elements(const Corrupt& c, Index row) {
  const VecI threshold = broadcast_int(c.threshold);
  const bool salt = c.kind == CorruptionKind::salt_and_pepper;
  for_noise(c.noise, row, c.x.cols, [&](Index column, VecU word) {
    const VecI corrupted = noise_bits(word) < threshold;
    const Vec bit = __builtin_convertvector((VecI)(word & 1), Vec);
    const Vec noisy = select(corrupted, salt ? bit : Vec{}, load(c.x.row(row) + column));
    store(c.y.row(row) + column, where_observed(c, row, column, noisy));
    if (c.weights.data != nullptr) {
      const Vec before = c.observed.data == nullptr ? broadcast(1.0f) : load(c.observed.row(row) + column);
      store(c.weights.row(row) + column,
            before * select(corrupted, broadcast(c.corrupted_weight), broadcast(c.clean_weight)));
    }
  });
}

void corrupt(const Corrupt& c) {
  for (Index row = 0; row < c.x.rows; ++row) {
    if (c.kind == CorruptionKind::gaussian) {
      add_gaussian_noise(c, row);
    } else {
      replace_elements(c, row);
    }
  }
}

void mask_stored(const MaskStored& m) {
  const VecI threshold = broadcast_int(m.threshold);
  for (Index row = 0; row < m.x.rows; ++row) {
    const Index begin = row * m.x.stride;
    for (Index k = begin; k < begin + m.x.counts[row]; k += kLanes) {
      const VecI column = load_int(m.x.columns + k);
      const VecI masked = noise_bits(noise_at(m.noise, row, m.x.cols, column)) < threshold;
      store(m.y + k, select(masked, Vec{}, load(m.x.values + k)));
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
