// Products of pairs of bfloat16 on a tile unit, two by two tiles of sums at a time: the blocking loops of
// gemm.h for a unit whose tiles have 16 rows of 16 pairs. A pair stands in a float's place, so
//   a right factor   16 rows of a panel, or of a delta with pairs along its rows, by 16 columns are a tile
//   a left factor    16 rows by 16 columns of an input with pairs along its columns are a tile
// as they lie; the left factor of a weight gradient was turned when its pairs were made (PackPairs). What
// becomes of finished tiles is the business of the instruction set beneath.
#pragma once

#include "kernels/kernels.h"
#include "kernels/tile_shapes.h"
#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

constexpr Index kTile = 16;          // rows of a tile, and 32-bit lanes of a row
constexpr Index kBlock = 2 * kTile;  // rows and columns of a block of sums
constexpr Index kMostColumns = 64;   // of a panel
static_assert(kTile == kTileRows && kTile == kTileLanes && kUnitRows % kTile == 0);

/// Tiles 0 to 3 are sums, row by row; 4 and 5 left factors, 6 and 7 right ones. A unit of fewer rows than a
/// tile has takes them into the shape, so that nothing is read past them.
inline TileShapes shapes_for(Index rows) {
  TileShapes shapes;
  shapes.palette = 1;
  for (int tile = 0; tile < kTiles; ++tile) {
    shapes.row_bytes[tile] = 4 * kTileLanes;
    shapes.rows[tile] = static_cast<std::uint8_t>(tile < 6 ? rows : kTile);
  }
  return shapes;
}

/// The tiles of one factor that a block meets: one or two begin at `first`, their rows `stride` floats apart,
/// and `step` floats on along the sum are the next ones.
struct TileRun {
  const float* first[2];
  Index stride;
  Index step;
};

template <int value_>
struct Count {
  static constexpr int value = value_;
};

/// Calls `work` with the numbers of tiles in a block's height and width, 1 or 2 each, as constants.
template <class Work>
DIABOLO_INLINE void with_block(Index rows, Index columns, const Work& work) {
  if (rows > 1) return columns > 1 ? work(Count<2>{}, Count<2>{}) : work(Count<2>{}, Count<1>{});
  columns > 1 ? work(Count<1>{}, Count<2>{}) : work(Count<1>{}, Count<1>{});
}

/// A block of sums in the unit's tiles.
template <class Unit, int rows, int columns>
struct Block {
  static DIABOLO_INLINE void clear() {
    Unit::template zero<0>();
    if constexpr (columns == 2) Unit::template zero<1>();
    if constexpr (rows == 2) Unit::template zero<2>();
    if constexpr (rows == 2 && columns == 2) Unit::template zero<3>();
  }

  /// Adds the products of `count` tiles of either factor. A tile is loaded just before it is needed first, so
  /// that products begin before the last of four has come. (Not inlined: this is where the time goes, and
  /// alone it has all general registers.)
  __attribute__((noinline)) static void add(const TileRun& left, const TileRun& right, Index count) {
    const float* a0 = left.first[0];
    const float* a1 = left.first[1];
    const float* b0 = right.first[0];
    const float* b1 = right.first[1];
    const Index a_stride = left.stride;
    const Index b_stride = right.stride;
    const Index a_step = left.step;
    const Index b_step = right.step;
    for (Index k = 0; k < count; ++k) {
      Unit::template load<4>(a0, a_stride);
      Unit::template load<6>(b0, b_stride);
      Unit::template add_products<0, 4, 6>();
      if constexpr (columns == 2) {
        Unit::template load<7>(b1, b_stride);
        Unit::template add_products<1, 4, 7>();
      }
      if constexpr (rows == 2) {
        Unit::template load<5>(a1, a_stride);
        Unit::template add_products<2, 5, 6>();
        if constexpr (columns == 2) Unit::template add_products<3, 5, 7>();
      }
      a0 += a_step;
      a1 += a_step;
      b0 += b_step;
      b1 += b_step;
    }
  }

