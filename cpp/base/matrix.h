// Looks at somebody else's numbers: MatrixView, strided, and SparseView, of which only some elements are
// written down. They own nothing and compute nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace diabolo {

/// Signed, 64 bits on every supported machine: sizes, strides and row numbers never overflow at 2^31.
using Index = std::ptrdiff_t;

/// Half-open range [begin, end).
struct Range {
  Index begin = 0;
  Index end = 0;

  [[nodiscard]] Index size() const { return end - begin; }
};

template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;  // elements from one row to the next

  [[nodiscard]] T* row(Index r) const { return data + r * stride; }
};

/// A matrix by its stored elements, the others being 0: element k of row r, k < counts[r], has the value
/// values[r * stride + k] and stands in column columns[r * stride + k]. The columns of a row ascend. Kernels
/// may read (never use) whole registers, up to the row's stride, a multiple of 16.
struct SparseView {
  const float* values = nullptr;
  const std::int32_t* columns = nullptr;
  const std::int32_t* counts = nullptr;  // (rows)
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  [[nodiscard]] explicit operator bool() const { return values != nullptr; }
};

}  // namespace diabolo
