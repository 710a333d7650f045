// Team on OpenMP. Threads meet at a barrier of our own, because libgomp's either spins without bound (a busy
// machine stalls it) or sleeps at once (29 us a meeting, measured), and because ours can keep the caller
// polling.
#include "base/team.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/float_state.h"
#include "base/process_limits.h"

namespace diabolo {
namespace {

constexpr std::chrono::milliseconds kPollInterval{20};

// Reading the clock costs about 25 ns; half a million operations take at least 2 us.
constexpr double kCostPerClockLook = 5e5;

// On an idle machine the others arrive within microseconds; past this a sleeper wastes nothing.
constexpr std::chrono::microseconds kSpin{50};

// libgomp's threads do not survive a fork, and waiting for them would hang the child: there, work serially.
const pid_t loading_process = getpid();

void pause_briefly() {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

int usable_threads() {
  if (const char* wish = std::getenv("OMP_NUM_THREADS")) {
    const long threads = std::strtol(wish, nullptr, 10);
    if (threads >= 1) return static_cast<int>(std::min(threads, 1024L));
  }
  int threads = omp_get_num_procs();
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) threads = CPU_COUNT(&allowed);
#endif
  if (const auto quota = cgroup_cpu_quota())
    threads = std::min(threads, std::max(1, static_cast<int>(*quota)));
  return std::max(threads, 1);
}

Range Worker::share(Index n, Index granule) const {
  const Index granules = (n + granule - 1) / granule;
  const Index begin = granules * index_ / count_ * granule;
  const Index end = granules * (index_ + 1) / count_ * granule;
  return {std::min(begin, n), std::min(end, n)};
}

bool Worker::meet() { return team_.meet(is_caller()); }

bool Worker::poll(double cost) {
  unpolled_cost_ += cost;
  if (unpolled_cost_ >= kCostPerClockLook) {
    unpolled_cost_ = 0.0;
    if (is_caller()) team_.ask_hook();
  }
  return team_.stop_requested_.load(std::memory_order_relaxed);
}

void Worker::stop() { team_.stop_requested_.store(true, std::memory_order_relaxed); }

void Team::prepare_thread() const {
  set_float_state(working_float_state());
  if (preparation_.prepare != nullptr) preparation_.prepare();
}

void Team::release_thread(unsigned float_state) const {
  if (preparation_.release != nullptr) preparation_.release();
  set_float_state(float_state);
}

void Team::ask_hook() {
  if (hook_ == nullptr) return;
  const auto now = Clock::now();
  if (now - last_poll_ < kPollInterval) return;
  release_thread(caller_state_);
  if (hook_->should_stop()) stop_requested_.store(true, std::memory_order_relaxed);
  prepare_thread();
  last_poll_ = Clock::now();
}

bool Team::meet(bool is_caller) {
  const unsigned round = round_.load(std::memory_order_relaxed);
  // A caller whose own shares are empty polls here; every 64th meeting, since one may take less than a clock
  // look.
  if (is_caller && round % 64 == 0) ask_hook();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == expected_) {
    arrived_.store(0, std::memory_order_relaxed);
    stopping_ = stop_requested_.load(std::memory_order_relaxed);
    // Sequentially consistent, as is a sleeper's look at `round_` after it has announced itself: one of the
    // two sees the other, so nobody sleeps through a round.
    round_.store(round + 1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      const std::lock_guard lock(mutex_);
      wake_.notify_all();
    }
    return stopping_;
  }
  const auto turned = [&] { return round_.load(std::memory_order_seq_cst) != round; };
  const auto deadline = Clock::now() + kSpin;
  for (int look = 1; !turned(); ++look) {
    pause_briefly();
    if (look % 64 != 0 || Clock::now() < deadline) continue;
    if (is_caller) ask_hook();
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (!turned()) {
      if (!is_caller || hook_ == nullptr) {
        wake_.wait(lock, turned);
      } else if (!wake_.wait_for(lock, kPollInterval, turned)) {
        lock.unlock();
        ask_hook();
        lock.lock();
      }
    }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    break;
  }
  return stopping_;
}

bool Team::run_erased(int threads, ErasedBody call, const void* body) {
  const bool forked = getpid() != loading_process;
  stop_requested_.store(false, std::memory_order_relaxed);
  arrived_.store(0, std::memory_order_relaxed);
  stopping_ = false;
  caller_state_ = float_state();

  const auto work = [&](int index, int count) {
    const unsigned before = float_state();
    prepare_thread();
    Worker worker(*this, index, count);
    call(body, worker);
    release_thread(before);
  };
  if (threads == 1 || forked) {
    expected_ = 1;
    work(0, 1);
  } else {
#pragma omp parallel num_threads(threads)
    {
      // Count those that really came. The barrier is OpenMP's: ours needs the count.
#pragma omp single
      expected_ = omp_get_num_threads();
      work(omp_get_thread_num(), omp_get_num_threads());
    }
  }
  return stop_requested_.load(std::memory_order_relaxed);
}

}  // namespace diabolo