  static DIABOLO_INLINE void store(float* to, Index stride) {
    Unit::template store<0>(to, stride);
    if constexpr (columns == 2) Unit::template store<1>(to + kTile, stride);
    if constexpr (rows == 2) Unit::template store<2>(to + kTile * stride, stride);
    if constexpr (rows == 2 && columns == 2) Unit::template store<3>(to + kTile * stride + kTile, stride);
  }
};

/// A tile of `rows` rows and `lanes` lanes, the rest zeros.
inline void copy_part(const float* from, Index stride, Index rows, Index lanes, float* tile) {
  for (Index i = 0; i < kTile; ++i) {
    for (Index k = 0; k < kTile; ++k) {
      tile[i * kTile + k] = i < rows && k < lanes ? from[i * stride + k] : 0.0f;
    }
  }
}

// ---- Forward and input gradient: rows of a left factor by panels of a right one ----

/// One panel of the right factor, or of its low part, and its last pairs, padded with zeros to a tile.
struct TiledPanel {
  const float* data = nullptr;
  alignas(64) float tail[kTile * kMostColumns];

  void take(const float* panel, Index count, Index width) {
    data = panel;
    const Index whole = count / kTile * kTile;
    for (Index k = 0; k < kTile && whole < count; ++k) {
      for (Index j = 0; j < width; ++j) {
        tail[k * width + j] = whole + k < count ? panel[(whole + k) * width + j] : 0.0f;
      }
    }
  }
};

/// Adds a b, `count` pairs long: rows from `row` of a by the columns from `column` of a panel. Past the last
/// pair a row of `a` is zeros to the end of a tile.
template <class Sums>
DIABOLO_INLINE void add_panel(const MatrixView<const float>& a, const Index (&row)[2], const TiledPanel& b,
                              Index column, Index width, Index count) {
  const Index whole = count / kTile;
  const TileRun left{{a.row(row[0]), a.row(row[1])}, a.stride, kTile};
  const float* right = b.data + column;
  Sums::add(left, {{right, right + kTile}, width, kTile * width}, whole);
  if (whole * kTile == count) return;
  const TileRun rest{{left.first[0] + whole * kTile, left.first[1] + whole * kTile}, a.stride, 0};
  Sums::add(rest, {{b.tail + column, b.tail + column + kTile}, width, 0}, 1);
}

/// A B for the panels `which` of B; `finish(tile, place)` takes each tile of at most 16 rows and 32 columns.
/// Rows are cut into tiles from the first on; the last one ends with the last row, and what it has in common
/// with the one before is finished there.
template <class Unit, class Finish>
void multiply_panels(MatrixView<const float> a, MatrixView<const float> a_low, const Panels& b, Range which,
                     const Finish& finish) {
  if (a.rows == 0) return;
  if (a.rows < kTile) Unit::configure(shapes_for(a.rows));
  TiledPanel high;
  TiledPanel low;
  alignas(64) float block[kBlock * kBlock];
  for (Index p = which.begin; p < which.end; ++p) {
    const Index offset = p * b.inputs * b.width;
    high.take(b.data + offset, b.inputs, b.width);
    if (b.low != nullptr) low.take(b.low + offset, b.inputs, b.width);
    const Index used = b.outputs - p * b.width < b.width ? b.outputs - p * b.width : b.width;
    for (Index column = 0; column < used; column += kBlock) {
      const Index tiles = used - column > kTile ? 2 : 1;
      for (Index first = 0; first < a.rows; first += kBlock) {
        const Index last = a.rows < kTile ? 0 : a.rows - kTile;
        const Index row[2] = {first < last ? first : last, first + kTile < last ? first + kTile : last};
        with_block(a.rows - first > kTile ? 2 : 1, tiles, [&](auto rows, auto columns) {
          using Sums = Block<Unit, decltype(rows)::value, decltype(columns)::value>;
          constexpr Index width = decltype(columns)::value * kTile;
          Sums::clear();
          add_panel<Sums>(a, row, high, column, b.width, b.inputs);
          if (b.low != nullptr) {
            add_panel<Sums>(a, row, low, column, b.width, b.inputs);
            add_panel<Sums>(a_low, row, high, column, b.width, b.inputs);
          }
          Sums::store(block, width);
          const Index rest = used - column < width ? used - column : width;
          for (Index i = 0; i < decltype(rows)::value; ++i) {
            const Index begin = first + i * kTile;  // of the rows that no earlier tile has finished
            const Index end = row[i] + kTile < a.rows ? row[i] + kTile : a.rows;
            finish(block + (i * kTile + begin - row[i]) * width,
                   TilePlace{begin, end - begin, p * b.width + column, width, rest});
          }
        });
      }
    }
  }
  if (a.rows < kTile) Unit::configure(shapes_for(kTile));
}

