// See sparse_batch.h.
#include "model/sparse_batch.h"

#include <algorithm>

#include "base/check.h"

namespace diabolo {

SparseBatch::SparseBatch(const Network& network, const Objective& objective, Index count, Index most_stored,
                         Purpose purpose)
    : sums_features_(objective.sum_features),
      features_(network.inputs(network.all())),
      stride_(round_up(std::max<Index>(most_stored, 1), kernels::kGroup)),
      most_stored_(most_stored),
      noisy_layers_(network.layers_before_first_product(purpose)),
      values_(checked_product(count, stride_)),
      columns_(checked_product(count, stride_)),
      counts_(count),
      hints_(count) {
  if (noisy_layers_ > 0 && purpose == Purpose::training) noisy_ = AlignedBuffer<float>(count * stride_);
  if (objective.stored_only) stored_weights_ = AlignedBuffer<float>(count);
}

void SparseBatch::gather(const SparseTable& table, const Index* source_rows, Range where) {
  for (Index row = where.begin; row < where.end; ++row) {
    const Index at = row * stride_;
    const Index count =
        table.read(source_rows[row - where.begin], most_stored_, values_.data() + at, columns_.data() + at);
    counts_[row] = static_cast<std::int32_t>(count);
    if (stored_weights_.size() == 0) continue;
    // The objective divides by all features, or by none.
    const double weight = sums_features_ ? 1.0 : static_cast<double>(features_) / static_cast<double>(count);
    stored_weights_[row] = count == 0 ? 0.0f : static_cast<float>(weight);
  }
}

bool SparseBatch::all_valid(Range where, float low, float high) const {
  const auto valid = [&](float x) { return x >= low && x <= high && x - x == 0.0f; };
  for (Index row = where.begin; row < where.end; ++row) {
    const float* values = values_.data() + row * stride_;
    if (!std::all_of(values, values + counts_[row], valid)) return false;
  }
  return true;
}

SparseView SparseBatch::view() const {
  return {values_.data(), columns_.data(), counts_.data(), counts_.size(), features_, stride_};
}

void SparseBatch::attach_to(NetworkBuffers& buffers) {
  SparseView input = view();
  for (Index i = 0; i <= noisy_layers_; ++i) {
    LayerBuffers& layer = buffers.of_layer[static_cast<std::size_t>(i)];
    layer.stored_input = input;
    if (i == noisy_layers_ || noisy_.size() == 0) continue;
    layer.stored_output = noisy_.data();
    input.values = noisy_.data();
  }
}

void SparseBatch::set_target(Range where, kernels::LossEpilogue& loss) {
  loss.sparse_target = rows_of(view(), where);
  loss.hints = hints_.data() + where.begin;
  if (!counts_zeros()) loss.stored_weights = stored_weights_.data() + where.begin;
}

Index SparseBatch::planned_bytes(Index count, Index most_stored) {
  const Index stride = round_up(std::max<Index>(most_stored, 1), kernels::kGroup);
  return checked_product(checked_product(count, stride), 3 * sizeof(float));
}

}  // namespace diabolo
