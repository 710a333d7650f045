// The one translation unit of the arithmetic, compiled once per instruction set. It shows the linker a single
// symbol: a shared inline function, kept by the linker in its AVX-512 form, would kill older machines.
#include "kernels/kernels.h"

#include "kernels/activity.h"
#include "kernels/boltzmann.h"
#include "kernels/corruption.h"
#include "kernels/dropout.h"
#include "kernels/epilogue.h"
#include "kernels/evaluate.h"
#include "kernels/gemm.h"
#include "kernels/jacobian.h"
#include "kernels/missing.h"
#include "kernels/normalize.h"
#include "kernels/pack.h"
#include "kernels/pairs.h"
#include "kernels/softmax.h"
#include "kernels/sparse.h"
#include "kernels/sparse_rows.h"
#include "kernels/top_k.h"
#include "kernels/unit_vectors.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

void dense_forward(const DenseForward& f) {
  const auto finish = [&](Index panel, const float* tile, Index row, Index rows) {
    finish_forward(f, tile, tile_place(panel, f.weights.width, f.weights.outputs, row, rows));
  };
  if (f.sparse_x.columns != nullptr) return multiply_sparse(f.sparse_x, f.weights, f.panels, finish);
  if (f.stored_x) return multiply_stored_panels(f.stored_x, f.weights, f.panels, finish);
  multiply_panels(f.products, {f.x, f.x_low}, f.weights, f.panels, finish);
}

void dense_input_gradient(const DenseInputGradient& g) {
  const auto finish = [&](Index panel, const float* tile, Index row, Index rows) {
    finish_input_gradient(g, tile, tile_place(panel, g.transposed.width, g.transposed.outputs, row, rows));
  };
  if (g.sparse_delta.columns != nullptr) {
    return multiply_sparse(g.sparse_delta, g.transposed, g.panels, finish);
  }
  multiply_panels(g.products, {g.delta, g.delta_low}, g.transposed, g.panels, finish);
}

void copy(const float* from, Index count, float* to) {
  for (Index i = 0; i < count; i += kLanes) store(to + i, load(from + i));
}

void add(const float* from, Index count, float* to) {
  for (Index i = 0; i < count; i += kLanes) store(to + i, load(to + i) + load(from + i));
}

Index rows_of_unit(const DenseWeightGradient& g) {
  return g.inputs - g.unit_row < kUnitRows ? g.inputs - g.unit_row : kUnitRows;
}

/// sum (unit_rows, width) += the terms' products, block of rows by block of rows.
void add_products(const DenseWeightGradient& g, Index unit_rows, bool begun, float* sum) {
  alignas(64) float product[kUnitBuffer];
  const Index count = unit_rows * g.width;
  // Stored elements are multiplied as floats, whatever the other terms are.
  const auto block_of = [&](const GradientTerm& term) {
    return terms_of(kRowBlock, term.sparse_a ? Products::float32 : g.copies.products);
  };
  const Index blocks = (g.terms[0].b.rows + block_of(g.terms[0]) - 1) / block_of(g.terms[0]);
  for (Index block = 0; block < blocks; ++block) {
    for (int t = 0; t < g.term_count; ++t) {
      const GradientTerm& term = g.terms[t];
      const Index first = block * block_of(term);
      const Index rows = term.b.rows - first < block_of(term) ? term.b.rows - first : block_of(term);
      const float* b = term.b.row(first) + g.panel * g.width;
      float* out = begun ? product : sum;
      with_vectors(g.width, [&](auto vectors) {
        constexpr int n = decltype(vectors)::value;
        if (term.sparse_a) {
          return multiply_stored_unit<n>(term.sparse_a, first, b, term.b.stride, rows, g.unit_row, unit_rows,
                                         g.hints, out);
        }
        with_products(g.copies.products, [&](auto kind) {
          multiply_unit<decltype(kind), n>(term.a.row(first) + g.unit_row, term.a.stride, b, term.b.stride,
                                           rows, unit_rows, out);
        });
      });
      if (begun) add(product, count, sum);
      begun = true;
    }
  }
}

/// Columns past the last one hold whatever the operands' padding held: make them zero, for the weights stay
/// zero there.
void clear_padding(Index unit_rows, Index width, Index used, float* values) {
  for (Index i = 0; i < unit_rows; ++i) {
    for (Index j = used; j < width; ++j) values[i * width + j] = 0.0f;
  }
}

/// sum (16) = column sums of `terms` for 16 columns, block of rows by block of rows.
void add_columns(MatrixView<const float> terms, Index column, bool begun, float* sum) {
  for (Index block = 0; block < terms.rows; block += kRowBlock) {
    const Index end = block + kRowBlock < terms.rows ? block + kRowBlock : terms.rows;
    Vec total[kGroup / kLanes] = {};
    for (Index r = block; r < end; ++r) {
#pragma GCC unroll 4
      for (Index j = 0; j < kGroup / kLanes; ++j) total[j] += load(terms.row(r) + column + j * kLanes);
    }
#pragma GCC unroll 4
    for (Index j = 0; j < kGroup / kLanes; ++j) {
      store(sum + j * kLanes, begun ? load(sum + j * kLanes) + total[j] : total[j]);
    }
    begun = true;
  }
}

