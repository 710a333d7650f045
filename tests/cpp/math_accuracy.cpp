// Compares the elementary functions of every instruction set with libm in double precision, over all floats
// or every n-th one. It knows nothing of how they are computed, only what they promise.
//
//   math_accuracy [--isa NAME] [--function NAME] [--stride N] [--threads N] [--flush] [--hash]
//
//   --stride N  every N-th float (default 1: all 2^32); notable arguments are always visited
//   --flush     with denormals flushed to zero, as while training
//   --hash      also print a hash of all results (every NaN alike): equal hashes, equal bits
//
// Exit code 1 if a promise is broken, 2 for an unknown argument.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "kernels/kernels.h"

namespace {

using diabolo::Index;
using diabolo::kernels::Function;
using diabolo::kernels::KernelTable;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSmallestNormal = 0x1p-126;

// ---------------------------------------------------------- the exact functions, limits at infinity included

double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double elu(double x) { return x > 0 ? x : std::expm1(x); }
double normal(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
double gelu(double x) { return x == -kInfinity ? -0.0 : x * normal(x); }
double silu(double x) { return x == -kInfinity ? -0.0 : x * sigmoid(x); }

double gelu_derivative(double x) {
  const double density = 0.39894228040143267794 * std::exp(-0.5 * x * x);
  return density == 0 ? normal(x) : normal(x) + x * density;
}

double silu_derivative(double x) {
  const double s = sigmoid(x), rest = sigmoid(-x);
  return s == 0 || rest == 0 ? s : s * (1 + x * rest);
}

// ---------------------------------------------------------------------------------------------- the promises

/// Within [from, to] the error is at most `ulp` units in the last place of the exact result, where that is
/// normal (`ulp_unfused` without fused multiply-add); everywhere else at most `absolute` * max(|x|, 1).
struct Promise {
  const char* name;
  Function function;
  double (*exact)(double);
  double ulp;
  double ulp_unfused;
  double from;
  double to;
  double absolute;
};

constexpr double kAll = kInfinity;

constexpr Promise kPromises[] = {
    {"exp", Function::exp, std::exp, 1.5, 3.5, -kAll, kAll, 0},
    {"expm1", Function::expm1, std::expm1, 2, 4, -kAll, kAll, 0},
    {"log", Function::log, std::log, 2, 4, -kAll, kAll, 0},
    {"log1p", Function::log1p, std::log1p, 2, 4, -kAll, kAll, 0},
    {"tanh", Function::tanh, std::tanh, 2, 4, -kAll, kAll, 0},
    {"sigmoid", Function::sigmoid, sigmoid, 2, 4, -kAll, kAll, 0},
    {"erf", Function::erf, std::erf, 2, 4, -kAll, kAll, 0},
    {"softplus", Function::softplus, softplus, 3, 5, -kAll, kAll, 0},
    {"elu", Function::elu, elu, 1, 3, -kAll, kAll, 0},
    {"silu", Function::silu, silu, 4, 6, -87, kAll, 0x1p-118},
    {"gelu", Function::gelu, gelu, 4, 6, -1, kAll, 0x1p-24},
    {"gelu_derivative", Function::gelu_derivative, gelu_derivative, 4, 6, -0.25, kAll, 0x1p-23},
    {"silu_derivative", Function::silu_derivative, silu_derivative, 4, 6, -0.5, kAll, 0x1p-23},
};

// ------------------------------------------------------------------------------------------------- measuring

struct Tally {
  double ulp = 0;  // largest error in units in the last place, within the promise's range
  float ulp_at = 0;
  double absolute = 0;  // largest error / max(|x|, 1), everywhere
  float absolute_at = 0;
  std::uint64_t wrong = 0;  // NaN, infinity, sign of zero, or what should have been 0 or a denormal
  float wrong_at = 0;
  bool broken = false;
  std::uint64_t hash = 0;

  void add(const Tally& other) {
    if (other.ulp > ulp) {
      ulp = other.ulp;
      ulp_at = other.ulp_at;
    }
    if (other.absolute > absolute) {
      absolute = other.absolute;
      absolute_at = other.absolute_at;
    }
    if (other.wrong > 0) wrong_at = other.wrong_at;
    wrong += other.wrong;
    broken = broken || other.broken;
    hash += other.hash;
  }
};

/// The unit in the last place of a float near `value`, which is normal as a float.
double unit_in_last_place(double value) {
  const std::uint64_t exponent = std::bit_cast<std::uint64_t>(value) >> 52 & 0x7ff;
  return std::bit_cast<double>((exponent - 23) << 52);
}

void compare(const Promise& promise, bool fused, float x, float y, double exact, Tally& tally) {
  const auto wrong = [&] {
    ++tally.wrong;
    tally.wrong_at = x;
    tally.broken = true;
  };
  if (x != 0 && std::abs(x) < std::numeric_limits<float>::min()) {  // may count as zero
    const double at_zero = promise.exact(std::copysign(0.0, static_cast<double>(x)));
    if (static_cast<double>(y) == at_zero) return;
  }
  if (std::isnan(exact) || std::isnan(y)) {
    if (std::isnan(exact) != std::isnan(y)) wrong();
    return;
  }
  const double magnitude = std::abs(exact);
  if (std::isinf(y) || magnitude >= 0x1p128) {
    const bool nearly = magnitude > 0x1.fffffap127 && std::isinf(y);
    const bool both = magnitude >= 0x1p128 && std::isinf(y);
    if (!(nearly || both) || std::signbit(exact) != std::signbit(y)) wrong();
    return;
  }
  if (x == 0 && exact == 0 && std::signbit(exact) != std::signbit(y)) wrong();
  const double error = std::abs(static_cast<double>(y) - exact);
  const double scaled = error / std::max(1.0, std::abs(static_cast<double>(x)));
  if (scaled > tally.absolute) {
    tally.absolute = scaled;
    tally.absolute_at = x;
  }
  if (x < promise.from || x > promise.to) {
    tally.broken = tally.broken || scaled > promise.absolute;
  } else if (magnitude < kSmallestNormal) {
    // Without a fused multiply-add a term below the smallest normal may vanish before it is added.
    if (y != 0 && error > (fused ? 0x1p-148 : kSmallestNormal)) wrong();
  } else {
    const double ulp = error / unit_in_last_place(exact);
    if (ulp > tally.ulp) {
      tally.ulp = ulp;
      tally.ulp_at = x;
    }
    tally.broken = tally.broken || ulp > (fused ? promise.ulp : promise.ulp_unfused);
  }
}

/// While it lives, denormal arguments and results are zero in this thread (if wanted).
class Flushing {
 public:
  explicit Flushing(bool wanted) : before_(control()) {
    if (wanted) set_control(before_ | kFlush);
  }
  ~Flushing() { set_control(before_); }
  Flushing(const Flushing&) = delete;
  Flushing& operator=(const Flushing&) = delete;

 private:
#if defined(__x86_64__)
  using Control = unsigned;
  static constexpr Control kFlush = 0x8040;
  static Control control() { return _mm_getcsr(); }
  static void set_control(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Control = std::uint64_t;
  static constexpr Control kFlush = 1u << 24;
  static Control control() {
    Control value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_control(Control value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#endif
  Control before_;
};

std::uint64_t mixed(std::uint64_t h) {
  h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

/// Results of one block; independent of the order in which blocks are summed.
std::uint64_t hash_of(const std::vector<float>& y, std::uint64_t block) {
  std::uint64_t h = mixed(block + 1);
  for (const float v : y) h = mixed(h ^ (std::isnan(v) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(v)));
  return h;
}

/// One block of arguments through one promise on every table.
class BlockMeasurement {
 public:
  BlockMeasurement(const Promise& promise, const std::vector<const KernelTable*>& tables, bool flush,
                   bool hash)
      : promise_(promise), tables_(tables), flush_(flush), hash_(hash), tallies(tables.size()) {}

  void operator()(const std::vector<float>& x, std::uint64_t block) {
    exact_.resize(x.size());
    y_.resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) exact_[i] = promise_.exact(static_cast<double>(x[i]));
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      {
        const Flushing flushing(flush_);
        tables_[t]->evaluate(promise_.function, x.data(), y_.data(), static_cast<Index>(x.size()));
      }
      for (std::size_t i = 0; i < x.size(); ++i) {
        compare(promise_, tables_[t]->fused, x[i], y_[i], exact_[i], tallies[t]);
      }
      if (hash_) tallies[t].hash += hash_of(y_, block);
    }
  }

 private:
  const Promise& promise_;
  const std::vector<const KernelTable*>& tables_;
  bool flush_;
  bool hash_;
  std::vector<double> exact_;
  std::vector<float> y_;

 public:
  std::vector<Tally> tallies;  // one per table
};

/// Where functions change branch, saturate or vanish, with 100 neighbours on each side, of both signs.
std::vector<float> notable_arguments() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float centres[] = {0.0f,   0x1p-126f, 0x1p-25f, 0x1p-24f,   0x1p-12f, 0.25f, 0.5f,
                           0.75f,  1.0f,      1.5f,     2.0f,       3.92f,    4.0f,  9.01f,
                           12.4f,  12.8f,     17.0f,    30.0f,      36.0f,    37.0f, 86.64f,
                           87.0f,  87.33654f, 88.0f,    88.376f,    88.7228f, 89.0f, 104.0f,
                           128.0f, 0x1p24f,   1e20f,    0x1.8p127f, infinity};
  std::vector<float> arguments;
  for (const float centre : centres) {
    const std::int64_t bits = std::bit_cast<std::int32_t>(centre);
    for (std::int64_t i = std::max<std::int64_t>(bits - 100, 0); i <= bits + 100; ++i) {
      arguments.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(i)));
      arguments.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(i) | 0x80000000u));
    }
  }
  return arguments;
}

