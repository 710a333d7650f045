// Random numbers in matrices, and what is done with them: corruption, dropout, states of units.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/activation.h"

namespace diabolo::kernels {

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

enum class CorruptionKind : std::uint8_t { gaussian, masking, salt_and_pepper };

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

/// Binary states of units that are 1 with these probabilities: y = 1 where n < p 2^24, n the noise's 24 bits.
struct BernoulliSample {
  NoiseSource noise;
  MatrixView<const float> p;  // (rows, units)
  MatrixView<float> y;        // (rows, units); may be p
};

}  // namespace diabolo::kernels
