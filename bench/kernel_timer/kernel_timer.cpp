// Times one kernel on one core and prints, as a line of JSON, the seconds per call of each round. Buffers are
// as small as the shape allows and stay in whatever cache holds them. Also prints the machine's own limits,
// which machine_limits.cpp measures on any number of threads.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/float_state.h"
#include "dense_case.h"
#include "fma_peak.h"
#include "kernels/kernels.h"
#include "machine_limits.h"
#include "model/layer_names.h"

namespace {

namespace kernels = diabolo::kernels;
using diabolo::Index;

constexpr const char* kUsage =
    "kernel_timer isas                                   those of this machine\n"
    "kernel_timer peak ISA                               multiply-adds in registers: the machine's limit\n"
    "kernel_timer peaks                                  those that `limit peak` knows\n"
    "kernel_timer limit peak NAME THREADS                operations a second, all threads together\n"
    "kernel_timer limit read|copy BYTES THREADS          bytes a second through a buffer a thread\n"
    "kernel_timer limit meeting|region THREADS           seconds of a meeting, of a parallel region\n"
    "kernel_timer KERNEL ISA ROWS INPUTS OUTPUTS         a dense layer's kernel\n"
    "kernel_timer KERNEL ISA ROWS INPUTS OUTPUTS FORM    with products of float32, bfloat16_3x or bfloat16\n"
    "kernel_timer evaluate ISA FUNCTION COUNT            an elementary function\n"
    "with, before all else, --rounds N (default 20) and --milliseconds M, the least of a round (default 5)\n";

struct Rounds {
  int count = 20;
  double seconds = 0.005;
};

double seconds_of(const std::function<void()>& call, long calls) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  for (long i = 0; i < calls; ++i) call();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds per call in each round, after enough calls to know how many make a round (and to warm up).
std::vector<double> time_rounds(const std::function<void()>& call, const Rounds& rounds) {
  long calls = 1;
  while (seconds_of(call, calls) < rounds.seconds) calls *= 2;
  std::vector<double> seconds;
  for (int i = 0; i < rounds.count; ++i)
    seconds.push_back(seconds_of(call, calls) / static_cast<double>(calls));
  return seconds;
}

void print(const Work& work, const std::vector<double>& seconds) {
  const double best = *std::min_element(seconds.begin(), seconds.end());
  std::printf("{\"best_seconds\": %.6g, \"operations\": %.0f, \"elements\": %.0f", best, work.operations,
              work.elements);
  if (work.operations > 0.0) std::printf(", \"gflops\": %.4g", 1e-9 * work.operations / best);
  if (work.elements > 0.0) std::printf(", \"ns_per_element\": %.4g", 1e9 * best / work.elements);
  std::printf(", \"seconds\": [");
  for (std::size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.6g", i == 0 ? "" : ", ", seconds[i]);
  std::printf("]}\n");
}

const std::vector<std::pair<std::string, fma_peak::Run>>& peaks() {
  static const std::vector<std::pair<std::string, fma_peak::Run>> list = {
#if defined(__x86_64__)
      {"baseline", fma_peak::baseline::run}, {"avx2", fma_peak::avx2::run}, {"avx512", fma_peak::avx512::run}
#else
      {"neon", fma_peak::neon::run}
#endif
  };
  return list;
}

Work peak_work(const std::string& isa) {
  (void)kernels::find_table(isa.c_str());  // throws if this machine cannot run it
  // Levels that differ in products of pairs alone.
  const std::string floats = isa == "avx512_bf16" || isa == "amx" ? "avx512" : isa;
  for (const auto& [name, run] : peaks()) {
    if (name != floats) continue;
    constexpr long kIterations = 100000;
    return {[run = run] { (void)run(kIterations); }, run(kIterations), 0.0};
  }
  throw std::invalid_argument("no peak is known for " + isa + ".");
}

struct NamedFunction {
  const char* name;
  kernels::Function function;
};

constexpr NamedFunction kFunctions[] = {{"exp", kernels::Function::exp},
                                        {"expm1", kernels::Function::expm1},
                                        {"log", kernels::Function::log},
                                        {"log1p", kernels::Function::log1p},
                                        {"tanh", kernels::Function::tanh},
                                        {"sigmoid", kernels::Function::sigmoid},
                                        {"erf", kernels::Function::erf},
                                        {"softplus", kernels::Function::softplus},
                                        {"elu", kernels::Function::elu},
                                        {"gelu", kernels::Function::gelu},
                                        {"silu", kernels::Function::silu},
                                        {"gelu_derivative", kernels::Function::gelu_derivative},
                                        {"silu_derivative", kernels::Function::silu_derivative}};

kernels::Function function_of(const std::string& name) {
  std::string names;
  for (const NamedFunction& f : kFunctions) {
    if (name == f.name) return f.function;
    names += std::string(" ") + f.name;
  }
  throw std::invalid_argument("no function '" + name + "'; there are:" + names + ".");
}

Index positive(const std::string& text) {
  std::size_t used = 0;
  const long value = std::stol(text, &used);
  if (used != text.size() || value < 1) throw std::invalid_argument("'" + text + "' is no positive number.");
  return value;
}

/// `limit ...`: prints {"value": number}.
void print_limit(const std::vector<std::string>& words, const Rounds& rounds) {
  using machine_limits::Traffic;
  const std::string& what = words[1];
  const int threads = static_cast<int>(positive(words.back()));
  double value = 0.0;
  if (what == "peak" && words.size() == 4) {
    value = machine_limits::peak(words[2], threads, rounds.count, rounds.seconds);
  } else if ((what == "read" || what == "copy") && words.size() == 4) {
    const Traffic traffic = what == "read" ? Traffic::read : Traffic::copy;
    value = machine_limits::bandwidth(traffic, positive(words[2]), threads, rounds.count, rounds.seconds);
  } else if (what == "meeting" && words.size() == 3) {
    value = machine_limits::meeting(threads, rounds.count, rounds.seconds);
  } else if (what == "region" && words.size() == 3) {
    value = machine_limits::region(threads, rounds.count, rounds.seconds);
  } else {
    throw std::invalid_argument(kUsage);
  }
  std::printf("{\"value\": %.6g}\n", value);
}

void run(std::vector<std::string> words) {
  Rounds rounds;
  while (words.size() >= 2 && words[0].starts_with("--")) {
    if (words[0] == "--rounds") {
      rounds.count = static_cast<int>(positive(words[1]));
    } else if (words[0] == "--milliseconds") {
      rounds.seconds = 1e-3 * static_cast<double>(positive(words[1]));
    } else {
      throw std::invalid_argument(kUsage);
    }
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.size() == 1 && words[0] == "isas") {
    const kernels::TableList list = kernels::available_tables();
    for (int i = 0; i < list.count; ++i) std::printf("%s\n", list.tables[i]->name);
    return;
  }
  if (words.size() == 1 && words[0] == "peaks") {
    for (const std::string& name : machine_limits::peaks()) std::printf("%s\n", name.c_str());
    return;
  }
  if (words.size() >= 3 && words[0] == "limit") return print_limit(words, rounds);
  if (words.size() == 2 && words[0] == "peak") {
    const Work work = peak_work(words[1]);
    return print(work, time_rounds(work.call, rounds));
  }
  if (words.size() == 4 && words[0] == "evaluate") {
    const kernels::KernelTable& table = kernels::find_table(words[1].c_str());
    const kernels::Function function = function_of(words[2]);
    const Index count = positive(words[3]);
    diabolo::AlignedBuffer<float> x(count);
    diabolo::AlignedBuffer<float> y(count);
    // From 0.01 to 8, where every function is defined and none has come to rest.
    for (Index i = 0; i < count; ++i) {
      x[i] = 0.01f + 7.99f * static_cast<float>(i) / static_cast<float>(count);
    }
    const Work work{[&] { table.evaluate(function, x.data(), y.data(), count); }, 0.0,
                    static_cast<double>(count)};
    return print(work, time_rounds(work.call, rounds));
  }
  if (words.size() == 5 || words.size() == 6) {
    const kernels::Products products =
        words.size() == 5 ? kernels::Products::float32 : diabolo::value_of(diabolo::kProducts, words[5]);
    DenseCase dense(kernels::find_table(words[1].c_str()), positive(words[2]), positive(words[3]),
                    positive(words[4]), products);
    const Work work = dense.work(words[0]);
    return print(work, time_rounds(work.call, rounds));
  }
  throw std::invalid_argument(kUsage);
}

}  // namespace

int main(int argc, char** argv) {
  diabolo::set_float_state(diabolo::working_float_state());
  try {
    run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
