// See fingerprint.h. Pieces of fixed size have a checksum each, and these together have the one that is
// returned.
#include "data/fingerprint.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/crc32.h"

namespace diabolo {
namespace {

/// As in column_statistics.cpp: enough rows to amortise the loops, few enough for a cache.
constexpr Index kPieceRows = 32;

/// Operations per element, for polling: reading from a disk is slow, so poll often.
constexpr double kCostPerElement = 50.0;

}  // namespace

std::optional<std::uint32_t> fingerprint(const Rows& rows, int threads, PollHook* hook) {
  const Index features = rows.features();
  const Index pieces = (rows.count() + kPieceRows - 1) / kPieceRows;
  std::vector<std::uint32_t> checksums(static_cast<std::size_t>(pieces));
  AlignedBuffer<double> buffer(threads * kPieceRows * features);
  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const Range mine = worker.share(pieces);
    double* const values = buffer.data() + worker.index() * kPieceRows * features;
    for (Index piece = mine.begin; piece < mine.end; ++piece) {
      Index list[kPieceRows];
      const Index first = piece * kPieceRows;
      const Index count = std::min(kPieceRows, rows.count() - first);
      for (Index i = 0; i < count; ++i) list[i] = rows.source_row(first + i);
      rows.gather_exact(list, count, {values, count, features, features});
      const std::span<const double> read(values, static_cast<std::size_t>(count * features));
      checksums[static_cast<std::size_t>(piece)] = crc32(std::as_bytes(read));
      if (worker.poll(kCostPerElement * static_cast<double>(count * features))) return;
    }
  });
  if (stopped) return std::nullopt;
  if (rows.has_weights()) {
    std::vector<double> weights;
    for (Index i = 0; i < rows.count(); ++i) weights.push_back(rows.weight(rows.source_row(i)));
    checksums.push_back(crc32(std::as_bytes(std::span(weights))));
  }
  return crc32(std::as_bytes(std::span(checksums)));
}

}  // namespace diabolo
