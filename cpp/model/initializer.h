// Initial weights: the usual distributions, each value a pure function of (seed, parameter, position).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "base/team.h"

namespace diabolo {

/// Which kernel or bias it is, and of which layer: what its values are a function of.
struct InitialPlace {
  std::uint64_t seed = 0;
  int parameter = 0;
  Index inputs = 0;
  Index outputs = 0;
};

/// Fills `values` (inputs, outputs), row by row:
///   glorot_uniform  U(-a, a), a = sqrt(6 / (inputs + outputs));  glorot_normal  N(0, 2 / (inputs + outputs))
///       (Glorot & Bengio 2010)
///   he_uniform      U(-a, a), a = sqrt(6 / inputs);              he_normal      N(0, 2 / inputs)
///       (He et al. 2015)
///   fan_in_uniform  U(-a, a), a = 1 / sqrt(inputs)  (the heuristic that Glorot & Bengio 2010 begin with)
///   normal          N(0, 0.05^2)
///   orthogonal      orthonormal rows or columns, whichever are fewer  (Saxe et al. 2014)
/// Throws std::invalid_argument for another name. False: stopped by the hook.
[[nodiscard]] bool initialize_kernel(const std::string& initializer, const InitialPlace& place, int threads,
                                     PollHook* hook, std::vector<float>& values);

/// Fills `values` (outputs) with the biases of a layer: 0, except for
/// fan_in_uniform, which draws them like its kernel.
void initialize_bias(const std::string& initializer, const InitialPlace& place, std::vector<float>& values);

}  // namespace diabolo
