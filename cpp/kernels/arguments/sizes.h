// The sizes that kernels and layers agree on: blocks of rows, units of weights, groups of columns.
#pragma once

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

}  // namespace diabolo::kernels
