// Counter-based random numbers: a draw is a pure function of (seed, stream, step, index), so no result
// depends on who draws it or when. Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011). No state, no libm: normal deviates are our own fixed-order arithmetic, the same on every
// machine.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace diabolo {

/// What a stream of draws is for. Streams never overlap.
/// Those for noise leave their upper bits to the number of the layer that draws.
enum class RandomStream : std::uint32_t {
  weights = 1,
  shuffle = 2,
  windows = 3,
  split = 4,
  training_noise = 5,
  validation_noise = 6,
  inference_noise = 7,
};

class Random {
 public:
  using Block = std::array<std::uint32_t, 4>;

  Random(std::uint64_t seed, RandomStream stream, std::uint32_t step = 0)
      : seed_(seed), stream_(static_cast<std::uint32_t>(stream)), step_(step) {}

  /// 128 random bits for `index`.
  [[nodiscard]] Block block(std::uint64_t index) const {
    Block c{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), step_, stream_};
    auto k0 = static_cast<std::uint32_t>(seed_);
    auto k1 = static_cast<std::uint32_t>(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }

  /// Uniform in the open interval (0, 1), 52 bits.
  [[nodiscard]] double uniform(std::uint64_t index) const {
    const Block b = block(index);
    const std::uint64_t bits = (std::uint64_t{b[1]} << 32 | b[0]) >> 12;
    return (static_cast<double>(bits) + 0.5) * 0x1p-52;
  }

  /// Two uniform integers, in [0, bound) and [0, second_bound), for one block's price; bounds >= 1. The bias
  /// of the multiplication, below bound / 2^64, is immaterial.
  [[nodiscard]] std::array<std::uint64_t, 2> two_below(std::uint64_t bound, std::uint64_t second_bound,
                                                       std::uint64_t index) const {
    const Block b = block(index);
    return {high_product(std::uint64_t{b[1]} << 32 | b[0], bound),
            high_product(std::uint64_t{b[3]} << 32 | b[2], second_bound)};
  }

  /// Standard normal deviate: the inverse of the normal distribution at a uniform draw.
  [[nodiscard]] double normal(std::uint64_t index) const { return inverse_normal(uniform(index)); }

  /// The quantile of the standard normal distribution at 0 < p < 1, relative error about 1e-16
  /// (Wichura, "Algorithm AS 241", Applied Statistics 37, 1988).
  [[nodiscard]] static double inverse_normal(double p);

 private:
  [[nodiscard]] static std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    return a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & 0xffffffffu)) >> 32);
  }

  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint32_t step_;
};

}  // namespace diabolo
