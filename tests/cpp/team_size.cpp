// All threads work while that is faster; one alone soon after it has become faster; and all again later.
#include "base/team_size.h"

#include <cstdio>

using diabolo::Index;

namespace {

constexpr Index kBatch = 256;

/// Seconds a row, by all threads and by one.
struct Machine {
  double all;
  double one;
};

/// Works for so many seconds and returns the share of the rows that one thread alone worked on.
double share_of_one(diabolo::TeamSize& size, const Machine& machine, double seconds) {
  double rows_of_one = 0.0, rows = 0.0;
  for (int stretch = 0; seconds > 0.0; ++stretch) {
    const Index batches = size.pieces(kBatch);
    const auto count = static_cast<double>(batches * kBatch);
    const bool one = size.threads() == 1;
    // Some stretches take longer than others, of either size.
    const double took = count * (one ? machine.one : machine.all) * (stretch % 7 == 3 ? 1.2 : 1.0);
    size.took(took, batches * kBatch);
    seconds -= took;
    rows += count;
    if (one) rows_of_one += count;
  }
  return rows_of_one / rows;
}

bool expect(const char* what, double share, double low, double high) {
  const bool right = share >= low && share <= high;
  std::printf("%s: %.3f of the rows by one%s\n", what, share, right ? "" : " WRONG");
  return right;
}

}  // namespace

int main() {
  constexpr Machine idle{1e-7, 1.8e-7};
  constexpr Machine crowded{7e-7, 1.9e-7};
  constexpr Machine alike{1.85e-7, 1.8e-7};  // no gain worth a change
  bool right = true;

  diabolo::TeamSize size(2);
  size.took(5e-3, kBatch);  // the first batch: threads begin, nothing is in cache
  right = expect("idle", share_of_one(size, idle, 10.0), 0.0, 0.05) && right;
  right = expect("crowded", share_of_one(size, crowded, 10.0), 0.9, 1.0) && right;
  right = expect("idle again", share_of_one(size, idle, 20.0), 0.0, 0.3) && right;
  right = expect("idle for long", share_of_one(size, idle, 20.0), 0.0, 0.02) && right;
  right = expect("alike", share_of_one(size, alike, 10.0), 0.0, 0.1) && right;

  diabolo::TeamSize single(1);
  right = right && single.threads() == 1 && single.pieces(kBatch) > 1000000000;
  return right ? 0 : 1;
}
