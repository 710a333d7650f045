// Products with a matrix that has only k elements in each row: sums of k rows of a weight, dots with k of
// them, and the gradient of a weight of whose rows or columns only those that were met have one.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Rows whose sums wait for one call of the epilogue.
constexpr Index kSparseTileRows = 4;

/// out (width) = sum over the row's elements, in the order of their columns, of value * panel row.
template <int vectors>
DIABOLO_INLINE void sum_of_rows(const std::int32_t* columns, const float* values, Index k, const float* panel,
                                float* out) {
  Vec sum[vectors] = {};
  for (Index s = 0; s < k; ++s) {
    const Vec value = broadcast(values[s]);
    const float* row = panel + columns[s] * (vectors * kLanes);
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[j] = fma(value, load(row + j * kLanes), sum[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; ++j) store(out + j * kLanes, sum[j]);
}

/// S B for the panels `which` of B; `finish(panel, tile, first_row, rows)` takes each tile. The same bits as
/// the dense product's: its further terms are zeros.
template <class Finish>
DIABOLO_INLINE void multiply_sparse(const SparseRows& s, const Panels& b, Range which, const Finish& finish) {
  with_vectors(b.width, [&](auto vectors) {
    constexpr int count = decltype(vectors)::value;
    alignas(64) float tile[kSparseTileRows * count * kLanes];
    for (Index p = which.begin; p < which.end; ++p) {
      const float* panel = b.data + p * b.inputs * b.width;
      for (Index first = 0; first < s.values.rows; first += kSparseTileRows) {
        const Index rest = s.values.rows - first;
        const Index rows = rest < kSparseTileRows ? rest : kSparseTileRows;
        for (Index i = 0; i < rows; ++i) {
          sum_of_rows<count>(s.columns + (first + i) * s.values.cols, s.values.row(first + i), s.values.cols,
                             panel, tile + i * count * kLanes);
        }
        finish(p, tile, first, rows);
      }
    }
  });
}

/// dots[s] = delta . w[columns[s]] for a few rows of W at once: feature j adds to lane j mod 16, in the order
/// of j, then the fixed tree. What W holds beyond its last column is 0, but delta's padding is not.
template <int rows>
DIABOLO_INLINE void dots_with_rows(const float* delta, const Panels& w, const std::int32_t* columns,
                                   float* dots) {
  constexpr int vectors = static_cast<int>(kGroup / kLanes);
  Vec sum[rows][vectors] = {};
  for (Index p = 0; p < w.count(); ++p) {
    const float* panel = w.data + p * w.inputs * w.width;
    const Index rest = w.outputs - p * w.width;
    const Index used = rest < w.width ? rest : w.width;
    for (Index j = 0; j < used; j += kGroup) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const Index at = j + v * kLanes;
        Vec d = load(delta + p * w.width + at);
        if (at + kLanes > used) d = select(lane_numbers() < static_cast<std::int32_t>(used - at), d, Vec{});
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) {
          sum[i][v] = fma(d, load(panel + columns[i] * w.width + at), sum[i][v]);
        }
      }
    }
  }
  for (int i = 0; i < rows; ++i) {
    alignas(64) float lanes[kGroup];
    for (int v = 0; v < vectors; ++v) store(lanes + v * kLanes, sum[i][v]);
    dots[i] = sum_of_lanes(lanes);
  }
}

void sparse_dots(const SparseDots& g) {
  constexpr Index together = 4;
  const Index k = g.sparse.values.cols;
  for (Index r = 0; r < g.delta.rows; ++r) {
    const std::int32_t* columns = g.sparse.columns + r * k;
    float* dots = g.dots.row(r);
    Index s = 0;
    for (; s + together <= k; s += together) {
      dots_with_rows<together>(g.delta.row(r), g.weights, columns + s, dots + s);
    }
    for (; s < k; ++s) dots_with_rows<1>(g.delta.row(r), g.weights, columns + s, dots + s);
  }
}

/// sum (unit_rows, width) += S^T dense: row u of the weight belongs to column u of S.
template <int vectors>
void add_to_rows(const SparseTerm& term, Index unit_row, Index unit_rows, Index column, float* sum) {
  const SparseColumns& s = term.sparse;
  for (Index i = 0; i < unit_rows; ++i) {
    const Index begin = s.starts[unit_row + i];
    const Index end = s.starts[unit_row + i + 1];
    if (begin == end) continue;
    float* to = sum + i * vectors * kLanes;
    Vec total[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) total[j] = load(to + j * kLanes);
    for (Index e = begin; e < end; ++e) {
      const Vec value = broadcast(s.values[s.places[e]]);
      const float* dense = term.dense.row(s.rows[e]) + column;
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) total[j] = fma(value, load(dense + j * kLanes), total[j]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) store(to + j * kLanes, total[j]);
  }
}

