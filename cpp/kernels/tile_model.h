// A tile unit as plain arithmetic, for tests and for machines without one: what Intel's manual says of each
// instruction of AMX-TILE and AMX-BF16, checks of operands included. It is slow, and made to be read.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/tile_shapes.h"

namespace diabolo::kernels {

/// Ends the process with a message, where a processor would raise #UD or #GP.
[[noreturn]] void tile_fault(const char* what);

class TileModel {
 public:
  /// LDTILECFG: #GP if the shapes are not valid; all tiles become zero.
  void configure(const TileShapes& shapes);

  /// TILERELEASE
  void release();

  /// TILEZERO
  void zero(int tile);

  /// TILELOADD: the tile's rows, each `stride` bytes after the one before. What lies beyond them becomes
  /// zero.
  void load(int tile, const void* from, Index stride);

  /// TILESTORED
  void store(int tile, void* to, Index stride) const;

  /// TDPBF16PS: of each pair the first numbers' products are summed over k from 0 on, the second numbers'
  /// apart from them, each step rounded once; the sum of the two sums is added to what `sum` held.
  void add_products(int sum, int left, int right);

 private:
  struct Tile {
    std::uint32_t row[kTileRows][kTileLanes] = {};
  };

  void require_tile(int tile) const;

  TileShapes shapes_;
  Tile tiles_[kTiles];
};

}  // namespace diabolo::kernels
