// Dropout: units set to 0 at random, and the gradient of those that are left.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernels.h"
#include "kernels/noise.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

void drop_out(const DropOut& d) {
  const VecI threshold = broadcast_int(d.threshold);
  const Vec scale = broadcast(d.scale);
  for (Index r = 0; r < d.x.rows; ++r) {
    for_noise(d.noise, r, d.x.cols, [&](Index column, VecU word) {
      const Vec factor = select(noise_bits(word) < threshold, Vec{}, scale);
      store(d.factors.row(r) + column, factor);
      store(d.y.row(r) + column, factor * load(d.x.row(r) + column));
    });
  }
}

/// delta *= factors, then the chain rule through the layer below.
void factor_gradient(const FactorGradient& g) {
  for (Index r = 0; r < g.factors.rows; ++r) {
    float* delta = g.delta.row(r);
    for (Index j = 0; j < g.factors.cols; j += kLanes) {
      store(delta + j, load(delta + j) * load(g.factors.row(r) + j));
    }
  }
  chain_rows({{g.delta.data, g.delta.rows, g.delta.cols, g.delta.stride}, g.below});
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
