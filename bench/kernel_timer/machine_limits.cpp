// See machine_limits.h. Threads are those of diabolo::Team, which is what training uses.
#include "machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <utility>

#include "base/aligned.h"
#include "base/team.h"
#include "base/workspace.h"
#include "dot_peak.h"
#include "fma_peak.h"
#include "kernels/kernels.h"

namespace machine_limits {
namespace {

namespace kernels = diabolo::kernels;
using diabolo::AlignedBuffer;
using diabolo::Index;
using diabolo::Team;
using diabolo::Worker;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What a call of `work(worker, repeats)` by every thread moves or does in a second, at best; `amount` is
/// what one repeat by one thread amounts to. The clock runs from one meeting to the next.
double best_rate(int threads, double amount, int rounds, double seconds,
                 const std::function<void(const Worker&, long)>& work) {
  Team team(threads);
  long repeats = 1;
  double best = 0.0;
  int came = 1;
  const auto round = [&] {
    double elapsed = 0.0;
    team.run([&](Worker& worker) {
      (void)worker.meet();
      const Clock::time_point start = Clock::now();
      work(worker, repeats);
      (void)worker.meet();
      if (worker.is_caller()) {
        elapsed = seconds_since(start);
        came = worker.count();
      }
    });
    return elapsed;
  };
  while (round() < seconds) repeats *= 2;
  for (int i = 0; i < rounds; ++i) {
    best = std::max(best, amount * came * static_cast<double>(repeats) / round());
  }
  if (came != threads) throw std::runtime_error("fewer threads came than were asked for.");
  return best;
}

using Run = double (*)(long iterations);

std::vector<std::pair<std::string, Run>> runs() {
  std::vector<std::pair<std::string, Run>> list;
  const kernels::TableList tables = kernels::available_tables();
  const auto add_if_available = [&](const char* name, Run run) {
    for (int i = 0; i < tables.count; ++i) {
      if (std::string(tables.tables[i]->name) == name) list.emplace_back(name, run);
    }
  };
#if defined(__x86_64__)
  add_if_available("baseline", fma_peak::baseline::run);
  add_if_available("avx2", fma_peak::avx2::run);
  add_if_available("avx512", fma_peak::avx512::run);
#else
  add_if_available("neon", fma_peak::neon::run);
#endif
  if (const Run run = dot_peak::avx512_bf16()) list.emplace_back("avx512_bf16", run);
  if (const Run run = dot_peak::amx_bf16()) list.emplace_back("amx_bf16", run);
  return list;
}

/// Reads with the widest loads of this machine.
fma_peak::Read widest_read() {
  const kernels::TableList tables = kernels::available_tables();
  fma_peak::Read widest = nullptr;
  for (int i = 0; i < tables.count; ++i) {
    const std::string name = tables.tables[i]->name;
#if defined(__x86_64__)
    if (name == "avx512") return fma_peak::avx512::read;
    if (name == "avx2") widest = fma_peak::avx2::read;
    if (name == "baseline" && widest == nullptr) widest = fma_peak::baseline::read;
#else
    widest = fma_peak::neon::read;
#endif
  }
  return widest;
}

}  // namespace

std::vector<std::string> peaks() {
  std::vector<std::string> names;
  for (const auto& [name, run] : runs()) names.push_back(name);
  return names;
}

double peak(const std::string& name, int threads, int rounds, double seconds) {
  for (const auto& [known, run] : runs()) {
    if (known != name) continue;
    constexpr long kIterations = 1000;
    const double amount = run(kIterations);
    return best_rate(threads, amount, rounds, seconds, [run = run](const Worker&, long repeats) {
      for (long i = 0; i < repeats; ++i) (void)run(kIterations);
    });
  }
  throw std::invalid_argument("no peak is known for " + name + " on this machine.");
}

double bandwidth(Traffic traffic, long bytes, int threads, int rounds, double seconds) {
  const Index count = diabolo::round_up(std::max<Index>(1, bytes / static_cast<long>(sizeof(float))), 256);
  const fma_peak::Read read = widest_read();
  std::vector<AlignedBuffer<float>> buffers;
  for (int i = 0; i < threads; ++i) buffers.emplace_back(count);
  // Each thread touches its own buffer first, so that its pages lie near it.
  Team(threads).run([&](const Worker& worker) {
    float* x = buffers[static_cast<std::size_t>(worker.index())].data();
    std::fill_n(x, count, 1.0f);
  });
  const double amount = static_cast<double>(count) * sizeof(float);
  return best_rate(threads, amount, rounds, seconds, [&](const Worker& worker, long repeats) {
    float* x = buffers[static_cast<std::size_t>(worker.index())].data();
    for (long i = 0; i < repeats; ++i) {
      if (traffic == Traffic::read) {
        read(x, count);
      } else {
        std::memcpy(x, x + count / 2, static_cast<std::size_t>(count / 2) * sizeof(float));
        __asm__ volatile("" ::: "memory");  // each copy is meant
      }
    }
  });
}

double meeting(int threads, int rounds, double seconds) {
  Team team(threads);
  long repeats = 16;
  double best = 1e9;
  const auto round = [&] {
    double elapsed = 0.0;
    team.run([&](Worker& worker) {
      (void)worker.meet();
      const Clock::time_point start = Clock::now();
      for (long i = 0; i < repeats; ++i) (void)worker.meet();
      if (worker.is_caller()) elapsed = seconds_since(start);
    });
    return elapsed;
  };
  while (round() < seconds) repeats *= 2;
  for (int i = 0; i < rounds; ++i) best = std::min(best, round() / static_cast<double>(repeats));
  return best;
}

double region(int threads, int rounds, double seconds) {
  Team team(threads);
  long repeats = 16;
  double best = 1e9;
  const auto round = [&] {
    const Clock::time_point start = Clock::now();
    for (long i = 0; i < repeats; ++i) team.run([](Worker&) {});
    return seconds_since(start);
  };
  while (round() < seconds) repeats *= 2;
  for (int i = 0; i < rounds; ++i) best = std::min(best, round() / static_cast<double>(repeats));
  return best;
}

}  // namespace machine_limits
