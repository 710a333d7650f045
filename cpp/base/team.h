// Team: how many threads work, where they meet, and how the caller stays in touch while they do. The only
// part of the library that knows OpenMP. It knows nothing of what the work is.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/matrix.h"

namespace diabolo {

/// Asked about every 20 ms on the caller's own thread, with the caller's floating-point state; true stops the
/// run.
class PollHook {
 public:
  virtual ~PollHook() = default;
  [[nodiscard]] virtual bool should_stop() noexcept = 0;
};

/// What a worker's thread is prepared with, beside its floating-point state, and released from when it has
/// done, and while the hook runs. Null: nothing.
struct ThreadPreparation {
  void (*prepare)() = nullptr;
  void (*release)() = nullptr;
};

/// Threads this process may use: OMP_NUM_THREADS if set, else the CPU affinity, cut by the cgroup's quota.
[[nodiscard]] int usable_threads();

class Team;

/// One thread's place in a running team. Layers and phases get it by reference; kernels never see it.
class Worker {
 public:
  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] int count() const { return count_; }
  [[nodiscard]] bool is_caller() const { return index_ == 0; }

  /// This worker's contiguous share of n items, in multiples of `granule` (the last share takes the rest).
  [[nodiscard]] Range share(Index n, Index granule = 1) const;

  /// Every worker waits here for the others. True: the run is being stopped, and everyone learns it here
  /// together.
  [[nodiscard]] bool meet();

  /// Called between pieces of work of about `cost` floating-point operations. True: leave the phase early;
  /// its results will not be used.
  [[nodiscard]] bool poll(double cost);

  /// Ends the run: the next meeting tells everyone.
  void stop();

 private:
  friend class Team;
  Worker(Team& team, int index, int count) : team_(team), index_(index), count_(count) {}

  Team& team_;
  int index_;
  int count_;
  double unpolled_cost_ = 0.0;
};

class Team {
 public:
  /// Fewer threads may come than are asked for: inside another parallel region, under a thread limit, after a
  /// fork.
  explicit Team(int threads, PollHook* hook = nullptr, ThreadPreparation preparation = {})
      : threads_(threads), hook_(hook), preparation_(preparation) {}
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  [[nodiscard]] int threads() const { return threads_; }

  /// One parallel region: every worker runs `body(worker)` with denormals flushed, default rounding, and
  /// traps off. The body must not throw. Returns true if the poll hook or a worker stopped it.
  template <class Body>
  bool run(const Body& body) {
    return run(threads_, body);
  }

  /// The same with other than all threads.
  template <class Body>
  bool run(int threads, const Body& body) {
    return run_erased(threads, [](const void* b, Worker& w) { (*static_cast<const Body*>(b))(w); }, &body);
  }

 private:
  friend class Worker;
  using ErasedBody = void (*)(const void* body, Worker& worker);
  using Clock = std::chrono::steady_clock;

  bool run_erased(int threads, ErasedBody call, const void* body);
  void prepare_thread() const;
  void release_thread(unsigned float_state) const;
  void ask_hook();
  bool meet(bool is_caller);

  const int threads_;
  PollHook* const hook_;
  const ThreadPreparation preparation_;
  Clock::time_point last_poll_ = Clock::now();
  unsigned caller_state_ = 0;  // the caller's floating-point control word, for the hook

  // The barrier: the last to arrive starts a new round. Spin first, then sleep.
  int expected_ = 1;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_requested_{false};
  bool stopping_ = false;  // written by the last to arrive, so all agree
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace diabolo
