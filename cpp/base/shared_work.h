// SharedWork: a phase's pieces of work, in contiguous shares. Every worker begins with its own, so that it
// meets the same data at every step; who is done takes over pieces of those who are not, for a core may be
// busy with something else.
#pragma once

#include <atomic>
#include <vector>

#include "base/matrix.h"
#include "base/team.h"

namespace diabolo {

class SharedWork {
 public:
  explicit SharedWork(int most_workers) : places_(static_cast<std::size_t>(most_workers)) {}

  /// Before a team sets out: it may have another number of workers than the last one, or that was stopped.
  void reset() {
    for (Place& place : places_) {
      place.taken[0] = place.taken[1] = 0;
      place.round = 0;
    }
  }

  /// Calls `work(piece)` for this worker's share of a round, `share(index)` being everyone's, and then for
  /// pieces that others have not begun. False from `work` ends the worker's round. The workers meet between
  /// two rounds.
  template <class Share, class Work>
  void run(const Worker& worker, const Share& share, const Work& work) {
    if (worker.count() == 1) {
      const Range all = share(0);
      for (Index piece = all.begin; piece < all.end && work(piece); ++piece) {
      }
      return;
    }
    // Two sets of counts take turns: one is cleared while nobody looks at it, so that pieces of a worker who
    // comes late to a round can be counted already.
    Place& own = place(worker.index());
    const unsigned set = own.round++ % 2;
    own.taken[1 - set].store(0, std::memory_order_relaxed);
    for (int i = 0; i < worker.count(); ++i) {
      const int owner = (worker.index() + i) % worker.count();
      const Range pieces = share(owner);
      std::atomic<Index>& taken = place(owner).taken[set];
      while (true) {
        const Index piece = pieces.begin + taken.fetch_add(1, std::memory_order_relaxed);
        if (piece >= pieces.end) break;
        if (!work(piece)) return;
      }
    }
  }

 private:
  /// A line of the cache for each worker.
  struct alignas(64) Place {
    std::atomic<Index> taken[2] = {0, 0};
    unsigned round = 0;
  };

  [[nodiscard]] Place& place(int worker) { return places_[static_cast<std::size_t>(worker)]; }

  std::vector<Place> places_;
};

}  // namespace diabolo