/// sum (unit_rows, width) += the weights, each column times its column's sum of the factors.
void add_factored_weights(const DenseWeightGradient& g, const float* weights, Index unit_rows, float* sum) {
  alignas(64) float factors[kWidestPanel];
  for (Index j = 0; j < g.width; j += kGroup) {
    add_columns(g.unit_factors, g.panel * g.width + j, false, factors + j);
  }
  for (Index i = 0; i < unit_rows; ++i) {
    for (Index j = 0; j < g.width; j += kLanes) {
      float* at = sum + i * g.width + j;
      store(at, fma(load(weights + i * g.width + j), load(factors + j), load(at)));
    }
  }
}

void add_to_unit(const DenseWeightGradient& g, float* sum) { add_products(g, rows_of_unit(g), true, sum); }

/// What follows when the sum of the terms' products is known.
bool finish_weight_gradient(const DenseWeightGradient& g, float* sum) {
  const Index unit_rows = rows_of_unit(g);
  const Index used = g.outputs - g.panel * g.width < g.width ? g.outputs - g.panel * g.width : g.width;
  const Index count = unit_rows * g.width;
  const Index offset = (g.panel * g.inputs + g.unit_row) * g.width;

  if (g.sparse_count > 0) add_sparse_products(g, unit_rows, used, sum);
  if (g.unit_factors.data != nullptr) add_factored_weights(g, g.weights + offset, unit_rows, sum);
  if (used < g.width) clear_padding(unit_rows, g.width, used, sum);
  if (!g.last) {
    copy(sum, count, g.gradient + offset);
    return true;
  }

  const UpdateRule& rule = *g.rule;
  const bool penalize = rule.l1 != 0.0f || rule.l2 != 0.0f;
  float* weights = g.weights + offset;
  const Index sums_stride = (g.outputs + kGroup - 1) / kGroup;
  const Index first_sum = g.unit_row / kGroup * sums_stride + g.panel * g.width / kGroup;
  if (g.penalty_sums != nullptr) {
    const Vec l1 = broadcast(rule.l1);
    const Vec l2 = broadcast(rule.l2);
    sum_blocks(weights, unit_rows, g.width, used, g.penalty_sums + first_sum, sums_stride,
               [&](Vec w) { return fma(l2 * w, w, l1 * abs(w)); });
  }
  if (g.use == GradientUse::store) {
    for (Index i = 0; i < count; i += kLanes) {
      const Vec gradient = load(sum + i);
      store(sum + i, penalize ? with_penalty(rule, gradient, load(weights + i)) : gradient);
    }
    if (g.square_sums != nullptr) {
      sum_blocks(sum, unit_rows, g.width, used, g.square_sums + first_sum, sums_stride,
                 [](Vec x) { return x * x; });
    }
    copy(sum, count, g.gradient + offset);
    return true;
  }
  const auto moment = [&](float* data) { return data == nullptr ? nullptr : data + offset; };
  const Piece piece{weights, moment(g.first_moment), moment(g.second_moment), count};
  const bool finite =
      g.touched_only
          ? apply_rule_where_touched({g.sparse_terms, g.sparse_count}, rule,
                                     {g.unit_row, unit_rows, g.panel * g.width, g.width, used}, piece, sum)
          : apply_rule(rule, piece, sum, penalize);
  refresh_copies({weights, g.unit_row, unit_rows, g.width, g.panel * g.width, used, g.inputs, g.outputs},
                 g.copies);
  return finite;
}

bool dense_weight_gradient(const DenseWeightGradient& g) {
  alignas(64) float sum[kUnitBuffer];
  const Index unit_rows = rows_of_unit(g);
  if (g.add_stored) copy(g.gradient + (g.panel * g.inputs + g.unit_row) * g.width, unit_rows * g.width, sum);
  if (g.term_count > 0) {
    add_products(g, unit_rows, g.add_stored, sum);
  } else if (!g.add_stored) {
    clear_padding(unit_rows, g.width, 0, sum);
  }
  return finish_weight_gradient(g, sum);
}

bool vector_gradient(const VectorGradient& g) {
  bool finite = true;
  for (Index column = g.columns.begin; column < g.columns.end; column += kGroup) {
    alignas(64) float sum[kGroup];
    if (g.add_stored) copy(g.gradient + column, kGroup, sum);
    add_columns(g.terms, column, g.add_stored, sum);
    const Index used = g.units - column < kGroup ? g.units - column : kGroup;
    clear_padding(1, kGroup, used, sum);
    if (!g.last || g.use == GradientUse::store) {
      copy(sum, kGroup, g.gradient + column);
      if (g.last && g.square_sums != nullptr) {
        sum_blocks(sum, 1, kGroup, kGroup, g.square_sums + column / kGroup, 1, [](Vec x) { return x * x; });
      }
      continue;
    }
    const auto moment = [&](float* data) { return data == nullptr ? nullptr : data + column; };
    finite &= apply_rule(
        *g.rule, {g.weights + column, moment(g.first_moment), moment(g.second_moment), kGroup}, sum, false);
  }
  return finite;
}

