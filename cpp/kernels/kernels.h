// What the rest of the library may know of the arithmetic: argument structs and one table of functions per
// instruction set. No layer, no thread and no instruction appears here.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels {

/// Sums over rows are cut into blocks of this many rows, whatever the threads: within a block one accumulator
/// per output element in row order, between blocks in block order. So no result depends on the thread count.
inline constexpr Index kRowBlock = 256;

/// Rows of a weight matrix in one unit of the weights phase; every register tile's height divides it.
inline constexpr Index kUnitRows = 48;

/// Column sums and panel widths come in groups of 16, the widest register, on every instruction set.
inline constexpr Index kGroup = 16;

/// Kernels may read (never use) this many floats past the last column of a row.
inline constexpr Index kSlack = 64;

enum class Activation : std::uint8_t {
  identity,
  sigmoid,
  tanh,
  relu,
  leaky_relu,
  elu,
  prelu,
  gelu,
  silu,
  softplus,
};

/// Negative slope of leaky_relu (as PyTorch's default).
inline constexpr float kLeakySlope = 0.01f;

/// Whether an activation's derivative reads its pre-activation (else its output).
[[nodiscard]] constexpr bool derivative_reads_preactivation(Activation a) {
  return a == Activation::prelu || a == Activation::gelu || a == Activation::silu ||
         a == Activation::softplus;
}

/// gaussian is minus the logarithm of a density: its variance is a parameter of the last layer. The last two
/// join the columns of a group, and belong to a softmax.
enum class Loss : std::uint8_t {
  mse,
  mae,
  huber,
  binary_crossentropy,
  gaussian,
  hinge,
  categorical_crossentropy,
  kl_divergence,
};

/// Whether a loss is one of groups of columns, whose terms are fewer than the columns.
[[nodiscard]] constexpr bool joins_columns(Loss loss) {
  return loss == Loss::categorical_crossentropy || loss == Loss::kl_divergence;
}

/// Log-variances are parameterised as s = 10 tanh(v / 10): e^s lies between 4.5e-5 and 2.2e4 whatever v.
inline constexpr float kLogVarianceBound = 10.0f;

/// How the factors of a product are rounded before they are multiplied; sums are float32 always.
///   bfloat16     to 8 bits each
///   bfloat16_3x  each number x is split in two, high = bfloat16(x) and low = bfloat16(x - high), and of the
///                four products that of the two low parts is left out (the sum over high high comes first)
/// In both, two neighbours along the sum form a *pair* in the 32 bits of a float, the first in the low half.
/// A matrix of pairs is half as long along the sum, zeros after an odd end, and is otherwise handled as one
/// of floats is.
enum class Products : std::uint8_t { float32, bfloat16_3x, bfloat16 };

/// What a product takes where `n` floats are summed over: floats, or pairs.
[[nodiscard]] constexpr Index terms_of(Index n, Products products) {
  return products == Products::float32 ? n : (n + 1) / 2;
}

/// A weight matrix W (inputs, outputs) in panels: [ceil(outputs / width)][inputs][width], zeros beyond
/// `outputs`. Of pairs there are half as many inputs.
struct Panels {
  const float* data = nullptr;
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;
  const float* low = nullptr;  // bfloat16_3x only: the low parts

  [[nodiscard]] Index count() const { return (outputs + width - 1) / width; }
};

/// A matrix of floats as pairs along its rows or its columns, as far as their data is not null:
///   along_columns  (rows, ceil(cols / 2)): (r, 2 c), (r, 2 c + 1)
///   along_rows     (ceil(rows / 2), cols): (2 r, c), (2 r + 1, c)
/// The low parts are wanted all or none.
struct PackPairs {
  MatrixView<const float> x;
  MatrixView<float> along_columns;
  MatrixView<float> along_rows;
  MatrixView<float> along_columns_low;
  MatrixView<float> along_rows_low;
};

/// Copies of a weight W (inputs, outputs) that follow every change of it: what the products read.
struct WeightCopies {
  Products products = Products::float32;
  float* forward = nullptr;     // panels of W in pairs; null for float32, which reads W itself
  float* transposed = nullptr;  // panels of W^T, floats or pairs; null: nobody reads them
  Index transposed_width = 0;
  float* forward_low = nullptr;  // bfloat16_3x only
  float* transposed_low = nullptr;
};

