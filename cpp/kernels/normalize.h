// Batch normalisation: moments of units over the rows of a batch, outputs, and gradients.
#pragma once

#include "kernels/activations.h"
#include "kernels/epilogue.h"
#include "kernels/kernels.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// sums (16) = sums of term(row, column) over the rows, in their order within blocks of rows, and the blocks
/// in theirs.
template <class Term>
DIABOLO_INLINE void sums_over_rows(Index rows, Index column, float* sums, const Term& term) {
  Vec total[kGroup / kLanes] = {};
  for (Index block = 0; block < rows; block += kRowBlock) {
    const Index end = block + kRowBlock < rows ? block + kRowBlock : rows;
    Vec of_block[kGroup / kLanes] = {};
    for (Index r = block; r < end; ++r) {
      for (Index v = 0; v < kGroup / kLanes; ++v) of_block[v] += term(r, column + v * kLanes, v * kLanes);
    }
    for (Index v = 0; v < kGroup / kLanes; ++v) total[v] += of_block[v];
  }
  for (Index v = 0; v < kGroup / kLanes; ++v) store(sums + v * kLanes, total[v]);
}

void column_moments(const ColumnMoments& m) {
  const float share = 1.0f / static_cast<float>(m.x.rows);
  for (Index column = m.columns.begin; column < m.columns.end; column += kGroup) {
    float* mean = m.mean + column;
    float* variance = m.variance + column;
    sums_over_rows(m.x.rows, column, mean, [&](Index r, Index c, Index) {
      return weight_of_row(m.row_weights, r) * load(m.x.row(r) + c);
    });
    for (Index lane = 0; lane < kGroup; lane += kLanes) store(mean + lane, load(mean + lane) * share);
    sums_over_rows(m.x.rows, column, variance, [&](Index r, Index c, Index lane) {
      const Vec d = load(m.x.row(r) + c) - load(mean + lane);
      return weight_of_row(m.row_weights, r) * d * d;
    });
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      store(variance + lane, load(variance + lane) * share);
    }
  }
}

DIABOLO_INLINE Vec inverse_deviation(const Normalization& n, Index column) {
  return 1.0f / sqrt(load(n.variance + column) + n.epsilon);
}

void normalize(const Normalize& f) {
  with_activation(f.activation, [&](auto activation) {
    for (Index j = 0; j < f.x.cols; j += kLanes) {
      const Vec mean = load(f.by.mean + j);
      const Vec inverse = inverse_deviation(f.by, j);
      const Vec scale = load(f.by.scale + j);
      const Vec shift = load(f.shift + j);
      const Vec slope = f.slope == nullptr ? Vec{} : load(f.slope + j);
      for (Index r = 0; r < f.x.rows; ++r) {
        const Vec z = fma(scale, (load(f.x.row(r) + j) - mean) * inverse, shift);
        if (f.preactivation.data != nullptr) store(f.preactivation.row(r) + j, z);
        store(f.y.row(r) + j, decltype(activation)::value(z, slope));
      }
    }
  });
}

void scale_terms(const ScaleTerms& s) {
  for (Index j = 0; j < s.x.cols; j += kLanes) {
    const Vec mean = load(s.by.mean + j);
    const Vec inverse = inverse_deviation(s.by, j);
    for (Index r = 0; r < s.x.rows; ++r) {
      store(s.terms.row(r) + j, load(s.delta.row(r) + j) * ((load(s.x.row(r) + j) - mean) * inverse));
    }
  }
}

void column_totals(MatrixView<const float> x, Range columns, float* sums) {
  for (Index column = columns.begin; column < columns.end; column += kGroup) {
    sums_over_rows(x.rows, column, sums + column,
                   [&](Index r, Index c, Index) { return load(x.row(r) + c); });
  }
}

void normalize_gradient(const NormalizeGradient& g) {
  for (Index j = 0; j < g.x.cols; j += kLanes) {
    const Vec mean = load(g.by.mean + j);
    const Vec inverse = inverse_deviation(g.by, j);
    const Vec factor = load(g.by.scale + j) * inverse;
    const Vec of_mean = g.delta_sums == nullptr ? Vec{} : load(g.delta_sums + j);
    const Vec of_variance = g.term_sums == nullptr ? Vec{} : load(g.term_sums + j);
    for (Index r = 0; r < g.x.rows; ++r) {
      const Vec normalized = (load(g.x.row(r) + j) - mean) * inverse;
      const Vec common = (g.share * weight_of_row(g.row_weights, r)) * fma(normalized, of_variance, of_mean);
      store(g.gradient.row(r) + j, factor * (load(g.delta.row(r) + j) - common));
    }
  }
  if (g.below.activation == Activation::identity) return;
  chain_rows({{g.gradient.data, g.gradient.rows, g.gradient.cols, g.gradient.stride}, g.below});
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
