// The optimisers' update rules as vector functions (formulas: UpdateRule in kernels.h), and the sums over
// fixed blocks that penalties and gradient norms are made of.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vec.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// A piece of a parameter and what belongs to it. Moments a rule doesn't keep are null.
struct Piece {
  float* weights;
  float* first_moment;
  float* second_moment;
  Index count;  // a multiple of 16
};

/// g + l1 sign(w) + 2 l2 w
DIABOLO_INLINE Vec with_penalty(const UpdateRule& rule, Vec gradient, Vec w) {
  const Vec pull = select(w > 0.0f, broadcast(rule.l1), select(w < 0.0f, broadcast(-rule.l1), Vec{}));
  return fma(broadcast(2.0f * rule.l2), w, gradient) + pull;
}

/// Applies `step(i, clipped gradient, decayed w)` to every vector. False: a weight is no longer finite.
template <class Step>
DIABOLO_INLINE bool for_each_weight(const UpdateRule& rule, const Piece& piece, const float* gradient,
                                    bool penalize, const Step& step) {
  VecI finite = broadcast_int(-1);
  for (Index i = 0; i < piece.count; i += kLanes) {
    const Vec w = load(piece.weights + i);
    Vec g = load(gradient + i);
    if (penalize) g = with_penalty(rule, g, w);
    const Vec updated = step(i, rule.clip * g, rule.keep * w);
    store(piece.weights + i, updated);
    finite &= updated - updated == 0.0f;
  }
  return !any(~finite);
}

/// One step of `rule` on a piece whose gradient is at hand.
inline bool apply_rule(const UpdateRule& rule, const Piece& piece, const float* gradient, bool penalize) {
  const Vec rate = broadcast(rule.rate);
  const Vec decay_1 = broadcast(rule.decay_1);
  const Vec gain_1 = broadcast(rule.gain_1);
  const Vec decay_2 = broadcast(rule.decay_2);
  const Vec gain_2 = broadcast(rule.gain_2);
  const Vec epsilon = broadcast(rule.epsilon);
  const Vec root_scale = broadcast(rule.root_scale);
  switch (rule.rule) {
    case Rule::sgd:
      return for_each_weight(rule, piece, gradient, penalize,
                             [&](Index, Vec g, Vec w) { return fma(-rate, g, w); });
    case Rule::momentum:
    case Rule::nesterov: {
      const bool ahead = rule.rule == Rule::nesterov;
      return for_each_weight(rule, piece, gradient, penalize, [&](Index i, Vec g, Vec w) {
        const Vec u = fma(-rate, g, decay_1 * load(piece.first_moment + i));
        store(piece.first_moment + i, u);
        return ahead ? fma(-rate, g, fma(decay_1, u, w)) : w + u;
      });
    }
    case Rule::adam:
      return for_each_weight(rule, piece, gradient, penalize, [&](Index i, Vec g, Vec w) {
        const Vec m = fma(decay_1, load(piece.first_moment + i), gain_1 * g);
        const Vec v = fma(decay_2, load(piece.second_moment + i), gain_2 * g * g);
        store(piece.first_moment + i, m);
        store(piece.second_moment + i, v);
        return w - rate * m / fma(sqrt(v), root_scale, epsilon);
      });
    case Rule::rmsprop:
      return for_each_weight(rule, piece, gradient, penalize, [&](Index i, Vec g, Vec w) {
        const Vec v = fma(decay_2, load(piece.first_moment + i), gain_2 * g * g);
        store(piece.first_moment + i, v);
        return w - rate * g / (sqrt(v) + epsilon);
      });
  }
  return true;
}

/// The fixed tree that turns 16 lanes into one number.
inline float sum_of_lanes(const float* lanes) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

/// Sums `term(vector)` over each 16 x 16 block of a (rows, width) piece: rows in order, lanes by the fixed
/// tree. Block (i, j) of the piece goes to sums[i * sums_stride + j] for its first `columns` columns.
template <class Term>
DIABOLO_INLINE void sum_blocks(const float* values, Index rows, Index width, Index columns, float* sums,
                               Index sums_stride, const Term& term) {
  for (Index top = 0; top < rows; top += kGroup) {
    const Index bottom = top + kGroup < rows ? top + kGroup : rows;
    for (Index left = 0; left < columns; left += kGroup) {
      alignas(64) float lanes[kGroup] = {};
      for (Index r = top; r < bottom; ++r) {
        for (Index lane = 0; lane < kGroup; lane += kLanes) {
          store(lanes + lane, load(lanes + lane) + term(load(values + r * width + left + lane)));
        }
      }
      sums[top / kGroup * sums_stride + left / kGroup] = sum_of_lanes(lanes);
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