struct Options {
  std::string_view isa;
  std::string_view function;
  std::uint64_t stride = 1;
  unsigned threads = 2;
  bool flush = false;
  bool hash = false;
};

std::vector<Tally> measure(const Promise& promise, const std::vector<const KernelTable*>& tables,
                           const Options& options) {
  constexpr std::uint64_t kBlock = 4096;
  const std::uint64_t count = ((std::uint64_t{1} << 32) + options.stride - 1) / options.stride;
  std::vector<std::vector<Tally>> per_thread(options.threads);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < options.threads; ++thread) {
    threads.emplace_back([&, thread] {
      BlockMeasurement measurement(promise, tables, options.flush, options.hash);
      if (thread == 0) measurement(notable_arguments(), 0);
      std::vector<float> x;
      for (std::uint64_t begin = thread * kBlock; begin < count; begin += options.threads * kBlock) {
        x.resize(std::min(kBlock, count - begin));
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] = std::bit_cast<float>(static_cast<std::uint32_t>((begin + i) * options.stride));
        }
        measurement(x, 1 + begin / kBlock);
      }
      per_thread[thread] = measurement.tallies;
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Tally> sums(tables.size());
  for (const std::vector<Tally>& tallies : per_thread) {
    for (std::size_t t = 0; t < tables.size(); ++t) sums[t].add(tallies[t]);
  }
  return sums;
}

