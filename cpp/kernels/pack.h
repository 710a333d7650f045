// The copies of weights that products read: panels of the transpose, and both in pairs of bfloat16.
#pragma once

#include "kernels/kernels.h"
#include "kernels/pairs.h"
#include "kernels/tile_fma.h"
#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

using Quad = float __attribute__((vector_size(16)));
using LooseQuad __attribute__((aligned(4), may_alias)) = Quad;
static_assert(alignof(LooseQuad) == 4);

DIABOLO_INLINE Quad load_quad(const float* from) { return *reinterpret_cast<const LooseQuad*>(from); }
DIABOLO_INLINE void store_quad(float* to, Quad q) { *reinterpret_cast<LooseQuad*>(to) = q; }

/// to (4, 4) = from (4, 4)^T
DIABOLO_INLINE void transpose_quads(const float* from, Index from_stride, float* to, Index to_stride) {
  const Quad a = load_quad(from);
  const Quad b = load_quad(from + from_stride);
  const Quad c = load_quad(from + 2 * from_stride);
  const Quad d = load_quad(from + 3 * from_stride);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_quad(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_quad(to + to_stride, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_quad(to + 2 * to_stride, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_quad(to + 3 * to_stride, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

/// Rows [first, first + rows) of `columns` neighbouring columns of W (inputs, outputs) -> their places in the
/// panels of W^T, which are [ceil(inputs / to_width)][outputs][to_width]. `first` is a multiple of 16, so 16
/// rows fall into one panel of W^T.
inline void transpose_rows(const float* from, Index stride, Index first, Index rows, Index column,
                           Index columns, Index outputs, float* to, Index to_width) {
  for (Index k = 0; k < rows; k += 4) {
    const Index row = first + k;
    float* target = to + row / to_width * outputs * to_width + column * to_width + row % to_width;
    const float* source = from + k * stride;
    const bool whole = k + 4 <= rows;
    Index n = 0;
    if (whole) {
      for (; n + 4 <= columns; n += 4) transpose_quads(source + n, stride, target + n * to_width, to_width);
    }
    const Index tall = whole ? 4 : rows - k;
    for (; n < columns; ++n) {
      for (Index i = 0; i < tall; ++i) target[n * to_width + i] = source[i * stride + n];
    }
  }
}

/// At most kUnitRows rows of one panel of a weight, the first a multiple of 16.
struct PanelRows {
  const float* weights;  // (rows, width)
  Index first;
  Index rows;
  Index width;
  Index column;   // of the panel's first
  Index columns;  // how many exist
  Index inputs;   // of the whole weight
  Index outputs;
};

/// Both copies in pairs of one part (pairs.h) of the weights.
template <int part>
void copy_in_pairs(const PanelRows& w, float* forward, float* transposed, Index transposed_width) {
  alignas(64) float neighbours[kUnitRows * kWidestPanel / 2];
  const Index half_width = w.width / 2;
  float* to = forward + (w.column * terms_of(w.inputs, Products::bfloat16) + w.first / 2 * w.width);
  for (Index k = 0; k < w.rows; k += 2) {
    const float* row = w.weights + k * w.width;
    const bool two = k + 1 < w.rows;
    pack_two_rows<part>(row, two ? row + w.width : nullptr, w.width, neighbours + k * half_width,
                        two ? neighbours + (k + 1) * half_width : nullptr, to + k / 2 * w.width);
  }
  if (transposed == nullptr) return;
  transpose_rows(neighbours, half_width, w.first, w.rows, w.column / 2,
                 terms_of(w.columns, Products::bfloat16), terms_of(w.outputs, Products::bfloat16), transposed,
                 transposed_width);
}

/// Brings the copies of some rows up to date.
inline void refresh_copies(const PanelRows& w, const WeightCopies& to) {
  if (to.products == Products::float32) {
    if (to.transposed == nullptr) return;
    return transpose_rows(w.weights, w.width, w.first, w.rows, w.column, w.columns, w.outputs, to.transposed,
                          to.transposed_width);
  }
  copy_in_pairs<0>(w, to.forward, to.transposed, to.transposed_width);
  if (to.products == Products::bfloat16_3x) {
    copy_in_pairs<1>(w, to.forward_low, to.transposed_low, to.transposed_width);
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
