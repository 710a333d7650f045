// Codes that are normal distributions: samples, divergences, gradients.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "kernels/arguments/noise.h"

namespace diabolo::kernels {

/// How far a Gaussian code is from N(0, 1):
enum class Divergence : std::uint8_t {
  exact,    // KL(N(m, e^s) || N(0, 1))
  sampled,  // log N(z; m, e^s) - log N(z; 0, 1) of the sample z: what importance weights are made of
};

/// z = m + e^(s/2) noise, s = 10 tanh(v / 10) (Kingma & Welling 2014), and its divergence summed over units.
struct GaussianSample {
  NoiseSource noise;
  Index units = 0;
  MatrixView<const float> moments;  // (rows, 2 units): the means m, then v
  MatrixView<float> z;              // (rows, units)
  MatrixView<float> deviation;      // (rows, units): e^(s/2) noise; data null: not kept
  MatrixView<float> divergence;     // (rows, 1)
  Divergence divergence_kind = Divergence::exact;
};

/// Gradients in m and v, from that in z and divergence_scale * unit_factor * that of the exact divergence.
struct GaussianGradient {
  Index units = 0;
  MatrixView<const float> moments;    // (rows, 2 units)
  MatrixView<const float> deviation;  // (rows, units)
  MatrixView<const float> dz;         // (rows, units)
  float divergence_scale = 0.0f;
  const float* row_weights = nullptr;  // (rows): factors of the divergence; null: all 1
  const float* unit_factor = nullptr;  // (units), padded; null: all 1
  MatrixView<float> delta;             // (rows, 2 units)
};

}  // namespace diabolo::kernels
