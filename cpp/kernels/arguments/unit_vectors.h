// Weights whose vectors are kept at norm 1.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/products.h"
#include "kernels/arguments/sparse.h"

namespace diabolo::kernels {

/// The vectors of a weight that are kept at norm 1, each being what a code unit adds to the layer above it.
enum class UnitVectors : std::uint8_t { none, rows, columns };

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

}  // namespace diabolo::kernels
