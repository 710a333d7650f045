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

  static constexpr int kDraws = 4;

  /// Four uniform integers below bound, bound - 1, bound - 2 and bound - 3 (below 1 where that is less), for
  /// one block's price: two from each half of it, the second from the fraction that the first left over
  /// (Brackett-Rozinsky & Lemire, "Batched ranged random integer generation", 2024). The bias, below
  /// bound^2 / 2^64, is immaterial.
  [[nodiscard]] std::array<std::uint64_t, kDraws> below_falling(std::uint64_t bound,
                                                                std::uint64_t index) const {
    const Block b = block(index);
    const auto at_least_1 = [bound](std::uint64_t less) { return bound > less ? bound - less : 1; };
    const Product first = product(std::uint64_t{b[1]} << 32 | b[0], at_least_1(0));
    const Product second = product(first.low, at_least_1(1));
    const Product third = product(std::uint64_t{b[3]} << 32 | b[2], at_least_1(2));
    const Product fourth = product(third.low, at_least_1(3));
    return {first.high, second.high, third.high, fourth.high};
  }

  /// Standard normal deviate: the inverse of the normal distribution at a uniform draw.
  [[nodiscard]] double normal(std::uint64_t index) const { return inverse_normal(uniform(index)); }

  /// The quantile of the standard normal distribution at 0 < p < 1, relative error about 1e-16
  /// (Wichura, "Algorithm AS 241", Applied Statistics 37, 1988).
  [[nodiscard]] static double inverse_normal(double p);

 private:
  /// The 128 bits of a product.
  struct Product {
    std::uint64_t high;
    std::uint64_t low;
  };

  [[nodiscard]] static Product product(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide whole = static_cast<Wide>(a) * b;
    return {static_cast<std::uint64_t>(whole >> 64), static_cast<std::uint64_t>(whole)};
  }

  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint32_t step_;
};

}  // namespace diabolo
