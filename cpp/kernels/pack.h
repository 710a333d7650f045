// Moving weights between the two panel layouts. Nothing is computed here.
#pragma once

#include "kernels/kernels.h"
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

/// Rows [first, first + rows) of one panel of W (inputs, outputs) -> their places in the panels of W^T, which
/// are [ceil(inputs / to_width)][outputs][to_width]. `first` is a multiple of 16, so 16 rows fall into one
/// panel of W^T.
inline void transpose_rows(const float* panel, Index first, Index rows, Index width, Index column,
                           Index outputs, float* to, Index to_width) {
  const Index columns = outputs - column < width ? outputs - column : width;
  for (Index k = first; k < first + rows; k += 4) {
    float* target = to + k / to_width * outputs * to_width + column * to_width + k % to_width;
    const float* source = panel + k * width;
    const bool whole = k + 4 <= first + rows;
    Index n = 0;
    if (whole) {
      for (; n + 4 <= columns; n += 4) transpose_quads(source + n, width, target + n * to_width, to_width);
    }
    const Index tall = whole ? 4 : first + rows - k;
    for (; n < columns; ++n) {
      for (Index i = 0; i < tall; ++i) target[n * to_width + i] = source[i * width + n];
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