/// Which random numbers a matrix (rows, columns) of noise is made of: the words of Philox4x32-10
/// (base/random.h) with key `seed` and counter (block, step, stream). Element (r, c) has word c mod 64 / 16
/// of block
///   ((first_row + r) * ceil(columns / 64) + c / 64) * 16 + c mod 16,
/// so that neighbouring columns are neighbouring lanes on every instruction set. The upper 24 bits of a word
/// are a number n;  (n + 1/2) / 2^24 is uniform in (0, 1), its normal quantile a normal deviate.
struct NoiseSource {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;
  Index first_row = 0;  // of the noise, for row 0 of the matrix
};

/// The loss of the last layer, taken while its tile is at hand. `delta` receives the gradient of
/// scale * sum over features of the loss, at the pre-activation.
struct LossEpilogue {
  Loss loss = Loss::mse;
  MatrixView<const float> target;      // (rows, outputs)
  MatrixView<const float> weights;     // (rows, outputs): factors of the elements' losses; data null: all 1
  float scale = 1.0f;                  // of the gradient: 1 / (rows of the batch * features)
  const float* row_weights = nullptr;  // (rows): more factors of the gradient, of mean 1; null: all 1
  float* lanes = nullptr;         // (rows, 16): running sums of the loss; feature j adds to lane j mod 16
  MatrixView<float> delta;        // (rows, outputs); data null: no gradient wanted
  MatrixView<float> slope_terms;  // (rows, outputs), prelu only: dL/dy * min(z, 0)
  const std::int32_t* classes =
      nullptr;                          // (rows), in the target's place: of a single group, which column is 1
  const float* log_variance = nullptr;  // (outputs), padded, gaussian only: v of each output
  MatrixView<float> variance_terms;     // (rows, outputs), gaussian only: dL/dv; data null: not wanted
  SparseView sparse_target{};           // (rows, outputs), in place of target and weights
  std::int32_t* hints = nullptr;        // (rows), sparse target only: places where reading may go on
  // (rows), sparse target only: factors of the stored elements' losses, the others' being 0; null: all 1
  const float* stored_weights = nullptr;
};

/// A matrix with k elements in each row, by rows: columns (rows, k), ascending in each row, and values.
struct SparseRows {
  const std::int32_t* columns = nullptr;  // null: there is none
  MatrixView<const float> values;         // (rows, k)
};

/// The same matrix by columns: the elements e in [starts[c], starts[c + 1]) of column c lie in the row
/// rows[e], ascending, and have the value values[places[e]].
struct SparseColumns {
  const std::int32_t* starts = nullptr;
  const std::int32_t* rows = nullptr;
  const std::int32_t* places = nullptr;
  const float* values = nullptr;
};

/// y = f(x W + b) over all rows and the panels [first, last).
struct DenseForward {
  Products products = Products::float32;
  MatrixView<const float> x;      // (rows, inputs), floats or pairs, as the weights
  MatrixView<const float> x_low;  // bfloat16_3x only
  SparseRows sparse_x;            // instead of x, if there is one, in float32
  SparseView stored_x{};          // (rows, inputs), in place of x: products of floats
  Panels weights;                 // (inputs, outputs)
  Range panels;                   // which of them
  const float* bias = nullptr;    // (outputs), padded to whole panels with zeros
  const float* slope = nullptr;   // (outputs), prelu only, padded likewise
  Activation activation = Activation::identity;
  MatrixView<float> preactivation;  // (rows, outputs); data null: not kept
  MatrixView<float> y;              // (rows, outputs); data null: not kept
  const LossEpilogue* loss = nullptr;
};

/// How dL/dy of a layer becomes dL/dz, z its pre-activation: multiply by f'(z).
struct ActivationGradient {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;   // (rows, units): output or pre-activation, as the activation declares
  const float* slope = nullptr;   // (units), prelu only
  MatrixView<float> delta;        // (rows, units): dL/dz goes here
  MatrixView<float> slope_terms;  // (rows, units): dL/dy * min(z, 0), prelu only
};

/// The layer below receives dL/dz_below = (delta W^T) * f'_below over all rows and the panels [first, last)
/// of W^T.
struct DenseInputGradient {
  Products products = Products::float32;
  MatrixView<const float> delta;      // (rows, outputs), floats or pairs, as the weights
  MatrixView<const float> delta_low;  // bfloat16_3x only
  SparseRows sparse_delta;            // instead of delta, if there is one, in float32
  Panels transposed;                  // W^T (outputs, inputs)
  Range panels;
  ActivationGradient below;
};

