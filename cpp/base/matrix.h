// MatrixView: a strided look at somebody else's numbers. It owns nothing and computes nothing.
#pragma once

#include <cstddef>

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

}  // namespace diabolo