/// sum (unit_rows, width) += dense^T S: column u of the weight belongs to column u of S.
inline void add_to_columns(const SparseTerm& term, Index unit_row, Index unit_rows, Index column, Index width,
                           Index used, float* sum) {
  constexpr int vectors = static_cast<int>(kUnitRows / kLanes);
  const SparseColumns& s = term.sparse;
  for (Index j = 0; j < used; ++j) {
    const Index begin = s.starts[column + j];
    const Index end = s.starts[column + j + 1];
    if (begin == end) continue;
    alignas(64) float total[kUnitRows];
    for (Index i = 0; i < unit_rows; ++i) total[i] = sum[i * width + j];
    for (Index i = unit_rows; i < kUnitRows; ++i) total[i] = 0.0f;
    Vec part[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) part[v] = load(total + v * kLanes);
    for (Index e = begin; e < end; ++e) {
      const Vec value = broadcast(s.values[s.places[e]]);
      const float* dense = term.dense.row(s.rows[e]) + unit_row;
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) part[v] = fma(value, load(dense + v * kLanes), part[v]);
    }
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) store(total + v * kLanes, part[v]);
    for (Index i = 0; i < unit_rows; ++i) sum[i * width + j] = total[i];
  }
}

/// sum (unit_rows, width) += the sparse terms, rows of the batch in their order.
inline void add_sparse_products(const DenseWeightGradient& g, Index unit_rows, Index used, float* sum) {
  const Index column = g.panel * g.width;
  for (int t = 0; t < g.sparse_count; ++t) {
    const SparseTerm& term = g.sparse_terms[t];
    if (term.side == SparseSide::columns) {
      add_to_columns(term, g.unit_row, unit_rows, column, g.width, used, sum);
    } else {
      with_vectors(g.width, [&](auto vectors) {
        add_to_rows<decltype(vectors)::value>(term, g.unit_row, unit_rows, column, sum);
      });
    }
  }
}

/// Whether unit `u` of the code was met.
inline bool is_touched(const TouchedUnits& touched, Index u) {
  for (int t = 0; t < touched.count; ++t) {
    const std::int32_t* starts = touched.terms[t].sparse.starts;
    if (starts[u] != starts[u + 1]) return true;
  }
  return touched.count == 0;
}

/// A mask of those of `used` columns that were met, the first being unit `first`. False: none was.
inline bool touched_columns(const TouchedUnits& touched, Index first, Index used, std::int32_t* mask) {
  bool any_touched = false;
  for (Index j = 0; j < used; ++j) {
    mask[j] = is_touched(touched, first + j) ? -1 : 0;
    any_touched = any_touched || mask[j] != 0;
  }
  return any_touched;
}

/// Where a unit of the weights phase stands in its weight.
struct UnitPlace {
  Index row;
  Index rows;
  Index column;
  Index width;
  Index used;
};

/// The update of those rows or columns alone that were met; the others' moments stay as they are. `piece` and
/// `gradient` are the whole unit's.
inline bool apply_rule_where_touched(const TouchedUnits& touched, const UpdateRule& rule,
                                     const UnitPlace& unit, const Piece& piece, const float* gradient) {
  const auto row_of = [&](Index i) {
    const Index at = i * unit.width;
    return Piece{piece.weights + at, piece.first_moment + at, piece.second_moment + at, unit.width};
  };
  if (touched.terms[0].side == SparseSide::rows) {
    bool finite = true;
    for (Index i = 0; i < unit.rows; ++i) {
      if (!is_touched(touched, unit.row + i)) continue;
      finite &= apply_rule(rule, row_of(i), gradient + i * unit.width, false);
    }
    return finite;
  }
  // Columns lie in between each other: the tile is updated as a whole, and the others get back what they had.
  alignas(64) std::int32_t mask_of[kWidestPanel] = {};
  if (!touched_columns(touched, unit.column, unit.used, mask_of)) return true;
  alignas(64) float before[3][kWidestPanel];
  bool finite = true;
  for (Index i = 0; i < unit.rows; ++i) {
    const Piece row = row_of(i);
    float* const arrays[3] = {row.weights, row.first_moment, row.second_moment};
    for (int a = 0; a < 3; ++a) {
      for (Index j = 0; j < unit.width; j += kLanes) store(before[a] + j, load(arrays[a] + j));
    }
    finite &= apply_rule(rule, row, gradient + i * unit.width, false);
    for (int a = 0; a < 3; ++a) {
      for (Index j = 0; j < unit.width; j += kLanes) {
        store(arrays[a] + j, select(load_int(mask_of + j), load(arrays[a] + j), load(before[a] + j)));
      }
    }
  }
  return finite;
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
