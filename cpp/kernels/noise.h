// Random numbers on vectors: the words of Philox4x32-10 for a matrix of noise, and normal deviates of them.
// The numbers themselves are the same on every instruction set; normal deviates on all with fused
// multiply-add.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Columns that 16 blocks of four words serve.
inline constexpr Index kNoiseGroup = 4 * kGroup;

/// The four words of a block in each lane.
struct NoiseWords {
  VecU word[4];
};

DIABOLO_INLINE VecU broadcast_word(std::uint32_t x) {
  return (VecU)broadcast_int(static_cast<std::int32_t>(x));
}

/// Philox4x32-10 (Salmon et al. 2011; base/random.h) of the blocks whose index has these halves.
DIABOLO_INLINE NoiseWords philox(const NoiseSource& source, VecU low, VecU high) {
  VecU c[4] = {low, high, broadcast_word(source.step), broadcast_word(source.stream)};
  auto key_0 = static_cast<std::uint32_t>(source.seed);
  auto key_1 = static_cast<std::uint32_t>(source.seed >> 32);
  const VecI factor_0 = (VecI)broadcast_word(0xD2511F53u);
  const VecI factor_1 = (VecI)broadcast_word(0xCD9E8D57u);
  for (int round = 0; round < 10; ++round) {
    const WideProduct p0 = multiply_wide(factor_0, (VecI)c[0]);
    const WideProduct p1 = multiply_wide(factor_1, (VecI)c[2]);
    c[0] = (VecU)p1.high ^ c[1] ^ broadcast_word(key_0);
    c[1] = (VecU)p1.low;
    c[2] = (VecU)p0.high ^ c[3] ^ broadcast_word(key_1);
    c[3] = (VecU)p0.low;
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

/// The same of the blocks first, first + 1, ...; `first` is a multiple of 16, so that no lane carries into
/// the upper half of the index.
DIABOLO_INLINE NoiseWords philox(const NoiseSource& source, std::uint64_t first) {
  return philox(source, broadcast_word(static_cast<std::uint32_t>(first)) + (VecU)lane_numbers(),
                broadcast_word(static_cast<std::uint32_t>(first >> 32)));
}

/// Calls `use(column, words)` for each vector of columns of row `row` of the noise; the last may reach up to
/// 15 columns beyond the end.
template <class Use>
DIABOLO_INLINE void for_noise(const NoiseSource& source, Index row, Index columns, const Use& use) {
  const Index groups = (columns + kNoiseGroup - 1) / kNoiseGroup;
  for (Index group = 0; group < groups; ++group) {
    const Index block = ((source.first_row + row) * groups + group) * kGroup;
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      const NoiseWords words = philox(source, static_cast<std::uint64_t>(block + lane));
      for (int w = 0; w < 4; ++w) {
        const Index column = group * kNoiseGroup + w * kGroup + lane;
        if (column < columns) use(column, words.word[w]);
      }
    }
  }
}

/// The words of single elements: those in `column` of row `row` of a noise with so many columns.
static_assert(kGroup == 16 && kNoiseGroup == 64);
DIABOLO_INLINE VecU noise_at(const NoiseSource& source, Index row, Index columns, VecI column) {
  const Index groups = (columns + kNoiseGroup - 1) / kNoiseGroup;
  const auto first = static_cast<std::uint64_t>((source.first_row + row) * groups * kGroup);
  const VecU base = broadcast_word(static_cast<std::uint32_t>(first));
  const VecU low = base + (VecU)(((column >> 6) << 4) + (column & 15));
  const VecU carry = (VecU)(low < base) & 1;
  const NoiseWords words =
      philox(source, low, broadcast_word(static_cast<std::uint32_t>(first >> 32)) + carry);
  const VecI which = (column >> 4) & 3;
  return which < 2 ? (which < 1 ? words.word[0] : words.word[1])
                   : (which < 3 ? words.word[2] : words.word[3]);
}

/// The upper 24 bits of a word.
DIABOLO_INLINE VecI noise_bits(VecU word) { return (VecI)(word >> 8); }

/// sqrt 2 erfinv(x), x = 2 p - 1, the normal quantile of p = (n + 1/2) / 2^24; |x| < 1 and never 0, and
/// exact. With w = -log(1 - x^2), erfinv is x times a polynomial in w - 5/2, or beyond w = 5 in sqrt w - 3
/// (Giles, "Approximating the erfinv function", GPU Computing Gems, 2010): relative error below 1e-6.
DIABOLO_INLINE Vec normal_deviate(VecU word) {
  const VecI odd = (noise_bits(word) << 1) + 1 - (1 << 24);
  const Vec x = __builtin_convertvector(odd, Vec) * 0x1p-24f;
  const Vec w = -log((1.0f - x) * (1.0f + x));
  const Vec central =
      polynomial(w - 2.5f, 1.50140941f, 0.246640727f, -0.00417768164f, -0.00125372503f, 0.00021858087f,
                 -4.39150654e-06f, -3.5233877e-06f, 3.43273939e-07f, 2.81022636e-08f);
  const Vec tail =
      polynomial(sqrt(w) - 3.0f, 2.83297682f, 1.00167406f, 0.00943887047f, -0.0076224613f, 0.00573950773f,
                 -0.00367342844f, 0.00134934322f, 0.000100950558f, -0.000200214257f);
  return select(w < 5.0f, central, tail) * (x * 0x1.6a09e6p+0f);
}

/// A matrix of normal deviates.
void normal_noise(const NoiseSource& source, MatrixView<float> out) {
  for (Index r = 0; r < out.rows; ++r) {
    for_noise(source, r, out.cols,
              [&](Index column, VecU word) { store(out.row(r) + column, normal_deviate(word)); });
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
