// What happens to a finished tile of a forward pass or an input gradient while it is still in the first-level
// cache: bias, activation, loss, and the chain rule through the activation below.
#pragma once

#include "kernels/activations.h"
#include "kernels/gaussian_loss.h"
#include "kernels/losses.h"
#include "kernels/tile_fma.h"
#include "kernels/tile_place.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// z = tile + bias, or the tile itself if it has one already;  y = f(z). Keeps z too where asked.
template <bool has_bias>
void activate_tile(const DenseForward& f, const float* tile, const TilePlace& place, TileTarget z_out,
                   TileTarget y_out) {
  const float* bias = f.bias + place.column;
  const float* slope = f.slope == nullptr ? bias : f.slope + place.column;
  with_activation(f.activation, [&](auto activation) {
    for (Index i = 0; i < place.rows; ++i) {
      for (Index j = 0; j < place.used; j += kLanes) {
        Vec z = load(tile + i * place.width + j);
        if constexpr (!has_bias) z += load(bias + j);
        if (z_out.data != nullptr) store(z_out.data + i * z_out.stride + j, z);
        if (y_out.data != nullptr) {
          store(y_out.data + i * y_out.stride + j, decltype(activation)::value(z, load(slope + j)));
        }
      }
    }
  });
}

/// delta = (dL/dy in `tile`) * f'(kept);  prelu also leaves dL/dy * min(z, 0), the terms of its slope's
/// gradient.
inline void chain_tile(const ActivationGradient& below, const float* tile, const TilePlace& place,
                       const float* kept, Index kept_stride) {
  const TileTarget delta = at_place(below.delta, place);
  const TileTarget terms = at_place(below.slope_terms, place);
  const bool learned = below.activation == Activation::prelu;
  const float* slope = learned ? below.slope + place.column : tile;
  with_activation(below.activation, [&](auto activation) {
    for (Index i = 0; i < place.rows; ++i) {
      for (Index j = 0; j < place.used; j += kLanes) {
        const Vec dy = load(tile + i * place.width + j);
        const Vec saved = load(kept + i * kept_stride + j);
        store(delta.data + i * delta.stride + j,
              dy * decltype(activation)::derivative(saved, load(slope + j)));
        if (learned) store(terms.data + i * terms.stride + j, dy * select(saved < 0.0f, saved, Vec{}));
      }
    }
  });
}

/// Adds the loss of every element to its row's 16 lanes and leaves scale * gradient in `out`.
/// Feature j adds to lane j mod 16 in the order of j, whatever the panels' width: the same sum on every
/// machine.
template <bool weighted, class LossFunction>
void weighted_loss_of_tile(const LossEpilogue& loss, LossFunction function, TileTarget y,
                           const TileOfTargets& targets, const TilePlace& place, TileTarget out) {
  const VecI numbers = lane_numbers();
  for (Index i = 0; i < place.rows; ++i) {
    const Vec scale = broadcast(loss.scale * weight_of_row(loss.row_weights, place.row + i));
    const float* target = targets.target.row(i);
    const float* weights = weighted ? targets.weights.row(i) : nullptr;
    float* lanes = loss.lanes + (place.row + i) * kGroup;
    Vec sum[kGroup / kLanes];
#pragma GCC unroll 4
    for (Index v = 0; v < kGroup / kLanes; ++v) sum[v] = load(lanes + v * kLanes);
    for (Index group = 0; group < place.used; group += kGroup) {
#pragma GCC unroll 4
      for (Index v = 0; v < kGroup / kLanes; ++v) {
        const Index j = group + v * kLanes;
        LossAndGradient at = function(load(y.data + i * y.stride + j), load(target + j));
        if constexpr (weighted) {
          at.loss *= load(weights + j);
          at.gradient *= load(weights + j);
        }
        const VecI exists = numbers < static_cast<std::int32_t>(place.used - j);
        sum[v] += select(exists, at.loss, Vec{});
        if (out.data != nullptr) store(out.data + i * out.stride + j, scale * at.gradient);
      }
    }
#pragma GCC unroll 4
    for (Index v = 0; v < kGroup / kLanes; ++v) store(lanes + v * kLanes, sum[v]);
  }
}

template <class LossFunction>
DIABOLO_INLINE void loss_of_tile(const LossEpilogue& loss, LossFunction function, TileTarget y,
                                 const TileOfTargets& targets, const TilePlace& place, TileTarget out) {
  if (targets.weights.data == nullptr) {
    return weighted_loss_of_tile<false>(loss, function, y, targets, place, out);
  }
  weighted_loss_of_tile<true>(loss, function, y, targets, place, out);
}

