// See group_sums.h.
#include "data/group_sums.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/aligned.h"
#include "data/column_statistics.h"

namespace diabolo {
namespace {

/// As in column_statistics.cpp: enough rows to amortise the loops, few enough for a cache.
constexpr Index kPieceRows = 32;

/// Operations per element, for polling: reading from a disk is slow, so poll often.
constexpr double kCostPerElement = 50.0;

/// What is left of 1 by rounding to float16, twice over.
constexpr double kTolerance = 1e-3;

bool is_proper(const double* row, Range group, bool zeros_allowed) {
  double sum = 0.0;
  bool inside = true;
  Index missing = 0;
  for (Index c = group.begin; c < group.end; ++c) {
    missing += std::isnan(row[c]) ? 1 : 0;
    inside = inside && row[c] >= 0.0 && row[c] <= 1.0;
    sum += row[c];
  }
  if (missing > 0) return missing == group.size();
  return inside && (std::abs(sum - 1.0) <= kTolerance || (zeros_allowed && sum == 0.0));
}

}  // namespace

std::optional<GroupOfRow> find_improper_group(const Rows& rows, const std::vector<Range>& groups,
                                              bool zeros_allowed, int threads, PollHook* hook) {
  const Index features = rows.features();
  const auto count = static_cast<Index>(groups.size());
  const Index pieces = (rows.count() + kPieceRows - 1) / kPieceRows;
  std::atomic<Index> found{rows.count() * count};  // row * count + group
  AlignedBuffer<double> buffer(threads * kPieceRows * features);
  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const MatrixView<double> x{buffer.data() + worker.index() * kPieceRows * features, kPieceRows, features,
                               features};
    const Range share = worker.share(pieces);
    for (Index piece = share.begin; piece < share.end; ++piece) {
      const Index first = piece * kPieceRows;
      if (first * count >= found.load()) return;
      Index list[kPieceRows];
      const Index here = std::min(kPieceRows, rows.count() - first);
      for (Index i = 0; i < here; ++i) list[i] = rows.source_row(first + i);
      rows.gather_exact(list, here, x);
      for (Index at = 0; at < here * count; ++at) {
        if (is_proper(x.row(at / count), groups[static_cast<std::size_t>(at % count)], zeros_allowed))
          continue;
        const Index place = first * count + at;
        Index known = found.load();
        while (place < known && !found.compare_exchange_weak(known, place)) {
        }
        break;
      }
      if (worker.poll(kCostPerElement * static_cast<double>(here * features))) return;
    }
  });
  if (stopped) throw Interrupted{};
  if (found.load() == rows.count() * count) return std::nullopt;
  return GroupOfRow{rows.source_row(found.load() / count), found.load() % count};
}

}  // namespace diabolo
