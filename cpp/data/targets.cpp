// See targets.h.
#include "data/targets.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/check.h"

namespace diabolo {

namespace {

/// Float32 counts no further without gaps.
constexpr Index kMostClasses = Index{1} << 24;

}  // namespace

Targets::Targets(Rows table, Scaler scaler, Index classes, float off)
    : table_(std::move(table)), scaler_(std::move(scaler)), classes_(classes), off_(off) {}

Targets Targets::of_values(Rows table, Scaler scaler) {
  require(scaler.empty() || static_cast<Index>(scaler.shift.size()) == table.features(),
          "a scaler must have one shift and one scale for each target.");
  return {std::move(table), std::move(scaler), 0, 0.0f};
}

Targets Targets::of_classes(Rows numbers, Index classes, float off) {
  require(numbers.features() == 1, "the classes of rows must be a single column.");
  require(classes >= 1 && classes <= kMostClasses, "there must be between 1 and 2^24 classes.");
  return {std::move(numbers), Scaler(), classes, off};
}

void Targets::gather(const Index* source_rows, Index count, MatrixView<float> out) const {
  if (classes_ == 0) return table_.gather(source_rows, count, scaler_, out);
  table_.gather(source_rows, count, scaler_, {out.data, count, 1, out.stride});
  for (Index r = 0; r < count; ++r) {
    float* row = out.row(r);
    const auto number = static_cast<Index>(row[0]);
    assert(number >= 0 && number < classes_);
    std::fill_n(row, classes_, off_);
    row[number] = 1.0f;
  }
}

}  // namespace diabolo
