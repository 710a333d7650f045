// States of stochastic binary units, and differences of states, of which contrastive divergence is made.
#pragma once

#include "kernels/kernels.h"
#include "kernels/noise.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// A number below 2^24 and a probability times 2^24 are both exact: 0 is never drawn, and 1 always.
void sample_bernoulli(const BernoulliSample& s) {
  for (Index row = 0; row < s.p.rows; ++row) {
    for_noise(s.noise, row, s.p.cols, [&](Index column, VecU word) {
      const Vec drawn = __builtin_convertvector(noise_bits(word), Vec);
      const Vec p = load(s.p.row(row) + column);
      store(s.y.row(row) + column, select(drawn < p * 0x1p24f, broadcast(1.0f), Vec{}));
    });
  }
}

void scaled_difference(const ScaledDifference& d) {
  for (Index row = 0; row < d.out.rows; ++row) {
    const Vec scale = broadcast(d.scale * weight_of_row(d.row_weights, row));
    for (Index j = 0; j < d.out.cols; j += kLanes) {
      store(d.out.row(row) + j, scale * (load(d.a.row(row) + j) - load(d.b.row(row) + j)));
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