bool stored_update(const StoredUpdate& u) {
  const Index unit_rows = u.inputs - u.unit_row < kUnitRows ? u.inputs - u.unit_row : kUnitRows;
  const Index offset = (u.panel * u.inputs + u.unit_row) * u.width;
  const auto moment = [&](float* data) { return data == nullptr ? nullptr : data + offset; };
  const Index column = u.panel * u.width;
  const Index used = u.outputs - column < u.width ? u.outputs - column : u.width;
  const Piece piece{u.weights + offset, moment(u.first_moment), moment(u.second_moment), unit_rows * u.width};
  const float* gradient = u.gradient + offset;
  const bool finite =
      u.touched.count > 0
          ? apply_rule_where_touched(u.touched, *u.rule, {u.unit_row, unit_rows, column, u.width, used},
                                     piece, gradient)
          : apply_rule(*u.rule, piece, gradient, false);
  refresh_copies({u.weights + offset, u.unit_row, unit_rows, u.width, column, used, u.inputs, u.outputs},
                 u.copies);
  return finite;
}

void copy_weights(const Panels& from, const WeightCopies& to) {
  for (Index p = 0; p < from.count(); ++p) {
    const Index column = p * from.width;
    const Index used = from.outputs - column < from.width ? from.outputs - column : from.width;
    for (Index first = 0; first < from.inputs; first += kUnitRows) {
      const Index rows = from.inputs - first < kUnitRows ? from.inputs - first : kUnitRows;
      refresh_copies({from.data + (p * from.inputs + first) * from.width, first, rows, from.width, column,
                      used, from.inputs, from.outputs},
                     to);
    }
  }
}

void finish_loss(const float* lanes, Index rows, float scale, float* row_loss) {
  for (Index r = 0; r < rows; ++r) row_loss[r] = scale * sum_of_lanes(lanes + r * kGroup);
}

}  // namespace

extern const KernelTable table;
const KernelTable table = {
    .name = DIABOLO_ISA_LABEL,
    .lanes = kLanes,
#if defined(__AVX2__) || defined(__aarch64__)
    .fused = true,
#else
    .fused = false,
#endif
#if defined(__AVX512BF16__)
    .pair_unit = PairUnit::vectors,
#else
    .pair_unit = PairUnit::floats,
#endif
    .panel_widths = kPanelWidths,
    .panel_width_count = kPanelWidthCount,
    .prepare_thread = nullptr,
    .release_thread = nullptr,
    .parts = {.finish_forward = finish_forward,
              .finish_input_gradient = finish_input_gradient,
              .add_products = add_to_unit,
              .finish_weight_gradient = finish_weight_gradient},
    .dense_forward = dense_forward,
    .dense_loss = finish_rows,
    .dense_input_gradient = dense_input_gradient,
    .dense_weight_gradient = dense_weight_gradient,
    .vector_gradient = vector_gradient,
    .stored_update = stored_update,
    .remove_parallel = remove_parallel,
    .normalize_vectors = normalize_vectors,
    .copy_weights = copy_weights,
    .pack_pairs = pack_pairs,
    .chain_rule = chain_rows,
    .mask_missing = mask_missing,
    .corrupt = corrupt,
    .mask_stored = mask_stored,
    .drop_out = drop_out,
    .factor_gradient = factor_gradient,
    .column_moments = column_moments,
    .normalize = normalize,
    .scale_terms = scale_terms,
    .column_totals = column_totals,
    .normalize_gradient = normalize_gradient,
    .sample_gaussian = sample_gaussian,
    .gaussian_gradient = gaussian_gradient,
    .gaussian_divergences = gaussian_divergences,
    .gaussian_deviations = gaussian_deviations,
    .absolute_sums = absolute_sums,
    .column_sums = column_sums,
    .activity_gradient = activity_gradient,
    .top_k = top_k,
    .top_k_gradient = top_k_gradient,
    .top_k_list = top_k_list,
    .sparse_dots = sparse_dots,
    .squared_column_norms = squared_column_norms,
    .jacobian_norm = jacobian_norm,
    .tangent_forward = tangent_forward,
    .tangent_backward = tangent_backward,
    .squared_sums = squared_sums,
    .scale_rows = scale_rows,
    .add_rows = add_rows,
    .random_signs = random_signs,
    .grouped_softmax = grouped_softmax,
    .sample_bernoulli = sample_bernoulli,
    .scaled_difference = scaled_difference,
    .normal_noise = normal_noise,
    .finish_loss = finish_loss,
    .evaluate = evaluate,
};

}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
