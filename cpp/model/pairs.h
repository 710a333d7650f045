// Pairs: a matrix of floats as pairs of bfloat16 (kernels/arguments/products.h), booked, laid out and made,
// and which form of products a layer gets.
#pragma once

#include "base/workspace.h"
#include "kernels/kernels.h"

namespace diabolo {

/// The high and, if numbers are split in two, the low parts.
template <class Buffer>
struct Pairs {
  Buffer along_columns[2];  // (rows, ceil(cols / 2))
  Buffer along_rows[2];     // (ceil(rows / 2), cols), in whole blocks of 16 rows
  bool left = false;        // as the left factor of a weight gradient (kernels::PackPairs)
};

/// The directions in which products sum over a matrix.
struct PairDirections {
  bool along_columns = false;
  bool along_rows = false;
  bool left = false;  // along rows as the left factor of a weight gradient
};

/// Room for the pairs of a matrix (rows, cols); for float32 none.
[[nodiscard]] Pairs<WorkspacePlan::Buffer> book_pairs(WorkspacePlan& plan, Index rows, Index cols,
                                                      kernels::Products products, PairDirections wanted);
[[nodiscard]] Pairs<MatrixView<float>> lay_out(const Pairs<WorkspacePlan::Buffer>& booked,
                                               Workspace& workspace);

/// Makes the pairs of some rows of x, of which the first has an even number.
void pack_pairs(const kernels::KernelTable& table, MatrixView<float> x, const Pairs<MatrixView<float>>& pairs,
                Range rows);

/// The form of products that a layer asking for `wanted` gets: the wanted one where the machine computes it
/// faster than float32 (kernels::least_width), else float32; always the wanted one if the environment
/// variable DIABOLO_FORCE_MATMUL_PRECISION is 1. Float32, too, where the system does not lend the unit for
/// it.
[[nodiscard]] kernels::Products usable_products(const kernels::KernelTable& table, kernels::Products wanted,
                                                Index inputs, Index outputs);

}  // namespace diabolo