enum class Rule : std::uint8_t { sgd, momentum, nesterov, adam, rmsprop };

/// One step of an optimiser as plain data: rates and corrections are those of *this* step.
///   sgd       w -= rate g
///   momentum  u = decay_1 u - rate g;  w += u
///   nesterov  u = decay_1 u - rate g;  w += decay_1 u - rate g
///   adam      m = decay_1 m + gain_1 g;  v = decay_2 v + gain_2 g^2;  w -= rate m / (sqrt(v) root_scale +
///   epsilon) rmsprop   v = decay_2 v + gain_2 g^2;  w -= rate g / (sqrt(v) + epsilon)
/// before which g *= clip, after g += l1 sign(w) + 2 l2 w, and w *= keep (AdamW's decay) first of all on w.
struct UpdateRule {
  Rule rule = Rule::sgd;
  float rate = 0.0f;  // for adam with the first bias correction
  float decay_1 = 0.0f;
  float gain_1 = 1.0f;
  float decay_2 = 0.0f;
  float gain_2 = 1.0f;
  float root_scale = 1.0f;  // 1 / sqrt(1 - beta_2^t)
  float epsilon = 0.0f;
  float keep = 1.0f;  // 1 - rate * weight_decay; 1 for vectors
  float l1 = 0.0f;    // 0 for vectors
  float l2 = 0.0f;
  float clip = 1.0f;
};

/// How much a row counts where weights may be given: a factor of 1 changes no bit.
[[nodiscard]] constexpr float weight_of_row(const float* row_weights, Index row) {
  return row_weights == nullptr ? 1.0f : row_weights[row];
}

/// How many moments (arrays of the weights' size) a rule keeps.
[[nodiscard]] constexpr int moments_of(Rule rule) {
  return rule == Rule::sgd ? 0 : rule == Rule::adam ? 2 : 1;
}

/// One summand of a weight gradient: a^T b over the rows of the slab, of floats or of pairs along them.
struct GradientTerm {
  MatrixView<const float> a;  // (rows, inputs of the weight)
  MatrixView<const float> b;  // (rows, outputs of the weight)
  SparseView sparse_a{};      // in place of a
};

/// What the columns of a sparse matrix are of a weight.
enum class SparseSide : std::uint8_t {
  rows,     // its inputs: the term is S^T dense
  columns,  // its outputs: dense^T S
};

/// The vectors of a weight that are kept at norm 1, each being what a code unit adds to the layer above it.
enum class UnitVectors : std::uint8_t { none, rows, columns };

/// One summand of a weight gradient that has few elements: rows in their order, whatever the blocks.
struct SparseTerm {
  SparseSide side = SparseSide::rows;
  SparseColumns sparse;           // of a matrix (rows, inputs) or (rows, outputs)
  MatrixView<const float> dense;  // (rows, the other side)
};

/// The units of a sparse code that were met in any of the terms, which all have the same side.
struct TouchedUnits {
  const SparseTerm* terms = nullptr;
  int count = 0;  // 0: all units count as met
};

/// delta . row of W (units, outputs), for the k units of each row of the batch.
struct SparseDots {
  MatrixView<const float> delta;  // (rows, outputs)
  Panels weights;
  SparseRows sparse;       // which units
  MatrixView<float> dots;  // (rows, k)
};

/// What happens to a finished gradient.
enum class GradientUse : std::uint8_t {
  store,   // write it (penalties included when `penalize`) to `gradient`
  update,  // apply the rule to weights, moments and the packed copy on the spot
};

/// One unit of the weights phase: rows [row, row + 48) by one panel of a weight and its moments. The gradient
/// is the sum of the terms and, where there are `unit_factors`, of the weights themselves, column j times the
/// sum of unit_factors' column j over the rows.
struct DenseWeightGradient {
  const GradientTerm* terms = nullptr;
  int term_count = 0;
  MatrixView<const float> unit_factors;  // (rows, outputs); data null: none
  const SparseTerm* sparse_terms = nullptr;
  int sparse_count = 0;
  bool touched_only = false;  // update only rows or columns that have a gradient (adam, without penalties)
  std::int32_t* hints = nullptr;  // (rows), sparse terms only: places where reading may go on
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;     // of the panels
  Index unit_row = 0;  // first row of the unit, a multiple of kUnitRows
  Index panel = 0;
  float* weights = nullptr;  // panels of W
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  WeightCopies copies;
  float* gradient = nullptr;  // panels like W: sums of earlier slabs, or the store's destination
  bool add_stored = false;    // begin from what `gradient` holds
  bool last = true;           // false: more slabs follow, only store the running sum
  GradientUse use = GradientUse::update;
  const UpdateRule* rule = nullptr;
  // Per 16 x 16 block of W, (ceil(inputs/16), ceil(outputs/16)) or null. Fixed blocks: the same on every
  // machine.
  float* penalty_sums = nullptr;  // l1 |w| + l2 w^2 before the update
  float* square_sums = nullptr;   // of the stored gradient, for its norm
};

