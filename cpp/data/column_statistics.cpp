// See column_statistics.h.
#include "data/column_statistics.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "base/check.h"

namespace diabolo {
namespace {

/// Rows taken at once: enough to amortise the loops, few enough that 20,000 features fit a cache.
constexpr Index kPieceRows = 32;

/// Operations per element of a pass, for polling: reading from a disk is slow, so poll often.
constexpr double kCostPerElement = 50.0;

constexpr const char* kOnlyDense = "sparse rows are read by their stored elements.";

Index pieces_of(const Rows& rows) { return (rows.count() + kPieceRows - 1) / kPieceRows; }

Range rows_of_piece(const Rows& rows, Index piece) {
  return {piece * kPieceRows, std::min((piece + 1) * kPieceRows, rows.count())};
}

/// The source rows of a range of the selection.
void list_rows(const Rows& rows, Range range, Index* list) {
  for (Index i = range.begin; i < range.end; ++i) list[i - range.begin] = rows.source_row(i);
}

/// As find_invalid, of the stored elements: the others are 0, which is never refused.
std::optional<Cell> find_invalid_stored(const Rows& rows, float low, float high, int threads,
                                        PollHook* hook) {
  const SparseTable& table = *rows.sparse();
  const Index most = table.most_stored();
  AlignedBuffer<float> values(threads * most);
  AlignedBuffer<std::int32_t> columns(threads * most);
  std::atomic<Index> first_row{rows.count()};
  const auto bad = [&](float x) { return !(x >= low && x <= high) || x - x != 0.0f; };

  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    float* const own = values.data() + worker.index() * most;
    const Range share = worker.share(rows.count());
    for (Index row = share.begin; row < share.end && row < first_row.load(); ++row) {
      const Index count = table.read(rows.source_row(row), most, own, columns.data() + worker.index() * most);
      if (std::any_of(own, own + count, bad)) {
        Index known = first_row.load();
        while (row < known && !first_row.compare_exchange_weak(known, row)) {
        }
        break;
      }
      if (worker.poll(kCostPerElement * static_cast<double>(count))) return;
    }
  });
  if (stopped) throw Interrupted{};
  if (first_row.load() == rows.count()) return std::nullopt;
  const Index row = rows.source_row(first_row.load());
  const Index count = table.read(row, most, values.data(), columns.data());
  const Index at = std::find_if(values.data(), values.data() + count, bad) - values.data();
  return Cell{row, columns[at]};
}

/// Weight, mean and sum of squared deviations of what some rows hold, per column.
struct Moments {
  std::vector<double> weight;
  std::vector<double> mean;
  std::vector<double> squares;

  explicit Moments(std::size_t columns) : weight(columns), mean(columns), squares(columns) {}
};

/// `weights` (rows) are those of the rows.
void moments_of(MatrixView<const double> x, const double* weights, Moments& m) {
  std::fill(m.weight.begin(), m.weight.end(), 0.0);
  std::fill(m.mean.begin(), m.mean.end(), 0.0);
  std::fill(m.squares.begin(), m.squares.end(), 0.0);
  double* total = m.weight.data();
  double* mean = m.mean.data();
  double* squares = m.squares.data();
  for (Index r = 0; r < x.rows; ++r) {
    for (Index c = 0; c < x.cols; ++c) {
      const double value = x.row(r)[c];
      const bool counts = value == value;
      total[c] += counts ? weights[r] : 0.0;
      mean[c] += counts ? weights[r] * value : 0.0;
    }
  }
  for (Index c = 0; c < x.cols; ++c) mean[c] = total[c] > 0.0 ? mean[c] / total[c] : 0.0;
  for (Index r = 0; r < x.rows; ++r) {
    for (Index c = 0; c < x.cols; ++c) {
      const double d = x.row(r)[c] - mean[c];
      squares[c] += d == d ? weights[r] * d * d : 0.0;
    }
  }
}

/// Chan, Golub & LeVeque (1983): the moments of two samples together.
void merge(const Moments& other, Moments& total) {
  for (std::size_t c = 0; c < total.mean.size(); ++c) {
    if (other.weight[c] == 0.0) continue;
    const double n = other.weight[c] + total.weight[c];
    const double d = other.mean[c] - total.mean[c];
    total.mean[c] += d * (other.weight[c] / n);
    total.squares[c] += other.squares[c] + d * d * (total.weight[c] * other.weight[c] / n);
    total.weight[c] = n;
  }
}

}  // namespace