bool parse(int argument_count, char** arguments, Options& options) {
  for (int i = 1; i < argument_count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--flush") {
      options.flush = true;
    } else if (name == "--hash") {
      options.hash = true;
    } else if (i + 1 == argument_count) {
      return false;
    } else {
      const char* const value = arguments[++i];
      if (name == "--isa")
        options.isa = value;
      else if (name == "--function")
        options.function = value;
      else if (name == "--stride")
        options.stride = std::strtoull(value, nullptr, 10);
      else if (name == "--threads")
        options.threads = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
      else
        return false;
    }
  }
  return options.stride > 0 && options.threads > 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  Options options;
  bool understood = parse(argument_count, arguments, options);
  std::vector<const KernelTable*> tables;
  const diabolo::kernels::TableList available = diabolo::kernels::available_tables();
  for (int i = 0; i < available.count; ++i) {
    if (options.isa.empty() || options.isa == available.tables[i]->name)
      tables.push_back(available.tables[i]);
  }
  const auto wanted = [&](const Promise& p) {
    return options.function.empty() || options.function == p.name;
  };
  understood =
      understood && !tables.empty() && std::any_of(std::begin(kPromises), std::end(kPromises), wanted);
  if (!understood) {
    std::fprintf(stderr,
                 "usage: %s [--isa NAME] [--function NAME] [--stride N] [--threads N] [--flush] [--hash]\n",
                 arguments[0]);
    return 2;
  }

  bool broken = false;
  for (const Promise& promise : kPromises) {
    if (!wanted(promise)) continue;
    const std::vector<Tally> tallies = measure(promise, tables, options);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const Tally& tally = tallies[t];
      broken = broken || tally.broken;
      std::printf("%-9s %-16s %6.3f ulp at %-15.9g absolute %9.3g at %-15.9g wrong %llu", tables[t]->name,
                  promise.name, tally.ulp, static_cast<double>(tally.ulp_at), tally.absolute,
                  static_cast<double>(tally.absolute_at), static_cast<unsigned long long>(tally.wrong));
      if (tally.wrong > 0) std::printf(" at %.9g", static_cast<double>(tally.wrong_at));
      if (options.hash) std::printf(" hash %016llx", static_cast<unsigned long long>(tally.hash));
      std::printf("%s\n", tally.broken ? "  BROKEN" : "");
    }
    std::fflush(stdout);
  }
  return broken ? 1 : 0;
}