/// A vector parameter (bias, slope): its gradient is the column sum of `terms` (rows, units).
struct VectorGradient {
  MatrixView<const float> terms;
  Range columns;  // a multiple of 16 at both ends (the end may reach into the padding)
  Index units = 0;
  float* weights = nullptr;  // (units), padded
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  float* gradient = nullptr;
  bool add_stored = false;
  bool last = true;
  GradientUse use = GradientUse::update;
  const UpdateRule* rule = nullptr;
  float* square_sums = nullptr;  // (ceil(units/16))
};

/// The update alone, from a gradient stored earlier (and clipped by rule->clip): one unit or one range of
/// columns.
struct StoredUpdate {
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;
  Index unit_row = 0;
  Index panel = 0;
  float* weights = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  WeightCopies copies;
  const float* gradient = nullptr;
  const UpdateRule* rule = nullptr;
  TouchedUnits touched;  // whose rows or columns alone are updated (adam)
};

/// dL/dz = dL/dy f'(z) for all rows of a gradient that no product has just made.
struct ChainRule {
  MatrixView<const float> gradient;  // (rows, units): dL/dy
  ActivationGradient below;
};

/// Some of a weight's unit vectors u: kUnitRows rows in all panels, or the columns of one panel in all rows.
///   remove_parallel    g -= (g . u) / (u . u) u, g being the stored gradient: what is left turns u alone
///   normalize_vectors  u /= |u|, and the packed copies. False: a norm is not finite
/// A vector of zeros stays one. Sums run along a row in 16 lanes, feature j in lane j mod 16, and along a
/// column in the order of the rows.
struct VectorStrip {
  UnitVectors vectors = UnitVectors::rows;
  Index first = 0;  // row, a multiple of kUnitRows; or panel
  Index inputs = 0;
  Index outputs = 0;
  Index width = 0;
  float* weights = nullptr;
  float* gradient = nullptr;
  WeightCopies copies;
  TouchedUnits touched;          // whose vectors alone are looked at
  float* square_sums = nullptr;  // as DenseWeightGradient's, of the gradient that is left; or null
};

enum class CorruptionKind : std::uint8_t { gaussian, masking, salt_and_pepper };

/// Where x is NaN, nothing was observed: x becomes 0, and the weight of the element's loss too. That of the
/// others is 1, or with `rescale` features / (how many of the row were observed), so that a row's loss is the
/// mean over these; a group of columns is one feature. In a row without any, all weights are NaN: its loss is
/// unknown.
struct MaskMissing {
  MatrixView<float> x;        // (rows, columns), changed in place
  MatrixView<float> weights;  // (rows, columns)
  bool rescale = true;
  Index features = 0;             // columns, a group counting as one
  const Range* groups = nullptr;  // (group_count), each observed or not as a whole
  Index group_count = 0;
};

/// y = x with noise:
///   gaussian         x + scale * normal
///   masking          0 where n < threshold, n the noise's 24 bits
///   salt_and_pepper  0 or 1, by the lowest bit of the noise's word, where n < threshold
struct Corrupt {
  CorruptionKind kind = CorruptionKind::gaussian;
  NoiseSource noise;
  float scale = 0.0f;
  std::int32_t threshold = 0;        // fraction * 2^24
  MatrixView<const float> x;         // (rows, features)
  MatrixView<float> y;               // (rows, features)
  MatrixView<const float> observed;  // (rows, features) or null: weights so far; 0 where x must stay 0
  MatrixView<float> weights;         // (rows, features) or null: the factors that follow, times those so far
  float corrupted_weight = 1.0f;
  float clean_weight = 1.0f;
};

/// Masking noise on stored elements: y = 0 where n < threshold, n the noise's 24 bits of the element's row
/// and column; the same as `corrupt` makes of the whole row.
struct MaskStored {
  NoiseSource noise;
  std::int32_t threshold = 0;
  SparseView x;
  float* y = nullptr;  // laid out as x's values
};

