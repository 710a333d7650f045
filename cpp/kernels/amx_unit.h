// The tile unit of Intel's AMX, instruction by instruction: registers of 16 rows of 64 bytes, and products of
// pairs of bfloat16 between them. The compiler neither uses nor sees these registers, so what stands here is
// all that a thread has in them.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Each of these is one instruction. (Written out, for compilers' own forms of them take register numbers
/// only as literals, and some do not say that they touch memory.)
struct AmxUnit {
  /// LDTILECFG; every tile becomes zero.
  static void configure(const TileShapes& shapes) {
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }

  /// TILERELEASE: until the next configuration there are no tiles.
  static void release() { __asm__ volatile("tilerelease" : : : "memory"); }

  template <int tile>
  static DIABOLO_INLINE void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }

  /// Row i comes from, or goes to, `stride` floats after row i - 1.
  template <int tile>
  static DIABOLO_INLINE void load(const float* from, Index stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride * 4), "i"(tile) : "memory");
  }

  template <int tile>
  static DIABOLO_INLINE void store(float* to, Index stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride * 4), "i"(tile) : "memory");
  }

  /// sum (i, j) += products of the pairs left (i, k), right (k, j), summed over k: see TileModel.
  template <int sum, int left, int right>
  static DIABOLO_INLINE void add_products() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(left), "i"(right));
  }
};

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
