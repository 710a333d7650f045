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

/// Calls `work` with the kind of product, FloatProduct or PairProduct.
template <class Work>
DIABOLO_INLINE void with_products(Products products, const Work& work) {
  if (products == Products::float32) return work(FloatProduct{});
  work(PairProduct{});
}

/// Rows of the left factor, and of its low part if it is split in two.
struct LeftFactor {
  MatrixView<const float> rows;
  MatrixView<const float> low;
};

/// One panel of the right factor, likewise.
struct RightFactor {
  const float* panel;
  const float* low;
  Index count;  // terms of the sum
};

/// All rows of one panel, tile by tile; `finish(tile, first_row, rows)` takes each.
template <class Product, int rows, int vectors, class Finish>
DIABOLO_INLINE Index tiles_of_height(const LeftFactor& a, Index from, const RightFactor& b, float* tile,
                                     const Finish& finish) {
  for (; from + rows <= a.rows.rows; from += rows) {
    multiply_rows<Product, rows, vectors>(a.rows.row(from), a.rows.stride, b.panel, b.count, false, tile);
    if (b.low != nullptr) {
      multiply_rows<Product, rows, vectors>(a.rows.row(from), a.rows.stride, b.low, b.count, true, tile);
      multiply_rows<Product, rows, vectors>(a.low.row(from), a.low.stride, b.panel, b.count, true, tile);
    }
    finish(tile, from, static_cast<Index>(rows));
  }
  return from;
}

template <class Product, int vectors, class Finish>
DIABOLO_INLINE void multiply_panel(const LeftFactor& a, const RightFactor& b, const Finish& finish) {
  alignas(64) float tile[kTallestTile * vectors * kLanes];
  constexpr int tall = tile_rows<vectors>();
  Index from = tiles_of_height<Product, tall, vectors>(a, 0, b, tile, finish);
  if constexpr (tall > 4) from = tiles_of_height<Product, 4, vectors>(a, from, b, tile, finish);
  if constexpr (tall > 2) from = tiles_of_height<Product, 2, vectors>(a, from, b, tile, finish);
  tiles_of_height<Product, 1, vectors>(a, from, b, tile, finish);
}

/// A B for the panels `which` of B; `finish(panel, tile, first_row, rows)` takes each tile.
template <class Finish>
DIABOLO_INLINE void multiply_panels(Products products, const LeftFactor& a, const Panels& b, Range which,
                                    const Finish& finish) {
  with_products(products, [&](auto product) {
    with_vectors(b.width, [&](auto vectors) {
      for (Index p = which.begin; p < which.end; ++p) {
        const Index offset = p * b.inputs * b.width;
        const RightFactor panel{b.data + offset, b.low == nullptr ? nullptr : b.low + offset, b.inputs};
        multiply_panel<decltype(product), decltype(vectors)::value>(
            a, panel, [&](const float* tile, Index first, Index rows) { finish(p, tile, first, rows); });
      }
    });
  });
}

/// One unit of a weight gradient for one block of rows:  out (unit_rows, width) = a^T b.
template <class Product, int vectors>
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
      multiply_columns<Product, tall, vectors>(a_rows + k, a_stride, b_rows, b_stride, count, begun,
                                               out + k * width);
    }
    // The last, lower tiles may compute a few rows too many, from padding; nobody reads them.
    for (; k < unit_rows; k += low) {
      multiply_columns<Product, low, vectors>(a_rows + k, a_stride, b_rows, b_stride, count, begun,
                                              out + k * width);
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
