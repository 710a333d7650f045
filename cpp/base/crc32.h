// The CRC-32 of zlib, PNG and gzip (IEEE 802.3); it leaves out every other polynomial and all cryptography.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace diabolo {

/// crc32(b, crc32(a)) is the checksum of a followed by b.
[[nodiscard]] std::uint32_t crc32(std::span<const std::byte> data, std::uint32_t previous = 0);

}  // namespace diabolo
