// A checksum of rows' values: the same for any memory layout of them and any number of threads.
#pragma once

#include <cstdint>
#include <optional>

#include "base/team.h"
#include "data/rows.h"

namespace diabolo {

/// CRC-32 of the selected rows, in order, as doubles (of sparse ones, of the columns and values stored), and
/// of their weights if they have any. nullopt: stopped by the hook.
[[nodiscard]] std::optional<std::uint32_t> fingerprint(const Rows& rows, int threads, PollHook* hook);

}  // namespace diabolo