// ---- Weight gradient: one unit by one panel ----

/// The pairs of one block of rows that a unit's gradient sums over: rows [first, first + count) of the terms.
struct PairTerms {
  const GradientTerm* terms;
  int count;
};

/// Adds a^T b over `count` pairs of rows from `first` on, for tiles that begin at columns of a and b.
template <class Sums>
DIABOLO_INLINE void add_columns(const GradientTerm& term, Index first, Index count, const Index (&left)[2],
                                const Index (&right)[2]) {
  const auto run = [&](MatrixView<const float> m, Index row, const Index(&column)[2]) {
    return TileRun{{m.row(row) + column[0], m.row(row) + column[1]}, m.stride, kTile * m.stride};
  };
  const Index whole = count / kTile;
  Sums::add(run(term.a, first, left), run(term.b, first, right), whole);
  const Index rest = count - whole * kTile;
  if (rest == 0) return;
  alignas(64) float a[2][kTile * kTile];
  alignas(64) float b[2][kTile * kTile];
  const Index row = first + whole * kTile;
  for (int i = 0; i < 2; ++i) {
    copy_part(term.a.row(row) + left[i], term.a.stride, kTile, rest, a[i]);
    copy_part(term.b.row(row) + right[i], term.b.stride, rest, kTile, b[i]);
  }
  Sums::add({{a[0], a[1]}, kTile, 0}, {{b[0], b[1]}, kTile, 0}, 1);
}

/// One unit of a weight gradient for one block of rows:  out (unit rows, width) = the terms' sum of a^T b.
/// Up to 15 rows and columns too many are computed, from padding; nobody reads them. Whole tiles past the
/// last column are zeros.
template <class Unit>
void multiply_unit(const DenseWeightGradient& g, const PairTerms& pairs, Index first, Index count,
                   Index unit_rows, float* out) {
  const Index panel = g.panel * g.width;
  const Index used = g.outputs - panel < g.width ? g.outputs - panel : g.width;
  for (Index j = 0; j < used; j += kBlock) {
    for (Index i = 0; i < unit_rows; i += kBlock) {
      // A tile past the last one is never loaded: it may as well begin where the one before does.
      const bool two_rows = unit_rows - i > kTile;
      const bool two_columns = used - j > kTile;
      const Index left[2] = {g.unit_row + i, g.unit_row + i + (two_rows ? kTile : 0)};
      const Index right[2] = {panel + j, panel + j + (two_columns ? kTile : 0)};
      with_block(two_rows ? 2 : 1, two_columns ? 2 : 1, [&](auto rows, auto columns) {
        using Sums = Block<Unit, decltype(rows)::value, decltype(columns)::value>;
        Sums::clear();
        for (int t = 0; t < pairs.count; ++t) add_columns<Sums>(pairs.terms[t], first, count, left, right);
        Sums::store(out + i * g.width + j, g.width);
      });
    }
  }
  const Index computed = (used + kTile - 1) / kTile * kTile;
  for (Index i = 0; i < unit_rows && computed < g.width; ++i) {
    for (Index j = computed; j < g.width; ++j) out[i * g.width + j] = 0.0f;
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
