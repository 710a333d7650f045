// What the rest of the library may know of the arithmetic: argument structs (arguments/, a header a concept)
// and one table of functions per instruction set. No layer, no thread and no instruction appears here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/activation.h"
#include "kernels/arguments/gaussian_code.h"
#include "kernels/arguments/loss.h"
#include "kernels/arguments/noise.h"
#include "kernels/arguments/normalization.h"
#include "kernels/arguments/penalties.h"
#include "kernels/arguments/products.h"
#include "kernels/arguments/rows.h"
#include "kernels/arguments/sizes.h"
#include "kernels/arguments/sparse.h"
#include "kernels/arguments/unit_vectors.h"
#include "kernels/arguments/update_rule.h"
#include "kernels/arguments/weight_gradient.h"

namespace diabolo::kernels {

/// Elementary functions, reachable one by one for the accuracy tests.
enum class Function : std::uint8_t {
  exp,
  expm1,
  log,
  log1p,
  tanh,
  sigmoid,
  erf,
  softplus,
  elu,
  gelu,
  silu,
  gelu_derivative,
  silu_derivative
};

/// Where a tile stands in its matrix. Its columns [0, used) exist; the rest of its width is padding.
struct TilePlace {
  Index row = 0;
  Index rows = 0;
  Index column = 0;
  Index width = 0;
  Index used = 0;
};

/// Parts of the products below, for a level that makes their tiles in another way (tile_level.h): what
/// becomes of a tile (rows, width) of at most 16 rows, and of a unit's sum of products (unit rows, panel's
/// width).
struct ProductParts {
  void (*finish_forward)(const DenseForward&, const float* tile, const TilePlace&);
  void (*finish_input_gradient)(const DenseInputGradient&, const float* tile, const TilePlace&);
  void (*add_products)(const DenseWeightGradient&, float* sum);            // of the terms
  bool (*finish_weight_gradient)(const DenseWeightGradient&, float* sum);  // all but the terms
};

/// What multiplies pairs of bfloat16: arithmetic of floats, dot instructions on vectors, or a tile unit.
enum class PairUnit : std::uint8_t { floats, vectors, tiles };

/// Everything one instruction set offers, tile sizes included.
struct KernelTable {
  const char* name;
  Index lanes;
  bool fused;  // has fused multiply-add: bits agree with every other fused table
  PairUnit pair_unit;
  const Index* panel_widths;  // those it has tiles for, multiples of 16, narrowest first
  int panel_width_count;
  // A thread that is to multiply pairs is prepared for it, and released afterwards and before code that is
  // not ours runs on it. Null: there is nothing to do.
  void (*prepare_thread)();
  void (*release_thread)();
  ProductParts parts;
  void (*dense_forward)(const DenseForward&);
  void (*dense_loss)(const DenseForward&);  // the end of dense_forward, from given pre-activations
  void (*dense_input_gradient)(const DenseInputGradient&);
  bool (*dense_weight_gradient)(const DenseWeightGradient&);  // false: a weight became non-finite
  bool (*vector_gradient)(const VectorGradient&);
  bool (*stored_update)(const StoredUpdate&);
  void (*remove_parallel)(const VectorStrip&);
  bool (*normalize_vectors)(const VectorStrip&);
  void (*copy_weights)(const Panels& from, const WeightCopies& to);
  void (*pack_pairs)(const PackPairs&);
  void (*chain_rule)(const ChainRule&);
  void (*mask_missing)(const MaskMissing&);
  void (*corrupt)(const Corrupt&);
  void (*mask_stored)(const MaskStored&);
  void (*drop_out)(const DropOut&);
  void (*factor_gradient)(const FactorGradient&);
  void (*column_moments)(const ColumnMoments&);
  void (*normalize)(const Normalize&);
  void (*scale_terms)(const ScaleTerms&);
  void (*column_totals)(MatrixView<const float> x, Range columns, float* sums);
  void (*normalize_gradient)(const NormalizeGradient&);
  void (*sample_gaussian)(const GaussianSample&);
  void (*gaussian_gradient)(const GaussianGradient&);
  void (*gaussian_divergences)(MatrixView<const float> moments, const float* row_weights, Index units,
                               Index first, float* sums);
  void (*gaussian_deviations)(MatrixView<const float> moments, MatrixView<float> out);
  void (*absolute_sums)(MatrixView<const float> y, MatrixView<float> sums);
  void (*column_sums)(MatrixView<const float> y, const float* row_weights, Index column, float* sums);
  void (*activity_gradient)(const ActivityGradient&);
  void (*top_k)(MatrixView<const float> x, Index k, MatrixView<float> y);
  void (*top_k_gradient)(const TopKGradient&);
  // columns (rows, k), ascending in each row, and values (rows, k) of the k greatest
  void (*top_k_list)(MatrixView<const float> x, Index k, std::int32_t* columns, MatrixView<float> values);
  void (*sparse_dots)(const SparseDots&);
  void (*squared_column_norms)(const Panels& w, Range columns, float* norms);  // columns in groups of 16
  void (*jacobian_norm)(const JacobianNorm&);
  void (*tangent_forward)(const TangentForward&);
  void (*tangent_backward)(const TangentBackward&);
  void (*squared_sums)(MatrixView<const float> y, MatrixView<float> sums);
  void (*scale_rows)(MatrixView<const float> x, float factor, MatrixView<float> out);
  void (*add_rows)(MatrixView<const float> x, MatrixView<float> to);
  void (*random_signs)(const NoiseSource&, MatrixView<float> out);
  void (*grouped_softmax)(const GroupedSoftmax&);
  void (*sample_bernoulli)(const BernoulliSample&);
  void (*scaled_difference)(const ScaledDifference&);
  void (*normal_noise)(const NoiseSource&, MatrixView<float> out);
  void (*finish_loss)(const float* lanes, Index rows, float scale, float* row_loss);
  void (*evaluate)(Function, const float* x, float* y, Index count);
};

/// The tables this machine can run, slowest first.
struct TableList {
  const KernelTable* tables[8];
  int count;
};
[[nodiscard]] TableList available_tables();

/// The fastest table, or the one DIABOLO_ISA names. Throws std::invalid_argument, listing the levels, for a
/// name that is unknown or that this machine cannot run; std::runtime_error on a CPU below every table.
[[nodiscard]] const KernelTable& select_table();

/// The least number of inputs and of outputs from which on a layer is faster with these products of pairs
/// than with those of floats, with this table on this machine; kNeverFaster if there is none.
inline constexpr Index kNeverFaster = PTRDIFF_MAX;
[[nodiscard]] Index least_width(const KernelTable& table, Products products);

/// Whether pairs may be multiplied with this table: the system lends a tile unit to those who ask, and this
/// asks (once, for the whole process).
[[nodiscard]] bool acquire_pair_unit(const KernelTable& table);

/// Whether the form of products that is asked for is to be used even where it is slower, or computed in
/// float32: DIABOLO_FORCE_MATMUL_PRECISION=1, for tests.
[[nodiscard]] bool forces_precision();

/// The table of that name. Throws std::invalid_argument, listing the levels, if this machine has none. For
/// tests there is one that is in no list: amx_emulated, whose tile unit is a model of Intel's in plain
/// arithmetic.
[[nodiscard]] const KernelTable& find_table(const char* name);

}  // namespace diabolo::kernels
