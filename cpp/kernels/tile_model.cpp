// See tile_model.h. After Intel's Software Developer's Manual, volume 2: LDTILECFG, TILELOADD, TDPBF16PS.
#include "kernels/tile_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace diabolo::kernels {
namespace {

/// A float32; denormals count as zero.
float number(std::uint32_t bits) {
  return std::bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

/// The first or second bfloat16 of a pair, a float32 without its lower half.
float number_of_pair(std::uint32_t pair, int half) {
  return number(half == 0 ? pair << 16 : pair & 0xffff0000u);
}

/// x y + z, rounded once to nearest, ties to even; what is tiny after rounding becomes a zero of its sign,
/// whatever the thread's floating-point state. (Of two numbers of 8 bits, or of 1 and a float32, the product
/// is exact in double precision; and where the sum is not, it is too far from a tie between two float32 for
/// the first rounding to matter.)
float multiply_add(float x, float y, float z) {
  // Rounded to 24 bits, what is less than this is less than 2^-126, the least normal number.
  constexpr double tiny = 0x1p-126 * (1.0 - 0x1p-25);
  const double sum = static_cast<double>(x) * static_cast<double>(y) + static_cast<double>(z);
  return static_cast<float>(sum * (std::abs(sum) < tiny ? 0.0 : 1.0));
}

}  // namespace

void tile_fault(const char* what) {
  std::fprintf(stderr, "diabolo: a tile unit would refuse this: %s.\n", what);
  std::abort();
}

void TileModel::configure(const TileShapes& shapes) {
  if (shapes.palette > 1) tile_fault("the palette is neither 0 nor 1");
  if (std::any_of(std::begin(shapes.reserved), std::end(shapes.reserved), [](auto x) { return x != 0; })) {
    tile_fault("a reserved byte of the configuration is not 0");
  }
  for (int t = 0; t < 16; ++t) {
    const int rows = shapes.rows[t];
    const int bytes = shapes.row_bytes[t];
    if (t >= kTiles && (rows != 0 || bytes != 0)) tile_fault("a tile that does not exist is configured");
    if (rows > kTileRows) tile_fault("a tile has more than 16 rows");
    if (bytes > 4 * kTileLanes) tile_fault("a tile has rows of more than 64 bytes");
    if ((rows == 0) != (bytes == 0)) tile_fault("a tile has rows without bytes, or bytes without rows");
  }
  shapes_ = shapes;
  std::fill_n(tiles_, kTiles, Tile{});
}

void TileModel::release() { configure({}); }

void TileModel::zero(int tile) {
  require_tile(tile);
  tiles_[tile] = {};
}

void TileModel::load(int tile, const void* from, Index stride) {
  require_tile(tile);
  tiles_[tile] = {};
  for (int i = 0; i < shapes_.rows[tile]; ++i) {
    std::memcpy(tiles_[tile].row[i], static_cast<const char*>(from) + i * stride, shapes_.row_bytes[tile]);
  }
}

void TileModel::store(int tile, void* to, Index stride) const {
  require_tile(tile);
  for (int i = 0; i < shapes_.rows[tile]; ++i) {
    std::memcpy(static_cast<char*>(to) + i * stride, tiles_[tile].row[i], shapes_.row_bytes[tile]);
  }
}

void TileModel::add_products(int sum, int left, int right) {
  require_tile(sum);
  require_tile(left);
  require_tile(right);
  if (sum == left || sum == right || left == right) tile_fault("a product takes one tile twice");
  const int rows = shapes_.rows[sum];
  const int pairs = shapes_.row_bytes[left] / 4;
  const int columns = shapes_.row_bytes[sum] / 4;
  if (shapes_.rows[left] != rows || shapes_.rows[right] != pairs ||
      shapes_.row_bytes[right] != shapes_.row_bytes[sum]) {
    tile_fault("the tiles of a product do not fit together");
  }
  for (int i = 0; i < rows; ++i) {
    float sums[2][kTileLanes] = {};
    for (int k = 0; k < pairs; ++k) {
      for (int half = 0; half < 2; ++half) {
        const float x = number_of_pair(tiles_[left].row[i][k], half);
        float y[kTileLanes];
        for (int j = 0; j < kTileLanes; ++j) y[j] = number_of_pair(tiles_[right].row[k][j], half);
        for (int j = 0; j < kTileLanes; ++j) sums[half][j] = multiply_add(x, y[j], sums[half][j]);
      }
    }
    for (int j = 0; j < columns; ++j) {
      const float both = multiply_add(1.0f, sums[0][j], sums[1][j]);
      const float total = multiply_add(1.0f, number(tiles_[sum].row[i][j]), both);
      tiles_[sum].row[i][j] = std::bit_cast<std::uint32_t>(total);
    }
  }
}

void TileModel::require_tile(int tile) const {
  if (shapes_.palette == 0) tile_fault("tiles are used before they are configured");
  if (tile < 0 || tile >= kTiles || shapes_.rows[tile] == 0) {
    tile_fault("a tile is used that is not configured");
  }
  if (shapes_.row_bytes[tile] % 4 != 0) tile_fault("a row of a tile is no whole number of lanes");
}

}  // namespace diabolo::kernels