/// The last layer's tile: loss, and its gradient at the pre-activation.
template <bool has_bias>
void compare_tile(const DenseForward& f, const float* tile, const TilePlace& place,
                  const TileOfTargets& targets) {
  const LossEpilogue& loss = *f.loss;
  alignas(64) float z[kTallestTile * kWidestPanel];
  alignas(64) float y[kTallestTile * kWidestPanel];
  const TileTarget z_tile{z, place.width};
  const TileTarget y_tile{y, place.width};
  const TileTarget delta = at_place(loss.delta, place);

  if (loss.loss == Loss::binary_crossentropy) {
    activate_tile<has_bias>(f, tile, place, z_tile, at_place(f.y, place));
    return loss_of_tile(loss, BinaryCrossEntropy{}, z_tile, targets, place, delta);
  }
  activate_tile<has_bias>(f, tile, place, z_tile, y_tile);
  if (f.y.data != nullptr) {
    const TileTarget to = at_place(f.y, place);
    for (Index i = 0; i < place.rows; ++i) {
      for (Index j = 0; j < place.used; j += kLanes)
        store(to.data + i * to.stride + j, load(y + i * place.width + j));
    }
  }
  alignas(64) float dy[kTallestTile * kWidestPanel];
  const TileTarget dy_tile{delta.data == nullptr ? nullptr : dy, place.width};
  switch (loss.loss) {
    case Loss::mse: loss_of_tile(loss, SquaredError{}, y_tile, targets, place, dy_tile); break;
    case Loss::mae: loss_of_tile(loss, AbsoluteError{}, y_tile, targets, place, dy_tile); break;
    case Loss::hinge: loss_of_tile(loss, HingeError{}, y_tile, targets, place, dy_tile); break;
    case Loss::gaussian: gaussian_loss_of_tile(loss, y_tile, targets, place, dy_tile); break;
    default: loss_of_tile(loss, HuberError{}, y_tile, targets, place, dy_tile); break;
  }
  if (delta.data == nullptr) return;
  const ActivationGradient through{f.activation, {}, f.slope, loss.delta, loss.slope_terms};
  chain_tile(through, dy, place, derivative_reads_preactivation(f.activation) ? z : y, place.width);
}

template <bool has_bias>
void finish_with_loss(const DenseForward& f, const float* tile, const TilePlace& place) {
  const LossEpilogue& loss = *f.loss;
  if (loss.sparse_target) return compare_tile<has_bias>(f, tile, place, ScatteredTile(loss, place).tile());
  compare_tile<has_bias>(f, tile, place, {at_place(loss.target, place), at_place(loss.weights, place)});
}

inline void finish_forward(const DenseForward& f, const float* tile, const TilePlace& place) {
  if (f.loss != nullptr) return finish_with_loss<false>(f, tile, place);
  activate_tile<false>(f, tile, place, at_place(f.preactivation, place), at_place(f.y, place));
}

inline void finish_input_gradient(const DenseInputGradient& g, const float* tile, const TilePlace& place) {
  const float* kept = g.below.kept.row(place.row) + place.column;
  chain_tile(g.below, tile, place, kept, g.below.kept.stride);
}

/// Loss and gradient of whole rows, from pre-activations that may lie where the gradient will.
inline void finish_rows(const DenseForward& f) {
  for (Index row = 0; row < f.preactivation.rows; ++row) {
    for (Index column = 0; column < f.weights.outputs; column += kWidestPanel) {
      const Index rest = f.weights.outputs - column;
      const TilePlace place{row, 1, column, kWidestPanel, rest < kWidestPanel ? rest : kWidestPanel};
      finish_with_loss<true>(f, f.preactivation.row(row) + column, place);
    }
  }
}

/// The chain rule through the activation below for a whole gradient, in tiles as wide as the widest panel.
inline void chain_rows(const ChainRule& c) {
  for (Index column = 0; column < c.gradient.cols; column += kWidestPanel) {
    const Index rest = c.gradient.cols - column;
    for (Index row = 0; row < c.gradient.rows; ++row) {
      const TilePlace place{row, 1, column, kWidestPanel, rest < kWidestPanel ? rest : kWidestPanel};
      chain_tile(c.below, c.gradient.row(row) + column, place, c.below.kept.row(row) + column,
                 c.below.kept.stride);
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
