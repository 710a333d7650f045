// See row_order.h.
#include "data/row_order.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace diabolo {
namespace {

/// Fisher & Yates, from the last place down: draw i decides who stands at place i. Draws are made a few at a
/// time, so that the places they name, anywhere in memory, are on their way while the next are drawn.
void shuffle(const Random& random, std::vector<Index>& items) {
  constexpr std::size_t most = 16;
  static_assert(most % Random::kDraws == 0);
  std::array<std::uint64_t, most> drawn;
  for (std::size_t rest = items.size(); rest > 1;) {
    const std::size_t count = std::min(most, rest);
    for (std::size_t k = 0; k < count; k += Random::kDraws) {
      const auto draws = random.below_falling(rest - k, rest - k);
      for (std::size_t i = 0; i < draws.size(); ++i) {
        drawn[k + i] = draws[i];
        __builtin_prefetch(&items[draws[i]], 1);
      }
    }
    for (std::size_t k = 0; k < count; ++k) std::swap(items[rest - 1 - k], items[drawn[k]]);
    rest -= count;
  }
}

}  // namespace

RowOrder::RowOrder(const Rows& rows, Shuffle shuffle, std::uint64_t seed, Index window)
    : rows_(rows), shuffle_(shuffle), seed_(seed), window_(window) {
  if (shuffle == Shuffle::rows) permutation_.resize(static_cast<std::size_t>(rows.count()));
  if (shuffle == Shuffle::blocks) {
    permutation_.resize(static_cast<std::size_t>((rows.count() + window - 1) / window));
    inside_.reserve(static_cast<std::size_t>(std::min(window, rows.count())));
  }
}

void RowOrder::begin_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  position_ = 0;
  window_number_ = 0;
  inside_.clear();
  inside_position_ = 0;
  if (shuffle_ == Shuffle::none) return;
  std::iota(permutation_.begin(), permutation_.end(), Index{0});
  shuffle(Random(seed_, RandomStream::shuffle, static_cast<std::uint32_t>(epoch)), permutation_);
}

void RowOrder::enter_window() {
  const Index number = permutation_[static_cast<std::size_t>(window_number_++)];
  const Index first = number * window_;
  inside_.resize(static_cast<std::size_t>(std::min(window_, rows_.count() - first)));
  std::iota(inside_.begin(), inside_.end(), first);
  // Every window of every epoch has a stream of its own: its number is folded into the seed.
  const Random random(seed_ + static_cast<std::uint64_t>(number) * 0x9E3779B97F4A7C15ull,
                      RandomStream::windows, static_cast<std::uint32_t>(epoch_));
  shuffle(random, inside_);
  inside_position_ = 0;
}

void RowOrder::next(Index count, Index* source_rows) {
  for (Index i = 0; i < count; ++i, ++position_) {
    if (shuffle_ == Shuffle::none) {
      source_rows[i] = rows_.source_row(position_);
    } else if (shuffle_ == Shuffle::rows) {
      source_rows[i] = rows_.source_row(permutation_[static_cast<std::size_t>(position_)]);
    } else {
      if (inside_position_ == inside_.size()) enter_window();
      source_rows[i] = rows_.source_row(inside_[inside_position_++]);
    }
  }
}

Index RowOrder::planned_bytes(Index rows, Shuffle shuffle, Index window) {
  if (shuffle == Shuffle::none) return 0;
  const Index entries =
      shuffle == Shuffle::rows ? rows : (rows + window - 1) / window + std::min(window, rows);
  return entries * static_cast<Index>(sizeof(Index));
}

Index RowOrder::window_rows(Index features, Index batch_size) {
  constexpr Index bytes = 16 << 20;  // a disk's read-ahead many times over; a few per cent of a small memory
  return std::max({bytes / (4 * std::max<Index>(features, 1)), 4 * batch_size, Index{1024}});
}

}  // namespace diabolo
