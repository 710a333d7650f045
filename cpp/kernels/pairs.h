// Floats as pairs of bfloat16 numbers, the form that products of less than float32 precision take their
// factors in (kernels/arguments/products.h), and what two-way splitting leaves over.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

using Words = std::uint32_t __attribute__((vector_size(kLanes * 4)));
using Halves = std::uint16_t __attribute__((vector_size(kLanes * 2)));
using LooseHalves __attribute__((aligned(2), may_alias)) = Halves;
static_assert(alignof(LooseHalves) == 2);

/// The bfloat16 next to each lane, ties to even, as a 16-bit number.
DIABOLO_INLINE Words to_bfloat16(Vec v) {
  const Words bits = (Words)v;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

DIABOLO_INLINE Vec from_bfloat16(Words halves) { return (Vec)(halves << 16); }

/// Part 0 of a number is its bfloat16, part 1 the bfloat16 of what that leaves over.
template <int part>
DIABOLO_INLINE Words bfloat16_part(Vec v) {
  const Words high = to_bfloat16(v);
  if constexpr (part == 0) return high;
  return to_bfloat16(v - from_bfloat16(high));
}

DIABOLO_INLINE void store_pairs(float* to, Words first, Words second) {
  store(to, (Vec)(first | (second << 16)));
}

/// kLanes numbers become kLanes / 2 neighbouring pairs.
DIABOLO_INLINE void store_neighbours(float* to, Words halves) {
  *reinterpret_cast<LooseHalves*>(to) = __builtin_convertvector(halves, Halves);
}

/// The second number of a pair.
DIABOLO_INLINE void clear_second(float* pair) {
  *pair = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, *pair) & 0xffffu);
}

/// Two rows of a matrix, or one and zeros, as pairs in both directions; destinations may be null.
template <int part>
DIABOLO_INLINE void pack_two_rows(const float* first, const float* second, Index cols, float* first_pairs,
                                  float* second_pairs, float* both) {
  for (Index c = 0; c < cols; c += kLanes) {
    const Words a = bfloat16_part<part>(load(first + c));
    const Words b = second == nullptr ? Words{} : bfloat16_part<part>(load(second + c));
    if (first_pairs != nullptr) store_neighbours(first_pairs + c / 2, a);
    if (second_pairs != nullptr) store_neighbours(second_pairs + c / 2, b);
    if (both != nullptr) store_pairs(both + c, a, b);
  }
  if (cols % 2 == 0) return;
  if (first_pairs != nullptr) clear_second(first_pairs + cols / 2);
  if (second_pairs != nullptr) clear_second(second_pairs + cols / 2);
}

template <int part>
void pack_part(MatrixView<const float> x, MatrixView<float> along_columns, MatrixView<float> along_rows) {
  const auto pairs_of_row = [&](Index r) {
    return along_columns.data == nullptr ? nullptr : along_columns.row(r);
  };
  for (Index r = 0; r < x.rows; r += 2) {
    const bool two = r + 1 < x.rows;
    pack_two_rows<part>(x.row(r), two ? x.row(r + 1) : nullptr, x.cols, pairs_of_row(r),
                        two ? pairs_of_row(r + 1) : nullptr,
                        along_rows.data == nullptr ? nullptr : along_rows.row(r / 2));
  }
}

inline void pack_pairs(const PackPairs& p) {
  pack_part<0>(p.x, p.along_columns, p.along_rows);
  if (p.along_columns_low.data != nullptr || p.along_rows_low.data != nullptr) {
    pack_part<1>(p.x, p.along_columns_low, p.along_rows_low);
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
