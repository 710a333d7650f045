// AlignedBuffer: the one way to allocate numeric memory. Zeroed, cache-line aligned, sized once.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

#include "base/matrix.h"

namespace diabolo {

/// One cache line on x86-64 and most aarch64, and one AVX-512 register.
inline constexpr std::size_t kAlignment = 64;

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  /// `count` zeros. calloc leaves large blocks untouched, so that each page is first touched, and on machines
  /// with several memory nodes placed, by the thread that uses it.
  explicit AlignedBuffer(Index count) : count_(count) {
    if (count == 0) return;
    constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<Index>::max());
    const auto wanted = static_cast<std::size_t>(count);
    if (count < 0 || wanted > (limit - kAlignment) / sizeof(T)) throw std::bad_array_new_length();
    raw_ = std::calloc(wanted * sizeof(T) + kAlignment, 1);
    if (raw_ == nullptr) throw std::bad_alloc();
    const auto address = reinterpret_cast<std::uintptr_t>(raw_);
    data_ = reinterpret_cast<T*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }

  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    AlignedBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~AlignedBuffer() { std::free(raw_); }

  void swap(AlignedBuffer& other) noexcept {
    std::swap(raw_, other.raw_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] Index size() const { return count_; }
  [[nodiscard]] T& operator[](Index i) { return data_[i]; }
  [[nodiscard]] const T& operator[](Index i) const { return data_[i]; }

 private:
  void* raw_ = nullptr;
  T* data_ = nullptr;
  Index count_ = 0;
};

}  // namespace diabolo
