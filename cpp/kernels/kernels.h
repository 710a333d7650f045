// What the rest of the library may know of the arithmetic: argument structs (arguments/, a header a concept)
// and one table of functions per instruction set. No layer, no thread and no instruction appears here.
#pragma once

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

/// Everything one instruction set offers, tile sizes included.
struct KernelTable {
  const char* name;
  Index lanes;
  bool fused;                 // has fused multiply-add: bits agree with every other fused table
  bool multiplies_pairs;      // has an instruction for bfloat16 pairs; else they are computed in float32
  const Index* panel_widths;  // those it has tiles for, multiples of 16, narrowest first
  int panel_width_count;
  void (*dense_forward)(const DenseForward&);
  void (*dense_loss)(const DenseForward&);  // the end of dense_forward, from given pre-activations
  void (*dense_input_gradient)(const DenseInputGradient&);
  bool (*dense_weight_gradient)(const DenseWeightGradient&);  // false: a weight became non-finite
  bool (*vector_gradient)(const VectorGradient&);
  bool (*stored_update)(const StoredUpdate&);
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

/// Whether this machine computes products of bfloat16 pairs with this table faster than those of floats.
[[nodiscard]] bool pairs_are_faster(const KernelTable& table);

/// Whether the form of products that is asked for is to be used even where it is slower, or computed in
/// float32: DIABOLO_FORCE_MATMUL_PRECISION=1, for tests.
[[nodiscard]] bool forces_precision();

/// The table of that name. Throws std::invalid_argument, listing the levels, if this machine has none.
[[nodiscard]] const KernelTable& find_table(const char* name);

}  // namespace diabolo::kernels
