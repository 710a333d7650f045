// See observed.h.
#include "data/observed.h"

#include <algorithm>
#include <vector>

#include "base/aligned.h"
#include "data/column_statistics.h"

namespace diabolo {
namespace {

/// As in column_statistics.cpp: enough rows to amortise the loops, few enough for a cache.
constexpr Index kPieceRows = 32;

/// Operations per element, for polling: reading from a disk is slow, so poll often.
constexpr double kCostPerElement = 50.0;

/// What one worker has seen of its share.
struct Seen {
  std::optional<Index> empty_row;
  std::vector<char> columns;  // 1 where a value was
};

}  // namespace

Unobserved find_unobserved(const Rows& rows, int threads, PollHook* hook) {
  const Index features = rows.features();
  const Index pieces = (rows.count() + kPieceRows - 1) / kPieceRows;
  const std::vector<char> nothing(static_cast<std::size_t>(features));
  std::vector<Seen> of_worker(static_cast<std::size_t>(threads), Seen{std::nullopt, nothing});
  AlignedBuffer<double> buffer(threads * kPieceRows * features);
  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    Seen& seen = of_worker[static_cast<std::size_t>(worker.index())];
    const MatrixView<double> x{buffer.data() + worker.index() * kPieceRows * features, kPieceRows, features,
                               features};
    const Range share = worker.share(pieces);
    for (Index piece = share.begin; piece < share.end; ++piece) {
      Index list[kPieceRows];
      const Index first = piece * kPieceRows;
      const Index count = std::min(kPieceRows, rows.count() - first);
      for (Index i = 0; i < count; ++i) list[i] = rows.source_row(first + i);
      rows.gather_exact(list, count, x);
      for (Index r = 0; r < count; ++r) {
        bool any = false;
        for (Index c = 0; c < features; ++c) {
          const bool is_there = x.row(r)[c] == x.row(r)[c];
          any |= is_there;
          seen.columns[static_cast<std::size_t>(c)] |= static_cast<char>(is_there);
        }
        if (!any && !seen.empty_row) seen.empty_row = list[r];
      }
      if (worker.poll(kCostPerElement * static_cast<double>(count * features))) return;
    }
  });
  if (stopped) throw Interrupted{};
  Unobserved found;
  for (Index c = 0; c < features && !found.column; ++c) {
    const auto at = static_cast<std::size_t>(c);
    const auto has = [&](const Seen& seen) { return seen.columns[at] != 0; };
    if (std::none_of(of_worker.begin(), of_worker.end(), has)) found.column = c;
  }
  for (const Seen& seen : of_worker) {  // shares are in the order of the rows
    if (seen.empty_row && !found.row) found.row = seen.empty_row;
  }
  return found;
}

}  // namespace diabolo