/// factors = 0 where n < threshold, n the noise's 24 bits, else scale;  y = factors x (Srivastava et al.
/// 2014).
struct DropOut {
  NoiseSource noise;
  std::int32_t threshold = 0;  // rate * 2^24
  float scale = 1.0f;          // 1 / (1 - rate)
  MatrixView<const float> x;   // (rows, units)
  MatrixView<float> y;         // (rows, units)
  MatrixView<float> factors;   // (rows, units)
};

/// delta *= factors, then the chain rule.
struct FactorGradient {
  MatrixView<const float> factors;  // (rows, units)
  MatrixView<float> delta;          // (rows, units): dL/dy, changed in place
  ActivationGradient below;
};

/// Mean and variance (of the population) of columns over all rows, which count by weights of mean 1.
struct ColumnMoments {
  MatrixView<const float> x;           // (rows, units)
  const float* row_weights = nullptr;  // (rows); null: all 1
  Range columns;                       // a multiple of 16 at both ends
  float* mean = nullptr;               // (units), padded
  float* variance = nullptr;
};

/// n = (x - mean) / sqrt(variance + epsilon);  z = scale n + shift (Ioffe & Szegedy 2015).
struct Normalization {
  const float* mean = nullptr;  // (units), padded, as the next two
  const float* variance = nullptr;
  const float* scale = nullptr;
  float epsilon = 0.0f;
};

struct Normalize {
  Normalization by;
  MatrixView<const float> x;     // (rows, units)
  const float* shift = nullptr;  // (units), padded
  const float* slope = nullptr;  // (units), prelu only
  Activation activation = Activation::identity;
  MatrixView<float> preactivation;  // (rows, units): z; data null: not kept
  MatrixView<float> y;              // (rows, units): f(z)
};

/// terms = delta n: their column sums are the gradient of the scale.
struct ScaleTerms {
  Normalization by;
  MatrixView<const float> x;      // (rows, units)
  MatrixView<const float> delta;  // (rows, units): dL/dz
  MatrixView<float> terms;        // (rows, units)
};

/// dL/dx = scale / sqrt(variance + epsilon) (delta - share w (sum of delta + n sum of terms)), the sums being
/// over all rows of the batch and w the row's weight; then the chain rule. Without sums, mean and variance
/// are constants.
struct NormalizeGradient {
  Normalization by;
  MatrixView<const float> x;          // (rows, units)
  MatrixView<const float> delta;      // (rows, units): dL/dz
  const float* delta_sums = nullptr;  // (units), padded
  const float* term_sums = nullptr;
  float share = 0.0f;                  // 1 / rows of the batch
  const float* row_weights = nullptr;  // (rows); null: all 1
  MatrixView<float> gradient;          // (rows, units): dL/dx
  ActivationGradient below;
};

/// How far a Gaussian code is from N(0, 1):
enum class Divergence : std::uint8_t {
  exact,    // KL(N(m, e^s) || N(0, 1))
  sampled,  // log N(z; m, e^s) - log N(z; 0, 1) of the sample z: what importance weights are made of
};

/// z = m + e^(s/2) noise, s = 10 tanh(v / 10) (Kingma & Welling 2014), and its divergence summed over units.
struct GaussianSample {
  NoiseSource noise;
  Index units = 0;
  MatrixView<const float> moments;  // (rows, 2 units): the means m, then v
  MatrixView<float> z;              // (rows, units)
  MatrixView<float> deviation;      // (rows, units): e^(s/2) noise; data null: not kept
  MatrixView<float> divergence;     // (rows, 1)
  Divergence divergence_kind = Divergence::exact;
};

/// Gradients in m and v, from that in z and divergence_scale * unit_factor * that of the exact divergence.
struct GaussianGradient {
  Index units = 0;
  MatrixView<const float> moments;    // (rows, 2 units)
  MatrixView<const float> deviation;  // (rows, units)
  MatrixView<const float> dz;         // (rows, units)
  float divergence_scale = 0.0f;
  const float* row_weights = nullptr;  // (rows): factors of the divergence; null: all 1
  const float* unit_factor = nullptr;  // (units), padded; null: all 1
  MatrixView<float> delta;             // (rows, 2 units)
};

