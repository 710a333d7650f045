// The blocking loops around a register tile, for the three products of a dense layer:
//   forward         Y = X W            panels outermost, so that a panel is read once and stays in cache
//   input gradient  G = D W^T          the same loop over the panels of W^T
//   weight gradient W' = X^T D         one unit of 48 rows by one panel, in blocks of 256 rows of the batch
// What becomes of a tile is the business of epilogue.h and update_rules.h.
#pragma once

#include "kernels/kernels.h"
#include "kernels/tile_fma.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Calls `work` with the number of vectors in a panel of `width` as a compile-time constant.
template <int vectors>
struct Vectors {
  static constexpr int value = vectors;
};

template <class Work>
DIABOLO_INLINE void with_vectors(Index width, const Work& work) {
  constexpr int group = static_cast<int>(kGroup / kLanes);
  switch (width) {
#if defined(__AVX512F__)
    case 64: return work(Vectors<4 * group>{});
    case 48: return work(Vectors<3 * group>{});
    case 32: return work(Vectors<2 * group>{});
#endif
    default: return work(Vectors<group>{});
  }
}

/// All rows of one panel, tile by tile; `finish(tile, first_row, rows)` takes each.
template <int rows, int vectors, class Finish>
DIABOLO_INLINE Index tiles_of_height(MatrixView<const float> a, Index from, const float* panel, Index count,
                                     float* tile, const Finish& finish) {
  for (; from + rows <= a.rows; from += rows) {
    multiply_rows<rows, vectors>(a.row(from), a.stride, panel, count, tile);
    finish(tile, from, static_cast<Index>(rows));
  }
  return from;
}

template <int vectors, class Finish>
DIABOLO_INLINE void multiply_panel(MatrixView<const float> a, const float* panel, Index count,
                                   const Finish& finish) {
  alignas(64) float tile[kTallestTile * vectors * kLanes];
  constexpr int tall = tile_rows<vectors>();
  Index from = tiles_of_height<tall, vectors>(a, 0, panel, count, tile, finish);
  if constexpr (tall > 4) from = tiles_of_height<4, vectors>(a, from, panel, count, tile, finish);
  if constexpr (tall > 2) from = tiles_of_height<2, vectors>(a, from, panel, count, tile, finish);
  tiles_of_height<1, vectors>(a, from, panel, count, tile, finish);
}

/// A B for the panels `which` of B; `finish(panel, tile, first_row, rows)` takes each tile.
template <class Finish>
DIABOLO_INLINE void multiply_panels(MatrixView<const float> a, const Panels& b, Range which,
                                    const Finish& finish) {
  with_vectors(b.width, [&](auto vectors) {
    for (Index p = which.begin; p < which.end; ++p) {
      multiply_panel<decltype(vectors)::value>(
          a, b.data + p * b.inputs * b.width, b.inputs,
          [&](const float* tile, Index first, Index rows) { finish(p, tile, first, rows); });
    }
  });
}

/// One unit of a weight gradient for one block of rows:  out (unit_rows, width) = a^T b.
template <int vectors>
void multiply_unit(const float* a, Index a_stride, const float* b, Index b_stride, Index block_rows,
                   Index unit_rows, float* out) {
  constexpr int tall = tile_rows<vectors>();
  constexpr int low = tall > 4 ? 4 : tall;
  constexpr Index width = vectors * kLanes;
  for (Index first = 0; first < block_rows; first += kTileDepth) {
    const Index count = block_rows - first < kTileDepth ? block_rows - first : kTileDepth;
    const float* a_rows = a + first * a_stride;
    const float* b_rows = b + first * b_stride;
    const bool begun = first > 0;
    Index k = 0;
    for (; k + tall <= unit_rows; k += tall) {
      multiply_columns<tall, vectors>(a_rows + k, a_stride, b_rows, b_stride, count, begun, out + k * width);
    }
    // The last, lower tiles may compute a few rows too many, from padding; nobody reads them.
    for (; k < unit_rows; k += low) {
      multiply_columns<low, vectors>(a_rows + k, a_stride, b_rows, b_stride, count, begun, out + k * width);
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
