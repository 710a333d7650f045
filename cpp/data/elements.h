// Numbers of any type in somebody else's memory, aligned or not, read one by one.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace diabolo {

enum class ElementType : unsigned char {
  float32,
  float64,
  float16,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
};

/// IEEE half precision: stored as bits, read as float.
struct Half {
  std::uint16_t bits;
};

inline float to_number(Half h) {
  const std::uint32_t sign = (h.bits & 0x8000u) << 16;
  const std::uint32_t rest = h.bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);  // inf, NaN
  // Exponents differ by 112; multiplying by 2^112 is exact and takes half's denormals along.
  return std::bit_cast<float>(sign |
                              std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112f));
}

template <class T>
T to_number(T value) {
  return value;
}

/// Calls `work` with a null pointer of the element's C++ type.
template <class Work>
void with_type(ElementType type, const Work& work) {
  switch (type) {
    case ElementType::float32: return work(static_cast<const float*>(nullptr));
    case ElementType::float64: return work(static_cast<const double*>(nullptr));
    case ElementType::float16: return work(static_cast<const Half*>(nullptr));
    case ElementType::int8: return work(static_cast<const std::int8_t*>(nullptr));
    case ElementType::uint8: return work(static_cast<const std::uint8_t*>(nullptr));
    case ElementType::int16: return work(static_cast<const std::int16_t*>(nullptr));
    case ElementType::uint16: return work(static_cast<const std::uint16_t*>(nullptr));
    case ElementType::int32: return work(static_cast<const std::int32_t*>(nullptr));
    case ElementType::uint32: return work(static_cast<const std::uint32_t*>(nullptr));
    case ElementType::int64: return work(static_cast<const std::int64_t*>(nullptr));
    case ElementType::uint64: return work(static_cast<const std::uint64_t*>(nullptr));
  }
}

inline std::size_t size_of(ElementType type) {
  std::size_t size = 0;
  with_type(type, [&](auto* at) { size = sizeof *at; });
  return size;
}

/// The element at an address that need not be aligned.
template <class T>
T element(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace diabolo
