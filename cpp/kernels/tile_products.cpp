// The products of an instruction set with a tile unit, and the pairs they take. Compiled twice: for the unit
// itself (amx), and for its model (amx_emulated), which any machine can run.
#include "kernels/tile_products.h"
#include "kernels/pack.h"
#include "kernels/pairs.h"
#include "kernels/tile_level.h"

#if defined(__AMX_BF16__)
#include "kernels/amx_unit.h"
#else
#include "kernels/model_unit.h"
#endif

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

#if defined(__AMX_BF16__)
using Unit = AmxUnit;
#else
using Unit = ModelUnit;
#endif

void prepare_thread() { Unit::configure(shapes_for(kTile)); }
void release_thread() { Unit::release(); }

// ---- Products ----

template <const KernelTable& base>
void dense_forward(const DenseForward& f) {
  if (f.products == Products::float32) return base.dense_forward(f);
  multiply_panels<Unit>(f.x, f.x_low, f.weights, f.panels, [&](const float* tile, const TilePlace& place) {
    base.parts.finish_forward(f, tile, place);
  });
}

template <const KernelTable& base>
void dense_input_gradient(const DenseInputGradient& g) {
  if (g.products == Products::float32) return base.dense_input_gradient(g);
  multiply_panels<Unit>(
      g.delta, g.delta_low, g.transposed, g.panels,
      [&](const float* tile, const TilePlace& place) { base.parts.finish_input_gradient(g, tile, place); });
}

void copy(const float* from, Index count, float* to) {
  for (Index i = 0; i < count; i += kLanes) store(to + i, load(from + i));
}

void add(const float* from, Index count, float* to) {
  for (Index i = 0; i < count; i += kLanes) store(to + i, load(to + i) + load(from + i));
}

/// The terms of a gradient, apart: those of pairs, and those of stored elements, which are floats.
struct Terms {
  static constexpr int kMost = 8;
  GradientTerm pairs[kMost];
  GradientTerm stored[kMost];
  int pair_count = 0;
  int stored_count = 0;

  explicit Terms(const DenseWeightGradient& g) {
    for (int t = 0; t < g.term_count; ++t) {
      const GradientTerm& term = g.terms[t];
      if (term.sparse_a) {
        stored[stored_count++] = term;
      } else {
        pairs[pair_count++] = term;
      }
    }
  }
};

/// Adds the stored terms' products over one block of rows.
template <const KernelTable& base>
void add_stored(DenseWeightGradient g, const Terms& terms, Index first, Index rows, float* sum) {
  GradientTerm cut[Terms::kMost];
  for (int t = 0; t < terms.stored_count; ++t) {
    const SparseView& a = terms.stored[t].sparse_a;
    cut[t].b = {terms.stored[t].b.row(first), rows, terms.stored[t].b.cols, terms.stored[t].b.stride};
    const Index at = first * a.stride;
    cut[t].sparse_a = {a.values + at, a.columns + at, a.counts + first, rows, a.cols, a.stride};
  }
  g.terms = cut;
  g.term_count = terms.stored_count;
  g.hints += first;
  base.parts.add_products(g, sum);
}

template <const KernelTable& base>
bool dense_weight_gradient(const DenseWeightGradient& g) {
  const Terms terms(g);
  if (g.copies.products == Products::float32 || terms.pair_count == 0) return base.dense_weight_gradient(g);
  alignas(64) float sum[kUnitRows * kMostColumns];
  alignas(64) float product[kUnitRows * kMostColumns];
  const Index unit_rows = g.inputs - g.unit_row < kUnitRows ? g.inputs - g.unit_row : kUnitRows;
  const Index size = unit_rows * g.width;
  bool begun = g.add_stored;
  if (begun) copy(g.gradient + (g.panel * g.inputs + g.unit_row) * g.width, size, sum);
  constexpr Index block = kRowBlock / 2;
  const Index pairs = terms.pairs[0].b.rows;
  for (Index first = 0; first < pairs; first += block) {
    const Index count = pairs - first < block ? pairs - first : block;
    multiply_unit<Unit>(g, {terms.pairs, terms.pair_count}, first, count, unit_rows, begun ? product : sum);
    if (begun) add(product, size, sum);
    begun = true;
    if (terms.stored_count == 0) continue;
    const Index rows = terms.stored[0].b.rows - 2 * first;
    add_stored<base>(g, terms, 2 * first, rows < kRowBlock ? rows : kRowBlock, sum);
  }
  return base.parts.finish_weight_gradient(g, sum);
}