/// Penalties on a layer's outputs y: delta += row weight * (l1 sign(y) + unit_gradient), then the chain rule.
struct ActivityGradient {
  MatrixView<const float> y;  // (rows, units)
  float l1 = 0.0f;
  const float* row_weights = nullptr;    // (rows); null: all 1
  const float* unit_gradient = nullptr;  // (units), padded; null: none
  MatrixView<float> delta;               // (rows, units): dL/dy, changed in place
  ActivationGradient below;
};

/// The gradient of the elements that top_k kept: delta where y is not 0, then the chain rule. (An element
/// that was kept and is 0 gets none: at 0 it is a matter of taste.)
struct TopKGradient {
  MatrixView<const float> y;  // (rows, units)
  MatrixView<float> delta;    // (rows, units): dL/dy, changed in place
  ActivationGradient below;
};

/// The squared Frobenius norm of the Jacobian of y = f(x W + b), one layer, row by row:
///   sum over units of f'(z)^2 n,  n the squared norm of the unit's weights  (Rifai et al. 2011)
/// and its gradients, each times `scale`, unless `direct` is null:
///   direct        2 f'(z) f''(z) n       in z; for prelu, whose f'' is 0, 2 f'(z) n where z <= 0, in the
///   slope unit_factors  2 f'(z)^2              times the weights: in the weights
struct JacobianNorm {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units): output or pre-activation, as the activation declares
  const float* slope = nullptr;  // (units), prelu only
  const float* squared_norms = nullptr;  // (units), padded
  float scale = 1.0f;
  const float* row_weights = nullptr;  // (rows): more factors of the gradients; null: all 1
  MatrixView<float> norms;             // (rows, 1): without either
  MatrixView<float> direct;
  MatrixView<float> unit_factors;
};

/// A direction of the input on its way through a layer:  tangent = f'(z) product,  where the product is that
/// of the tangent below with the weights.
struct TangentForward {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units)
  const float* slope = nullptr;  // (units), prelu only
  MatrixView<const float> product;
  MatrixView<float> tangent;
};

/// The way back: a gradient in the tangent becomes one in the product, in place, and what the layer's own
/// pre-activation has of it takes the product's place:
///   product  gradient product f''(z);  for prelu gradient product where z <= 0, in the slope
///   gradient gradient f'(z)
struct TangentBackward {
  Activation activation = Activation::identity;
  MatrixView<const float> kept;  // (rows, units)
  const float* slope = nullptr;  // (units), prelu only
  MatrixView<float> gradient;
  MatrixView<float> product;
};

/// Of each row, y_j = e^z_j / sum of e^z over the columns of j's group; columns of no group pass as they are.
/// With a loss that joins columns, also that loss and its gradient at z, where nothing overflows: with
/// targets t, weights w, a = w t,
///   categorical_crossentropy  sum over a group of -a log y;  gradient  y sum a - a
///   kl_divergence             the same, plus a log t;        the same gradient
/// and (z - t)^2 in a column of no group. Other losses are those of y, without a gradient.
struct GroupedSoftmax {
  MatrixView<const float> z;      // (rows, columns)
  const Range* groups = nullptr;  // consecutive columns each, in ascending order
  Index group_count = 0;
  MatrixView<float> y;  // (rows, columns); data null: not wanted
  const LossEpilogue* loss = nullptr;
};

/// Binary states of units that are 1 with these probabilities: y = 1 where n < p 2^24, n the noise's 24 bits.
struct BernoulliSample {
  NoiseSource noise;
  MatrixView<const float> p;  // (rows, units)
  MatrixView<float> y;        // (rows, units); may be p
};

/// out = scale w (a - b), w the weight of the row
struct ScaledDifference {
  MatrixView<const float> a;  // (rows, units), and so the others
  MatrixView<const float> b;
  float scale = 1.0f;
  const float* row_weights = nullptr;  // (rows); null: all 1
  MatrixView<float> out;
};

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

/// Whether this machine computes products of bfloat16 pairs with this table faster than those of floats.
[[nodiscard]] bool pairs_are_faster(const KernelTable& table);

/// Whether the form of products that is asked for is to be used even where it is slower, or computed in
/// float32: DIABOLO_FORCE_MATMUL_PRECISION=1, for tests.
[[nodiscard]] bool forces_precision();

/// The table of that name. Throws std::invalid_argument, listing the levels, if this machine has none.
[[nodiscard]] const KernelTable& find_table(const char* name);

}  // namespace diabolo::kernels
