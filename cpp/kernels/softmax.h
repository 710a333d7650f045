// The softmax over groups of columns, and the losses that are fused with it: a row at a time, for a group may
// be wider than any tile.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernels.h"
#include "kernels/update_rules.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

/// Up to 16 numbers of a row, the rest of 16 filled up: a group may begin and end anywhere.
struct Sixteen {
  alignas(64) float at[kGroup];

  Sixteen(const float* from, Index used, float filling) {
    for (Index i = 0; i < kGroup; ++i) at[i] = i < used ? from[i] : filling;
  }
  [[nodiscard]] Vec operator()(Index lane) const { return load(at + lane); }
};

/// Calls `work(first, used)` for each 16 columns of a range, so that column `begin` + i is lane i mod 16 on
/// every instruction set.
template <class Work>
DIABOLO_INLINE void by_sixteen(Range columns, const Work& work) {
  for (Index first = columns.begin; first < columns.end; first += kGroup) {
    const Index rest = columns.end - first;
    work(first, rest < kGroup ? rest : kGroup);
  }
}

/// What a group's softmax needs of its pre-activations: e^(z - greatest) / sum is y, log y = z - greatest -
/// log_sum.
struct Normalizer {
  float greatest;
  float inverse_sum;
  float log_sum;
};

Normalizer normalizer_of(const float* z, Range group) {
  alignas(64) float lanes[kGroup];
  Vec most[kGroup / kLanes];
  for (Index v = 0; v < kGroup / kLanes; ++v) most[v] = broadcast(-kInfinity);
  by_sixteen(group, [&](Index first, Index used) {
    const Sixteen values(z + first, used, -kInfinity);
    for (Index v = 0; v < kGroup / kLanes; ++v) {
      const Vec value = values(v * kLanes);
      most[v] = select(value > most[v], value, most[v]);  // NaN is met again below
    }
  });
  for (Index v = 0; v < kGroup / kLanes; ++v) store(lanes + v * kLanes, most[v]);
  float greatest = lanes[0];
  for (Index i = 1; i < kGroup; ++i) greatest = lanes[i] > greatest ? lanes[i] : greatest;

  for (Index i = 0; i < kGroup; ++i) lanes[i] = 0.0f;
  by_sixteen(group, [&](Index first, Index used) {
    const Sixteen values(z + first, used, -kInfinity);
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      store(lanes + lane, load(lanes + lane) + exp(values(lane) - greatest));
    }
  });
  const float sum = sum_of_lanes(lanes);
  return {greatest, 1.0f / sum, log(broadcast(sum))[0]};
}

/// The softmax of one group of a row.
void softmax_of_group(const float* z, Range group, const Normalizer& n, float* y) {
  by_sixteen(group, [&](Index first, Index used) {
    Sixteen values(z + first, used, -kInfinity);
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      store(values.at + lane, exp(values(lane) - n.greatest) * n.inverse_sum);
    }
    copy_group(values.at, used, y + first);
  });
}

/// One row of a loss: its targets, and what its elements weigh.
struct LossRow {
  const LossEpilogue& loss;
  Index row;

  [[nodiscard]] Sixteen targets(Index first, Index used) const {
    if (loss.classes == nullptr) return Sixteen(loss.target.row(row) + first, used, 0.0f);
    Sixteen one_hot(nullptr, 0, 0.0f);
    const Index at = loss.classes[row] - first;
    if (at >= 0 && at < used) one_hot.at[at] = 1.0f;
    return one_hot;
  }
  [[nodiscard]] Sixteen weights(Index first, Index used) const {
    if (loss.weights.data == nullptr) return Sixteen(nullptr, 0, 1.0f);
    return Sixteen(loss.weights.row(row) + first, used, 0.0f);
  }
  [[nodiscard]] float scale() const { return loss.scale * weight_of_row(loss.row_weights, row); }
  [[nodiscard]] float* lanes() const { return loss.lanes + row * kGroup; }
};

