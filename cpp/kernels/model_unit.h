// A model of the tile unit (tile_model.h) in the place of AmxUnit: each thread has one, as it would have
// registers.
#pragma once

#include "kernels/tile_model.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

constinit thread_local TileModel tiles;

struct ModelUnit {
  static void configure(const TileShapes& shapes) { tiles.configure(shapes); }
  static void release() { tiles.release(); }

  template <int tile>
  static void zero() {
    tiles.zero(tile);
  }
  template <int tile>
  static void load(const float* from, Index stride) {
    tiles.load(tile, from, stride * 4);
  }
  template <int tile>
  static void store(float* to, Index stride) {
    tiles.store(tile, to, stride * 4);
  }
  template <int sum, int left, int right>
  static void add_products() {
    tiles.add_products(sum, left, right);
  }
};

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
