// Every piece of every round is done once, whoever does it, and a worker who comes late finds his done by
// others.
#include "base/shared_work.h"

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

using diabolo::Index;
using diabolo::Range;

namespace {

constexpr Index kPieces = 1000;
constexpr int kRounds = 200;

struct Counts {
  std::vector<std::atomic<int>> done = std::vector<std::atomic<int>>(kPieces);
  std::atomic<Index> taken_over{0};
};

bool run(diabolo::SharedWork& work, int threads) {
  Counts counts;
  std::atomic<bool> right{true};
  work.reset();
  diabolo::Team team(threads);
  team.run([&](diabolo::Worker& worker) {
    const auto share = [&](int index) {
      return Range{kPieces * index / worker.count(), kPieces * (index + 1) / worker.count()};
    };
    const Range mine = share(worker.index());
    for (int round = 0; round < kRounds; ++round) {
      if (worker.index() == 1 && round % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      work.run(worker, share, [&](Index piece) {
        counts.done[static_cast<std::size_t>(piece)].fetch_add(1);
        if (piece < mine.begin || piece >= mine.end) counts.taken_over.fetch_add(1);
        return true;
      });
      if (worker.meet()) return;
      for (Index piece = mine.begin; piece < mine.end; ++piece) {
        if (counts.done[static_cast<std::size_t>(piece)].load() != round + 1) right = false;
      }
      if (worker.meet()) return;
    }
  });
  std::printf("%d threads: %s, %ld taken over\n", threads, right ? "once each" : "WRONG",
              static_cast<long>(counts.taken_over.load()));
  return right && (threads == 1 || counts.taken_over.load() > 0);
}

}  // namespace

int main() {
  diabolo::SharedWork work(7);
  bool right = true;
  for (const int threads : {7, 1, 2, 7, 3}) right = run(work, threads) && right;
  return right ? 0 : 1;
}
