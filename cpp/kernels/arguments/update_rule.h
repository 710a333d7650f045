// One step of an optimiser as plain data.
#pragma once

#include <cstdint>

namespace diabolo::kernels {

enum class Rule : std::uint8_t { sgd, momentum, nesterov, adam, rmsprop };

/// One step of an optimiser as plain data: rates and corrections are those of *this* step.
///   sgd       w -= rate g
///   momentum  u = decay_1 u - rate g;  w += u
///   nesterov  u = decay_1 u - rate g;  w += decay_1 u - rate g
///   adam      m = decay_1 m + gain_1 g;  v = decay_2 v + gain_2 g^2;  w -= rate m / (sqrt(v) root_scale +
///   epsilon) rmsprop   v = decay_2 v + gain_2 g^2;  w -= rate g / (sqrt(v) + epsilon)
/// before which g *= clip, after g += l1 sign(w) + 2 l2 w, and w *= keep (AdamW's decay) first of all on w.
struct UpdateRule {
  Rule rule = Rule::sgd;
  float rate = 0.0f;  // for adam with the first bias correction
  float decay_1 = 0.0f;
  float gain_1 = 1.0f;
  float decay_2 = 0.0f;
  float gain_2 = 1.0f;
  float root_scale = 1.0f;  // 1 / sqrt(1 - beta_2^t)
  float epsilon = 0.0f;
  float keep = 1.0f;  // 1 - rate * weight_decay; 1 for vectors
  float l1 = 0.0f;    // 0 for vectors
  float l2 = 0.0f;
  float clip = 1.0f;
};

/// How many moments (arrays of the weights' size) a rule keeps.
[[nodiscard]] constexpr int moments_of(Rule rule) {
  return rule == Rule::sgd ? 0 : rule == Rule::adam ? 2 : 1;
}

}  // namespace diabolo::kernels