std::optional<Cell> find_invalid(const Rows& rows, float low, float high, bool missing_allowed, int threads,
                                 PollHook* hook) {
  if (rows.sparse() != nullptr) return find_invalid_stored(rows, low, high, threads, hook);
  const Index features = rows.features();
  std::atomic<Index> first_piece{pieces_of(rows)};
  AlignedBuffer<float> buffer(threads * kPieceRows * features);
  const auto bad = [&](float x) {
    if (missing_allowed && x != x) return false;
    return !(x >= low && x <= high) || x - x != 0.0f;
  };
  const auto read = [&](Index piece, MatrixView<float> out) {
    Index list[kPieceRows];
    const Range range = rows_of_piece(rows, piece);
    list_rows(rows, range, list);
    rows.gather(list, range.size(), Scaler(), out);
    return range;
  };

  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const MatrixView<float> out{buffer.data() + worker.index() * kPieceRows * features, kPieceRows, features,
                                features};
    const Range share = worker.share(pieces_of(rows));
    for (Index piece = share.begin; piece < share.end && piece < first_piece.load(); ++piece) {
      const Index count = read(piece, out).size() * features;
      if (std::any_of(out.data, out.data + count, bad)) {
        Index known = first_piece.load();
        while (piece < known && !first_piece.compare_exchange_weak(known, piece)) {
        }
        break;
      }
      if (worker.poll(kCostPerElement * static_cast<double>(count))) return;
    }
  });
  if (stopped) throw Interrupted{};
  if (first_piece.load() == pieces_of(rows)) return std::nullopt;
  const MatrixView<float> out{buffer.data(), kPieceRows, features, features};
  const Range range = read(first_piece.load(), out);
  const Index at = std::find_if(out.data, out.data + range.size() * features, bad) - out.data;
  return Cell{rows.source_row(range.begin + at / features), at % features};
}

ColumnMoments column_moments(const Rows& rows, int threads, PollHook* hook) {
  require(rows.sparse() == nullptr, kOnlyDense);
  // Pieces are merged in order, a wave at a time: the same sums for any number of threads, in little memory.
  constexpr Index wave = 16;
  const Index features = rows.features();
  const auto columns = static_cast<std::size_t>(features);
  std::vector<Moments> pieces(wave, Moments(columns));
  Moments total(columns);
  AlignedBuffer<double> buffer(threads * kPieceRows * features);

  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const MatrixView<double> x{buffer.data() + worker.index() * kPieceRows * features, kPieceRows, features,
                               features};
    for (Index first = 0; first < pieces_of(rows); first += wave) {
      const Index count = std::min(wave, pieces_of(rows) - first);
      const Range share = worker.share(count);
      for (Index i = share.begin; i < share.end; ++i) {
        Index list[kPieceRows];
        const Range range = rows_of_piece(rows, first + i);
        list_rows(rows, range, list);
        rows.gather_exact(list, range.size(), x);
        double weights[kPieceRows];
        for (Index r = 0; r < range.size(); ++r) weights[r] = rows.weight(list[r]);
        moments_of({x.data, range.size(), features, features}, weights, pieces[static_cast<std::size_t>(i)]);
        if (worker.poll(kCostPerElement * static_cast<double>(range.size() * features))) break;
      }
      if (worker.meet()) return;
      if (worker.is_caller()) {
        for (Index i = 0; i < count; ++i) merge(pieces[static_cast<std::size_t>(i)], total);
      }
      if (worker.meet()) return;
    }
  });
  if (stopped) throw Interrupted{};
  for (std::size_t c = 0; c < columns; ++c) {
    total.squares[c] = total.weight[c] > 0.0 ? std::sqrt(total.squares[c] / total.weight[c]) : 0.0;
  }
  return {std::move(total.mean), std::move(total.squares), std::move(total.weight)};
}

ColumnRanges column_ranges(const Rows& rows, int threads, PollHook* hook) {
  require(rows.sparse() == nullptr, kOnlyDense);
  const Index features = rows.features();
  const auto columns = static_cast<std::size_t>(features);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const ColumnRanges nothing{std::vector<double>(columns, infinity), std::vector<double>(columns, -infinity)};
  std::vector<ColumnRanges> of_worker(static_cast<std::size_t>(threads), nothing);
  AlignedBuffer<double> buffer(threads * kPieceRows * features);

  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const MatrixView<double> x{buffer.data() + worker.index() * kPieceRows * features, kPieceRows, features,
                               features};
    ColumnRanges& mine = of_worker[static_cast<std::size_t>(worker.index())];
    const Range share = worker.share(pieces_of(rows));
    for (Index piece = share.begin; piece < share.end; ++piece) {
      Index list[kPieceRows];
      const Range range = rows_of_piece(rows, piece);
      list_rows(rows, range, list);
      rows.gather_exact(list, range.size(), x);
      for (Index r = 0; r < range.size(); ++r) {
        for (std::size_t c = 0; c < columns; ++c) {
          mine.minimum[c] = std::min(mine.minimum[c], x.row(r)[c]);
          mine.maximum[c] = std::max(mine.maximum[c], x.row(r)[c]);
        }
      }
      if (worker.poll(kCostPerElement * static_cast<double>(range.size() * features))) return;
    }
  });
  if (stopped) throw Interrupted{};
  ColumnRanges all = nothing;
  for (const ColumnRanges& part : of_worker) {
    for (std::size_t c = 0; c < columns; ++c) {
      all.minimum[c] = std::min(all.minimum[c], part.minimum[c]);
      all.maximum[c] = std::max(all.maximum[c], part.maximum[c]);
    }
  }
  return all;
}

}  // namespace diabolo
