// Where a finished tile's elements go, and where those it is compared with come from.
#pragma once

#include "kernels/sparse_rows.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

DIABOLO_INLINE TilePlace tile_place(Index panel, Index width, Index columns, Index row, Index rows) {
  const Index column = panel * width;
  const Index rest = columns - column;
  return {row, rows, column, width, rest < width ? rest : width};
}

/// Destination of a tile's rows: element (i, j) at data[i * stride + j]; null: not wanted.
struct TileTarget {
  float* data = nullptr;
  Index stride = 0;
};

DIABOLO_INLINE TileTarget at_place(MatrixView<float> m, const TilePlace& place) {
  return {m.data == nullptr ? nullptr : m.row(place.row) + place.column, m.stride};
}

/// Somebody's elements for the tile: (i, j) at data[i * stride + j]; null: none.
struct TileSource {
  const float* data = nullptr;
  Index stride = 0;

  [[nodiscard]] const float* row(Index i) const { return data + i * stride; }
};

DIABOLO_INLINE TileSource at_place(MatrixView<const float> m, const TilePlace& place) {
  return {m.data == nullptr ? nullptr : m.row(place.row) + place.column, m.stride};
}

/// What a tile of the output is compared with: targets, and the weights of the elements' losses (null: 1).
struct TileOfTargets {
  TileSource target;
  TileSource weights;
};

/// Those of a sparse target, written out for the tile alone.
class ScatteredTile {
 public:
  ScatteredTile(const LossEpilogue& loss, const TilePlace& place) : width_(place.width) {
    const bool weighted = loss.stored_weights != nullptr;
    for (Index i = 0; i < place.rows * width_; i += kLanes) store(target_ + i, Vec{});
    for (Index i = 0; weighted && i < place.rows * width_; i += kLanes) store(weights_ + i, Vec{});
    const Range columns{place.column, place.column + place.used};
    for (Index i = 0; i < place.rows; ++i) {
      const Index row = place.row + i;
      for_stored(loss.sparse_target, row, columns, loss.hints[row], [&](Index at, Index column) {
        target_[i * width_ + column - place.column] = loss.sparse_target.values[at];
        if (weighted) weights_[i * width_ + column - place.column] = loss.stored_weights[row];
      });
    }
    is_weighted_ = weighted;
  }

  [[nodiscard]] TileOfTargets tile() const {
    return {{target_, width_}, {is_weighted_ ? weights_ : nullptr, width_}};
  }

 private:
  Index width_;
  bool is_weighted_ = false;
  alignas(64) float target_[kTallestTile * kWidestPanel];
  alignas(64) float weights_[kTallestTile * kWidestPanel];
};

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
