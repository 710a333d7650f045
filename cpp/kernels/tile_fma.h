// Register tiles: a few rows by a few vectors of a product, accumulated in k order with one accumulator per
// element. No blocking, no epilogue: a finished tile is left in a small buffer that the first-level cache
// holds.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr Index kPanelWidths[] = {16, 32, 48, 64};
#else
// Wider panels would leave too few registers for rows, or (NEON) gain nothing.
constexpr Index kPanelWidths[] = {16};
#endif
constexpr int kPanelWidthCount = sizeof(kPanelWidths) / sizeof(kPanelWidths[0]);
constexpr Index kWidestPanel = kPanelWidths[kPanelWidthCount - 1];
constexpr Index kTallestTile = 16;
// A unit's sums; multiply_unit may write up to 3 rows past the unit's last.
constexpr Index kUnitBuffer = (kUnitRows + 4) * kWidestPanel;

/// Rows of the batch that a weight gradient's tiles take before the next tile has its turn. Panels of 16 read
/// a line of either operand for every row: 64 rows of both stay in a first-level cache of 32 KB from tile to
/// tile (on Zen 4, AVX2: 87 GFLOP/s instead of 59 for 784 x 256 x 512). Wide panels never fit, and stream.
#if defined(__AVX512F__)
constexpr Index kTileDepth = kRowBlock;
#else
constexpr Index kTileDepth = 64;
#endif

/// Rows of a tile that is `vectors` registers wide: as many accumulators as leave room for the operands.
/// AVX-512 has 32 registers, AVX2 and SSE have 16, NEON 32. Each height divides kUnitRows.
template <int vectors>
constexpr int tile_rows() {
#if defined(__AVX512F__)
  return vectors <= 2 ? 12 : vectors == 3 ? 8 : 6;
#elif defined(__AVX2__)
  return 6;
#elif defined(__aarch64__)
  return 6;
#else
  return 2;
#endif
}

/// What one step of a sum adds: the product of two floats, or the two products of two pairs of bfloat16.
struct FloatProduct {
  static DIABOLO_INLINE Vec add(Vec x, Vec y, Vec sum) { return fma(x, y, sum); }
};
struct PairProduct {
  static DIABOLO_INLINE Vec add(Vec x, Vec y, Vec sum) { return add_pair_products(x, y, sum); }
};

/// tile (rows, width): element (i, j) is the sum over k < count of a[i * row_stride + k * step] b[k *
/// b_stride + j], added to what the tile holds if the sum has `begun`.
template <class Product, int rows, int vectors>
DIABOLO_INLINE void multiply(const float* a, Index row_stride, Index step, const float* b, Index b_stride,
                             Index count, bool begun, float* tile) {
  Vec sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[i][j] = begun ? load(tile + (i * vectors + j) * kLanes) : Vec{};
  }
  for (Index k = 0; k < count; ++k) {
    Vec y[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) y[j] = load(b + k * b_stride + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const Vec x = broadcast(a[i * row_stride + k * step]);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sum[i][j] = Product::add(x, y[j], sum[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) store(tile + (i * vectors + j) * kLanes, sum[i][j]);
  }
}

/// tile = A B:  A is `rows` rows of `count` terms, B a panel (count, width). Added to the tile if it has
/// `begun`.
template <class Product, int rows, int vectors>
void multiply_rows(const float* a, Index a_stride, const float* panel, Index count, bool begun, float* tile) {
  multiply<Product, rows, vectors>(a, a_stride, 1, panel, vectors * kLanes, count, begun, tile);
}

/// tile = A^T B over `count` rows:  A and B are row-major, the tile's rows are columns of A.
template <class Product, int rows, int vectors>
void multiply_columns(const float* a, Index a_stride, const float* b, Index b_stride, Index count, bool begun,
                      float* tile) {
  multiply<Product, rows, vectors>(a, 1, a_stride, b, b_stride, count, begun, tile);
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
