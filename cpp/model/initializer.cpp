// See initializer.h. No libm and no LAPACK: the same bits on every machine.
#include "model/initializer.h"

#include <cmath>
#include <stdexcept>

#include "base/random.h"

namespace diabolo {
namespace {

/// Normal numbers made orthonormal by modified Gram-Schmidt, twice over for vectors that nearly vanish.
/// `count` vectors of `length` >= count elements, vector by vector.
std::vector<double> orthonormal_vectors(const Random& random, Index count, Index length) {
  std::vector<double> q(static_cast<std::size_t>(count * length));
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = random.normal(i);
  const auto dot = [&](const double* a, const double* b) {
    double lanes[4] = {};  // a fixed order that still lets the compiler use its registers
    for (Index i = 0; i < length; ++i) lanes[i % 4] += a[i] * b[i];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  };
  for (Index v = 0; v < count; ++v) {
    double* mine = q.data() + v * length;
    for (int round = 0; round < 2; ++round) {
      for (Index u = 0; u < v; ++u) {
        const double* other = q.data() + u * length;
        const double along = dot(mine, other);
        for (Index i = 0; i < length; ++i) mine[i] -= along * other[i];
      }
    }
    const double size = std::sqrt(dot(mine, mine));
    for (Index i = 0; i < length; ++i) mine[i] /= size;
  }
  return q;
}

}  // namespace

void initialize_kernel(const std::string& initializer, std::uint64_t seed, int number, Index inputs,
                       Index outputs, std::vector<float>& values) {
  const Random random(seed, RandomStream::weights, static_cast<std::uint32_t>(number));
  const auto fan_in = static_cast<double>(inputs);
  const auto fan_sum = static_cast<double>(inputs + outputs);
  const auto count = static_cast<std::size_t>(inputs * outputs);
  values.resize(count);

  const auto fill_uniform = [&](double limit) {
    for (std::size_t i = 0; i < count; ++i)
      values[i] = static_cast<float>(limit * (2.0 * random.uniform(i) - 1.0));
  };
  const auto fill_normal = [&](double deviation) {
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(deviation * random.normal(i));
  };
  if (initializer == "glorot_uniform") return fill_uniform(std::sqrt(6.0 / fan_sum));
  if (initializer == "glorot_normal") return fill_normal(std::sqrt(2.0 / fan_sum));
  if (initializer == "he_uniform") return fill_uniform(std::sqrt(6.0 / fan_in));
  if (initializer == "he_normal") return fill_normal(std::sqrt(2.0 / fan_in));
  if (initializer == "normal") return fill_normal(0.05);
  if (initializer == "orthogonal") {
    const bool wide = outputs >= inputs;
    const std::vector<double> q =
        orthonormal_vectors(random, wide ? inputs : outputs, wide ? outputs : inputs);
    for (Index i = 0; i < inputs; ++i) {
      for (Index j = 0; j < outputs; ++j) {
        const Index at = wide ? i * outputs + j : j * inputs + i;
        values[static_cast<std::size_t>(i * outputs + j)] =
            static_cast<float>(q[static_cast<std::size_t>(at)]);
      }
    }
    return;
  }
  throw std::invalid_argument("unknown initializer '" + initializer + "'.");
}

}  // namespace diabolo
