// Products with rows of which only the stored elements are written down. Every sum has the order of the dense
// product, whose other terms are 0: so the results are those of the dense rows.
#pragma once

#include "kernels/gemm.h"
#include "kernels/kernels.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// The place of row `row`'s first element in `column` or beyond. `hint` is any place; if it lies before that
/// one, reading begins there. Rows that are read from left to right piece by piece so cost a step a piece.
DIABOLO_INLINE std::int32_t first_from(const SparseView& m, Index row, Index column, std::int32_t hint) {
  const std::int32_t* columns = m.columns + row * m.stride;
  const std::int32_t count = m.counts[row];
  std::int32_t k = hint > 0 && hint <= count && columns[hint - 1] < column ? hint : 0;
  while (k < count && columns[k] < column) ++k;
  return k;
}

/// Calls `use(place, column)` for row `row`'s elements in [columns.begin, columns.end); moves the hint on.
template <class Use>
DIABOLO_INLINE void for_stored(const SparseView& m, Index row, Range columns, std::int32_t& hint,
                               const Use& use) {
  const std::int32_t* own = m.columns + row * m.stride;
  const std::int32_t count = m.counts[row];
  std::int32_t k = first_from(m, row, columns.begin, hint);
  for (; k < count && own[k] < columns.end; ++k) use(row * m.stride + k, static_cast<Index>(own[k]));
  hint = k;
}

/// tile (vectors * lanes) = one row times a panel (inputs, width).
template <int vectors>
DIABOLO_INLINE void multiply_stored(const float* values, const std::int32_t* columns, std::int32_t count,
                                    const float* panel, float* tile) {
  Vec sum[vectors] = {};
  for (std::int32_t k = 0; k < count; ++k) {
    const Vec x = broadcast(values[k]);
    const float* w = panel + static_cast<Index>(columns[k]) * vectors * kLanes;
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[j] = fma(x, load(w + j * kLanes), sum[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; ++j) store(tile + j * kLanes, sum[j]);
}

/// As multiply_panels (gemm.h), of stored rows.
template <class Finish>
DIABOLO_INLINE void multiply_stored_panels(const SparseView& a, const Panels& b, Range which,
                                           const Finish& finish) {
  with_vectors(b.width, [&](auto vectors) {
    constexpr int n = decltype(vectors)::value;
    alignas(64) float tile[kTallestTile * n * kLanes];
    for (Index p = which.begin; p < which.end; ++p) {
      const float* panel = b.data + p * b.inputs * b.width;
      for (Index first = 0; first < a.rows; first += kTallestTile) {
        const Index rows = a.rows - first < kTallestTile ? a.rows - first : kTallestTile;
        for (Index i = 0; i < rows; ++i) {
          const Index at = (first + i) * a.stride;
          multiply_stored<n>(a.values + at, a.columns + at, a.counts[first + i], panel,
                             tile + i * n * kLanes);
        }
        finish(p, tile, first, rows);
      }
    }
  });
}

/// As multiply_unit (gemm.h), of the stored rows [first, first + block_rows):  out (unit_rows, width) = a^T b
template <int vectors>
void multiply_stored_unit(const SparseView& a, Index first, const float* b, Index b_stride, Index block_rows,
                          Index unit_row, Index unit_rows, std::int32_t* hints, float* out) {
  constexpr Index width = vectors * kLanes;
  for (Index i = 0; i < unit_rows * width; i += kLanes) store(out + i, Vec{});
  for (Index r = 0; r < block_rows; ++r) {
    const float* y = b + r * b_stride;
    for_stored(a, first + r, {unit_row, unit_row + unit_rows}, hints[first + r], [&](Index at, Index column) {
      const Vec x = broadcast(a.values[at]);
      float* sum = out + (column - unit_row) * width;
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) {
        store(sum + j * kLanes, fma(x, load(y + j * kLanes), load(sum + j * kLanes)));
      }
    });
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
