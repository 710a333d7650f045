// CRC-32, eight bytes at a time by tables; it leaves out special instructions, since the disk is slower.
#include "base/crc32.h"

#include <array>

namespace diabolo {
namespace {

constexpr std::size_t kStride = 8;
using Tables = std::array<std::array<std::uint32_t, 256>, kStride>;

// tables[k][b]: what the byte b, followed by k zero bytes, contributes to the remainder.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0xEDB88320u : 0u);
    }
    tables[0][byte] = remainder;
  }
  for (std::size_t k = 1; k < kStride; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t shorter = tables[k - 1][byte];
      tables[k][byte] = (shorter >> 8) ^ tables[0][shorter & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> data, std::uint32_t previous) {
  std::uint32_t state = ~previous;
  std::size_t at = 0;
  for (; data.size() - at >= kStride; at += kStride) {
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < kStride; ++i) {
      std::uint32_t byte = std::to_integer<std::uint32_t>(data[at + i]);
      if (i < 4) byte ^= (state >> (8 * i)) & 0xFF;
      next ^= kTables[kStride - 1 - i][byte];
    }
    state = next;
  }
  for (; at < data.size(); ++at) {
    state = (state >> 8) ^ kTables[0][(state ^ std::to_integer<std::uint32_t>(data[at])) & 0xFF];
  }
  return ~state;
}

}  // namespace diabolo