// ---- Pairs ----

/// A row of pairs is zeros from `pairs` on to the end of a tile.
void clear_to_tile(float* row, Index pairs) {
  for (; pairs % kTile != 0; ++pairs) row[pairs] = 0.0f;
}

/// The pairs [begin, end) of a block of 16 by 16, `from` (16, stride), turned: pair k of column i goes to
/// to[i * to_stride + k].
void turn(const float* from, Index stride, Index begin, Index end, float* to, Index to_stride) {
  for (Index k = 0; k < kTile; k += 4) {
    for (Index i = 0; i < kTile; i += 4) {
      if (begin <= k && k + 4 <= end) {
        transpose_quads(from + k * stride + i, stride, to + i * to_stride + k, to_stride);
        continue;
      }
      // Another worker's pairs may lie in the same block.
      for (Index at = k < begin ? begin : k; at < k + 4 && at < end; ++at) {
        for (Index c = i; c < i + 4; ++c) to[c * to_stride + at] = from[at * stride + c];
      }
    }
  }
}

/// The pairs along the rows of x as a left factor. (The view of them begins with x's own first pair.)
template <int part>
void pack_turned(const PackPairs& p, MatrixView<float> along_rows) {
  alignas(64) float pairs[kTile * kMostColumns];
  const Index first = p.first_row / 2;
  const Index last = first + (p.x.rows + 1) / 2;
  for (Index block = first / kTile * kTile; block < last; block += kTile) {
    const Index begin = block < first ? first - block : 0;
    const Index end = last - block < kTile ? last - block : kTile;
    for (Index column = 0; column < p.x.cols; column += kMostColumns) {
      const Index columns = p.x.cols - column < kMostColumns ? p.x.cols - column : kMostColumns;
      for (Index k = begin; k < end; ++k) {
        const Index row = 2 * (block + k - first);
        const float* second = row + 1 < p.x.rows ? p.x.row(row + 1) + column : nullptr;
        pack_two_rows<part>(p.x.row(row) + column, second, columns, nullptr, nullptr,
                            pairs + k * kMostColumns);
      }
      for (Index i = 0; i < columns; i += kTile) {
        turn(pairs + i, kMostColumns, begin, end, along_rows.row(block - first) + column + i,
             along_rows.stride);
      }
    }
  }
}

template <int part>
void pack_tiles(const PackPairs& p, MatrixView<float> along_columns, MatrixView<float> along_rows) {
  if (along_columns.data != nullptr || !p.left) {
    pack_part<part>(p.x, along_columns, p.left ? MatrixView<float>{} : along_rows);
  }
  for (Index r = 0; r < p.x.rows && along_columns.data != nullptr; ++r) {
    clear_to_tile(along_columns.row(r), terms_of(p.x.cols, Products::bfloat16));
  }
  if (along_rows.data != nullptr && p.left) pack_turned<part>(p, along_rows);
}

void pack_tiled_pairs(const PackPairs& p) {
  pack_tiles<0>(p, p.along_columns, p.along_rows);
  if (p.along_columns_low.data != nullptr || p.along_rows_low.data != nullptr) {
    pack_tiles<1>(p, p.along_columns_low, p.along_rows_low);
  }
}

template <const KernelTable& base>
constexpr TileProducts products_on() {
  return {
      .prepare_thread = prepare_thread,
      .release_thread = release_thread,
      .dense_forward = dense_forward<base>,
      .dense_input_gradient = dense_input_gradient<base>,
      .dense_weight_gradient = dense_weight_gradient<base>,
      .pack_pairs = pack_tiled_pairs,
  };
}

}  // namespace

#if defined(__AMX_BF16__)
const TileProducts on_avx512_bf16 = products_on<avx512_bf16::table>();
#elif defined(__x86_64__)
const TileProducts on_avx512 = products_on<avx512::table>();
const TileProducts on_avx2 = products_on<avx2::table>();
#else
const TileProducts on_neon = products_on<neon::table>();
#endif

}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
