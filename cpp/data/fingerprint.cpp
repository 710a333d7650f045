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

/// The checksum of pieces' checksums, and of the rows' weights if they have any.
std::uint32_t joined(std::vector<std::uint32_t>& checksums, const Rows& rows) {
  if (rows.has_weights()) {
    std::vector<double> weights;
    for (Index i = 0; i < rows.count(); ++i) weights.push_back(rows.weight(rows.source_row(i)));
    checksums.push_back(crc32(std::as_bytes(std::span(weights))));
  }
  return crc32(std::as_bytes(std::span(checksums)));
}

/// The checksum of each piece of stored elements: columns and values, row by row.
class StoredChecksums {
 public:
  StoredChecksums(const Rows& rows, int workers)
      : rows_(rows),
        table_(*rows.sparse()),
        most_(table_.most_stored()),
        values_(workers * most_),
        columns_(workers * most_) {}

  /// Of rows [range) of the selection, by a worker's own buffers; adds to `cost` what it took.
  std::uint32_t of(Range range, int worker, double& cost) {
    double* const values = values_.data() + worker * most_;
    std::int32_t* const columns = columns_.data() + worker * most_;
    std::vector<std::uint32_t> of_rows;
    for (Index i = range.begin; i < range.end; ++i) {
      const auto count =
          static_cast<std::size_t>(table_.read_exact(rows_.source_row(i), most_, values, columns));
      of_rows.push_back(crc32(std::as_bytes(std::span<const std::int32_t>(columns, count))));
      of_rows.push_back(crc32(std::as_bytes(std::span<const double>(values, count))));
      cost += kCostPerElement * static_cast<double>(count);
    }
    return crc32(std::as_bytes(std::span<const std::uint32_t>(of_rows)));
  }

 private:
  const Rows& rows_;
  const SparseTable& table_;
  const Index most_;
  AlignedBuffer<double> values_;
  AlignedBuffer<std::int32_t> columns_;
};

std::optional<std::uint32_t> fingerprint_stored(const Rows& rows, int threads, PollHook* hook) {
  const Index pieces = (rows.count() + kPieceRows - 1) / kPieceRows;
  std::vector<std::uint32_t> checksums(static_cast<std::size_t>(pieces));
  StoredChecksums stored(rows, threads);
  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const Range mine = worker.share(pieces);
    for (Index piece = mine.begin; piece < mine.end; ++piece) {
      double cost = 0.0;
      const Range range{piece * kPieceRows, std::min((piece + 1) * kPieceRows, rows.count())};
      checksums[static_cast<std::size_t>(piece)] = stored.of(range, worker.index(), cost);
      if (worker.poll(cost)) return;
    }
  });
  if (stopped) return std::nullopt;
  return joined(checksums, rows);
}

}  // namespace

std::optional<std::uint32_t> fingerprint(const Rows& rows, int threads, PollHook* hook) {
  if (rows.sparse() != nullptr) return fingerprint_stored(rows, threads, hook);
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
  return joined(checksums, rows);
}

}  // namespace diabolo