/// Adds sum of a (log_sum + greatest - z), and for the divergence of a log t, to the row's lanes; leaves
/// scale times the gradient in `delta` where wanted.
void loss_of_group(const LossRow& of, const float* z, Range group, const Normalizer& n, float* delta) {
  const bool divergence = of.loss.loss == Loss::kl_divergence;
  alignas(64) float totals[kGroup] = {};  // sum of a
  by_sixteen(group, [&](Index first, Index used) {
    const Sixteen values(z + first, used, 0.0f);
    const Sixteen targets = of.targets(first, used);
    const Sixteen weights = of.weights(first, used);
    float* lanes = of.lanes();
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      const Vec t = targets(lane);
      const Vec a = weights(lane) * t;
      Vec surprise = n.log_sum - (values(lane) - n.greatest);
      if (divergence) surprise += log(select(t > 0.0f, t, broadcast(1.0f)));
      const VecI exists = lane_numbers() < static_cast<std::int32_t>(used - lane);
      store(lanes + lane, load(lanes + lane) + select(exists, a * surprise, Vec{}));
      store(totals + lane, load(totals + lane) + a);
    }
  });
  if (delta == nullptr) return;
  const float total = sum_of_lanes(totals);
  by_sixteen(group, [&](Index first, Index used) {
    Sixteen values(z + first, used, 0.0f);
    const Sixteen targets = of.targets(first, used);
    const Sixteen weights = of.weights(first, used);
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      const Vec y = exp(values(lane) - n.greatest) * n.inverse_sum;
      store(values.at + lane, of.scale() * fma(broadcast(total), y, -weights(lane) * targets(lane)));
    }
    copy_group(values.at, used, delta + first);
  });
}

/// (z - t)^2 of the columns between the groups.
void loss_of_plain_columns(const LossRow& of, const float* z, Range columns, float* delta) {
  by_sixteen(columns, [&](Index first, Index used) {
    Sixteen values(z + first, used, 0.0f);
    const Sixteen targets = of.targets(first, used);
    const Sixteen weights = of.weights(first, used);
    float* lanes = of.lanes();
    for (Index lane = 0; lane < kGroup; lane += kLanes) {
      const LossAndGradient at = SquaredError{}(values(lane), targets(lane));
      const VecI exists = lane_numbers() < static_cast<std::int32_t>(used - lane);
      store(lanes + lane, load(lanes + lane) + select(exists, weights(lane) * at.loss, Vec{}));
      store(values.at + lane, of.scale() * weights(lane) * at.gradient);
    }
    if (delta != nullptr) copy_group(values.at, used, delta + first);
  });
}

/// A loss that compares element by element, of a whole row of outputs.
void loss_of_outputs(const LossEpilogue& loss, float* y, Index row, Index columns) {
  for (Index column = 0; column < columns; column += kWidestPanel) {
    const Index rest = columns - column;
    const TilePlace place{row, 1, column, kWidestPanel, rest < kWidestPanel ? rest : kWidestPanel};
    const TileTarget outputs{y + column, 0};
    const TileOfTargets targets{at_place(loss.target, place), at_place(loss.weights, place)};
    switch (loss.loss) {
      case Loss::mae: loss_of_tile(loss, AbsoluteError{}, outputs, targets, place, {}); break;
      case Loss::huber: loss_of_tile(loss, HuberError{}, outputs, targets, place, {}); break;
      default: loss_of_tile(loss, SquaredError{}, outputs, targets, place, {}); break;
    }
  }
}

/// Calls `on_group(range)` and `on_others(range)` for the groups and what lies between them, in their order.
template <class OnGroup, class OnOthers>
DIABOLO_INLINE void for_columns(const GroupedSoftmax& s, const OnGroup& on_group, const OnOthers& on_others) {
  Index next = 0;
  for (Index g = 0; g < s.group_count; ++g) {
    if (next < s.groups[g].begin) on_others(Range{next, s.groups[g].begin});
    on_group(s.groups[g]);
    next = s.groups[g].end;
  }
  if (next < s.z.cols) on_others(Range{next, s.z.cols});
}

void grouped_softmax(const GroupedSoftmax& s) {
  const bool joined = s.loss != nullptr && joins_columns(s.loss->loss);
  for (Index r = 0; r < s.z.rows; ++r) {
    const float* z = s.z.row(r);
    float* y = s.y.data == nullptr ? nullptr : s.y.row(r);
    float* delta = joined && s.loss->delta.data != nullptr ? s.loss->delta.row(r) : nullptr;
    for_columns(
        s,
        [&](Range group) {
          const Normalizer n = normalizer_of(z, group);
          if (y != nullptr) softmax_of_group(z, group, n, y);
          if (joined) loss_of_group({*s.loss, r}, z, group, n, delta);
        },
        [&](Range others) {
          if (y != nullptr) copy_group(z + others.begin, others.size(), y + others.begin);
          if (joined) loss_of_plain_columns({*s.loss, r}, z, others, delta);
        });
    if (s.loss != nullptr && !joined) loss_of_outputs(*s.loss, y, r, s.z.cols);
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
