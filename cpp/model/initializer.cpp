// See initializer.h. No libm and no LAPACK: the same bits on every machine, for any number of threads.
#include "model/initializer.h"

#include <cmath>
#include <stdexcept>

#include "base/random.h"

namespace diabolo {
namespace {

/// The inner product in a fixed order that still fills a register or two.
double dot(const double* a, const double* b, Index length) {
  double lanes[8] = {};
  Index i = 0;
  for (; i + 8 <= length; i += 8) {
    for (Index lane = 0; lane < 8; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < length; ++i) lanes[i % 8] += a[i] * b[i];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/// Normal numbers made orthonormal by modified Gram-Schmidt: `count` vectors of `length` >= count elements.
/// As soon as a vector is finished, all later ones lose their part along it, each on its own: any worker may
/// do it. In double precision once is enough: the error grows with the condition number of a random matrix,
/// which is far from 2^29. Empty: stopped.
std::vector<double> orthonormal_vectors(const Random& random, Index count, Index length, int threads,
                                        PollHook* hook) {
  std::vector<double> q(static_cast<std::size_t>(count * length));
  const auto vector = [&](Index v) { return q.data() + v * length; };

  Team team(threads, hook);
  const bool stopped = team.run([&](Worker& worker) {
    const Range rows = worker.share(count);
    for (Index i = rows.begin * length; i < rows.end * length; ++i) {
      q[static_cast<std::size_t>(i)] = random.normal(static_cast<std::uint64_t>(i));
      if (worker.poll(100.0)) break;
    }
    if (worker.meet()) return;
    for (Index v = 0; v < count; ++v) {
      double* finished = vector(v);
      if (worker.is_caller()) {
        const double size = std::sqrt(dot(finished, finished, length));
        for (Index i = 0; i < length; ++i) finished[i] /= size;
      }
      if (worker.meet()) return;
      const Range share = worker.share(count - v - 1);
      for (Index u = v + 1 + share.begin; u < v + 1 + share.end; ++u) {
        const double along = dot(finished, vector(u), length);
        for (Index i = 0; i < length; ++i) vector(u)[i] -= along * finished[i];
        if (worker.poll(4.0 * static_cast<double>(length))) break;
      }
      if (worker.meet()) return;
    }
  });
  if (stopped) q.clear();
  return q;
}

constexpr const char* kFanInUniform = "fan_in_uniform";

Random random_of(const InitialPlace& place) {
  return {place.seed, RandomStream::weights, static_cast<std::uint32_t>(place.parameter)};
}

double uniform_within(const Random& random, std::uint64_t index, double limit) {
  return limit * (2.0 * random.uniform(index) - 1.0);
}

double fan_in_limit(const InitialPlace& place) { return 1.0 / std::sqrt(static_cast<double>(place.inputs)); }

}  // namespace

bool initialize_kernel(const std::string& initializer, const InitialPlace& place, int threads, PollHook* hook,
                       std::vector<float>& values) {
  const Random random = random_of(place);
  const Index inputs = place.inputs;
  const Index outputs = place.outputs;
  const auto fan_in = static_cast<double>(inputs);
  const auto fan_sum = static_cast<double>(inputs + outputs);
  const auto count = static_cast<std::size_t>(inputs * outputs);
  values.resize(count);

  const auto fill = [&](const auto& value_at) {
    Team team(threads, hook);
    return !team.run([&](Worker& worker) {
      const Range share = worker.share(static_cast<Index>(count));
      for (Index i = share.begin; i < share.end; ++i) {
        values[static_cast<std::size_t>(i)] = static_cast<float>(value_at(static_cast<std::uint64_t>(i)));
        if (worker.poll(100.0)) return;
      }
    });
  };
  const auto fill_uniform = [&](double limit) {
    return fill([&](std::uint64_t i) { return uniform_within(random, i, limit); });
  };
  const auto fill_normal = [&](double deviation) {
    return fill([&](std::uint64_t i) { return deviation * random.normal(i); });
  };
  if (initializer == "glorot_uniform") return fill_uniform(std::sqrt(6.0 / fan_sum));
  if (initializer == "glorot_normal") return fill_normal(std::sqrt(2.0 / fan_sum));
  if (initializer == "he_uniform") return fill_uniform(std::sqrt(6.0 / fan_in));
  if (initializer == "he_normal") return fill_normal(std::sqrt(2.0 / fan_in));
  if (initializer == kFanInUniform) return fill_uniform(fan_in_limit(place));
  if (initializer == "normal") return fill_normal(0.05);
  if (initializer == "orthogonal") {
    const bool wide = outputs >= inputs;
    const auto q =
        orthonormal_vectors(random, wide ? inputs : outputs, wide ? outputs : inputs, threads, hook);
    if (q.empty()) return false;
    for (Index i = 0; i < inputs; ++i) {
      for (Index j = 0; j < outputs; ++j) {
        const Index at = wide ? i * outputs + j : j * inputs + i;
        values[static_cast<std::size_t>(i * outputs + j)] =
            static_cast<float>(q[static_cast<std::size_t>(at)]);
      }
    }
    return true;
  }
  throw std::invalid_argument("unknown initializer '" + initializer + "'.");
}

void initialize_bias(const std::string& initializer, const InitialPlace& place, std::vector<float>& values) {
  values.assign(static_cast<std::size_t>(place.outputs), 0.0f);
  if (initializer != kFanInUniform) return;
  const Random random = random_of(place);
  const double limit = fan_in_limit(place);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(uniform_within(random, i, limit));
  }
}

}  // namespace diabolo
