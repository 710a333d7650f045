// Derivatives of a layer's outputs in its inputs: the norm of one layer's Jacobian, and directions of the
// input carried through layers and back, for penalties on the Jacobian of several.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernels.h"
#include "kernels/noise.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// norms[j] = sum over the inputs, in their order, of w_ij^2, for the columns given.
void squared_column_norms(const Panels& w, Range columns, float* norms) {
  for (Index column = columns.begin; column < columns.end; column += kGroup) {
    const float* from = w.data + column / w.width * w.inputs * w.width + column % w.width;
    Vec sum[kGroup / kLanes] = {};
    for (Index i = 0; i < w.inputs; ++i) {
      for (Index j = 0; j < kGroup / kLanes; ++j) {
        const Vec value = load(from + i * w.width + j * kLanes);
        sum[j] = fma(value, value, sum[j]);
      }
    }
    for (Index j = 0; j < kGroup / kLanes; ++j) store(norms + column + j * kLanes, sum[j]);
  }
}

/// Calls `use(row, column, exists)` for each vector of a matrix.
template <class Use>
DIABOLO_INLINE void for_vectors(Index rows, Index columns, const Use& use) {
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < columns; j += kLanes) use(r, j);
  }
}

/// Which lanes of the vector at column j exist.
DIABOLO_INLINE VecI existing(Index j, Index columns) {
  return lane_numbers() < static_cast<std::int32_t>(columns - j < kLanes ? columns - j : kLanes);
}

/// sums (rows, 1) = sum over the columns of y^2, column j added to lane j mod 16.
void squared_sums(MatrixView<const float> y, MatrixView<float> sums) {
  for (Index r = 0; r < y.rows; ++r) {
    alignas(64) float lanes[kGroup] = {};
    for (Index j = 0; j < y.cols; j += kLanes) {
      const Vec value = select(existing(j, y.cols), load(y.row(r) + j), Vec{});
      float* lane = lanes + j % kGroup;
      store(lane, fma(value, value, load(lane)));
    }
    sums.row(r)[0] = sum_of_lanes(lanes);
  }
}

void jacobian_norm(const JacobianNorm& g) {
  const bool learned = g.activation == Activation::prelu;
  with_activation(g.activation, [&](auto activation) {
    using F = decltype(activation);
    for (Index r = 0; r < g.kept.rows; ++r) {
      alignas(64) float lanes[kGroup] = {};
      const Vec scale = broadcast(2.0f * g.scale * weight_of_row(g.row_weights, r));
      for (Index j = 0; j < g.kept.cols; j += kLanes) {
        const Vec kept = load(g.kept.row(r) + j);
        const Vec squared_norm = load(g.squared_norms + j);
        const Vec slope = F::derivative(kept, learned ? load(g.slope + j) : Vec{});
        const Vec of_unit = select(existing(j, g.kept.cols), slope * slope * squared_norm, Vec{});
        store(lanes + j % kGroup, load(lanes + j % kGroup) + of_unit);
        if (g.direct.data == nullptr) continue;
        const Vec second = learned ? select(kept > 0.0f, Vec{}, broadcast(1.0f)) : F::second_derivative(kept);
        store(g.direct.row(r) + j, scale * slope * second * squared_norm);
        store(g.unit_factors.row(r) + j, scale * slope * slope);
      }
      g.norms.row(r)[0] = sum_of_lanes(lanes);
    }
  });
}

void tangent_forward(const TangentForward& t) {
  const bool learned = t.activation == Activation::prelu;
  with_activation(t.activation, [&](auto activation) {
    for_vectors(t.product.rows, t.product.cols, [&](Index r, Index j) {
      const Vec slope = learned ? load(t.slope + j) : Vec{};
      const Vec derivative = decltype(activation)::derivative(load(t.kept.row(r) + j), slope);
      store(t.tangent.row(r) + j, derivative * load(t.product.row(r) + j));
    });
  });
}

void tangent_backward(const TangentBackward& t) {
  const bool learned = t.activation == Activation::prelu;
  with_activation(t.activation, [&](auto activation) {
    using F = decltype(activation);
    for_vectors(t.product.rows, t.product.cols, [&](Index r, Index j) {
      const Vec kept = load(t.kept.row(r) + j);
      const Vec gradient = load(t.gradient.row(r) + j);
      const Vec second = learned ? select(kept > 0.0f, Vec{}, broadcast(1.0f)) : F::second_derivative(kept);
      store(t.product.row(r) + j, gradient * load(t.product.row(r) + j) * second);
      store(t.gradient.row(r) + j, gradient * F::derivative(kept, learned ? load(t.slope + j) : Vec{}));
    });
  });
}

/// out = factor x
void scale_rows(MatrixView<const float> x, float factor, MatrixView<float> out) {
  for_vectors(x.rows, x.cols, [&](Index r, Index j) { store(out.row(r) + j, factor * load(x.row(r) + j)); });
}

/// to += x
void add_rows(MatrixView<const float> x, MatrixView<float> to) {
  for_vectors(x.rows, x.cols,
              [&](Index r, Index j) { store(to.row(r) + j, load(to.row(r) + j) + load(x.row(r) + j)); });
}

/// A matrix of ones with random signs: the highest bit of each word.
void random_signs(const NoiseSource& source, MatrixView<float> out) {
  for (Index r = 0; r < out.rows; ++r) {
    for_noise(source, r, out.cols, [&](Index column, VecU word) {
      store(out.row(r) + column, with_sign_of(broadcast(1.0f), (Vec)word));
    });
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
