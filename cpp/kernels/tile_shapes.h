// What a tile unit is told before anything else: how many rows and bytes each of its registers has.
#pragma once

#include <cstdint>

namespace diabolo::kernels {

/// Rows of a tile, numbers of 32 bits in a row, and how many tiles there are.
inline constexpr int kTileRows = 16;
inline constexpr int kTileLanes = 16;
inline constexpr int kTiles = 8;

/// The operand of LDTILECFG (Intel's manual, volume 1, "Tile Architecture Details"), 64 bytes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 0;  // 0: no tiles; 1: eight of at most 16 rows of 64 bytes
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};  // the last eight are reserved, as of `rows`
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

}  // namespace diabolo::kernels
