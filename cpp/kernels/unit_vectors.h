// Vectors of a weight that are kept at norm 1: the part of their gradients along them, and their norms.
#pragma once

#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/sparse.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Calls `use(piece, rows, used, panel)` for the pieces of a strip that one panel has each: rows by width
/// floats that begin at `piece` of the weight's.
template <class Use>
DIABOLO_INLINE void for_each_piece(const VectorStrip& s, const Use& use) {
  const Index panels = (s.outputs + s.width - 1) / s.width;
  const bool is_rows = s.vectors == UnitVectors::rows;
  for (Index panel = is_rows ? 0 : s.first; panel < (is_rows ? panels : s.first + 1); ++panel) {
    const Index rest = s.outputs - panel * s.width;
    const Index used = rest < s.width ? rest : s.width;
    for (Index row = is_rows ? s.first : 0; row < (is_rows ? s.first + 1 : s.inputs); row += kUnitRows) {
      const Index rows = s.inputs - row < kUnitRows ? s.inputs - row : kUnitRows;
      use((panel * s.inputs + row) * s.width, UnitPlace{row, rows, panel * s.width, s.width, used});
    }
  }
}

/// a . b along row `row` of two weights. What panels hold beyond the last column is 0.
inline float dot_of_row(const VectorStrip& s, Index row, const float* a, const float* b) {
  constexpr Index vectors = kGroup / kLanes;
  Vec sum[vectors] = {};
  for (Index at = row * s.width; at < (s.outputs + s.width - 1) / s.width * s.inputs * s.width;
       at += s.inputs * s.width) {
    for (Index j = 0; j < s.width; j += kGroup) {
#pragma GCC unroll 4
      for (Index v = 0; v < vectors; ++v) {
        sum[v] = fma(load(a + at + j + v * kLanes), load(b + at + j + v * kLanes), sum[v]);
      }
    }
  }
  alignas(64) float lanes[kGroup];
  for (Index v = 0; v < vectors; ++v) store(lanes + v * kLanes, sum[v]);
  return sum_of_lanes(lanes);
}

/// dots (width) = a . b along the columns of panel `panel` of two weights.
inline void dots_of_columns(const VectorStrip& s, const float* a, const float* b, float* dots) {
  for (Index j = 0; j < s.width; j += kLanes) {
    Vec sum{};
    const Index first = s.first * s.inputs * s.width + j;
    for (Index at = first; at < first + s.inputs * s.width; at += s.width) {
      sum = fma(load(a + at), load(b + at), sum);
    }
    store(dots + j, sum);
  }
}

/// A number for each vector of a strip, by its row or column there.
struct OfVectors {
  static constexpr Index kMost = kUnitRows > kWidestPanel ? kUnitRows : kWidestPanel;
  alignas(64) float value[kMost] = {};
};

/// a . u for each vector u, a lying as the weights do; 0 for those that were not touched.
inline OfVectors dots_with(const VectorStrip& s, const float* a) {
  OfVectors dots;
  if (s.vectors == UnitVectors::columns) {
    dots_of_columns(s, a, s.weights, dots.value);
    for (Index j = 0; j < s.width; ++j) {
      const Index column = s.first * s.width + j;
      if (column >= s.outputs || !is_touched(s.touched, column)) dots.value[j] = 0.0f;
    }
    return dots;
  }
  const Index rows = s.inputs - s.first < kUnitRows ? s.inputs - s.first : kUnitRows;
  for (Index i = 0; i < rows; ++i) {
    if (is_touched(s.touched, s.first + i)) dots.value[i] = dot_of_row(s, s.first + i, a, s.weights);
  }
  return dots;
}

/// to = change(to, weight, value of the vector) for each element of a piece.
template <class Change>
DIABOLO_INLINE void change_piece(const VectorStrip& s, const OfVectors& of, Index piece, Index rows,
                                 float* to, const Change& change) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < s.width; j += kLanes) {
      const Vec value = s.vectors == UnitVectors::rows ? broadcast(of.value[i]) : load(of.value + j);
      float* at = to + piece + i * s.width + j;
      store(at, change(load(at), load(s.weights + piece + i * s.width + j), value));
    }
  }
}

void remove_parallel(const VectorStrip& s) {
  const OfVectors squares = dots_with(s, s.weights);
  OfVectors share = dots_with(s, s.gradient);
  for (Index i = 0; i < OfVectors::kMost; ++i) {
    share.value[i] = squares.value[i] > 0.0f ? share.value[i] / squares.value[i] : 0.0f;
  }
  const Index sums_stride = (s.outputs + kGroup - 1) / kGroup;
  for_each_piece(s, [&](Index piece, const UnitPlace& unit) {
    change_piece(s, share, piece, unit.rows, s.gradient,
                 [](Vec gradient, Vec weight, Vec part) { return fma(-part, weight, gradient); });
    if (s.square_sums == nullptr) return;
    const Index first_sum = unit.row / kGroup * sums_stride + unit.column / kGroup;
    sum_blocks(s.gradient + piece, unit.rows, s.width, unit.used, s.square_sums + first_sum, sums_stride,
               [](Vec x) { return x * x; });
  });
}

bool normalize_vectors(const VectorStrip& s) {
  OfVectors norms = dots_with(s, s.weights);
  VecI finite = broadcast_int(-1);
  for (Index i = 0; i < OfVectors::kMost; i += kLanes) {
    const Vec squares = load(norms.value + i);
    finite &= squares - squares == 0.0f;
    store(norms.value + i, sqrt(select(squares > 0.0f, squares, broadcast(1.0f))));
  }
  for_each_piece(s, [&](Index piece, const UnitPlace& unit) {
    change_piece(s, norms, piece, unit.rows, s.weights,
                 [](Vec weight, Vec, Vec norm) { return weight / norm; });
    refresh_copies(
        {s.weights + piece, unit.row, unit.rows, s.width, unit.column, unit.used, s.inputs, s.outputs},
        s.copies);
  });
  return !any(~finite);
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
