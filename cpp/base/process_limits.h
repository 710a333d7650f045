// What the operating system lets this process use: processor time and memory. Unknown limits are nullopt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace diabolo {

/// Processors' worth of time per period that the cgroup allows, rounded up to whole ones by nobody: 1.5
/// stays 1.5. `root` is the folder in which /proc and /sys are looked for.
[[nodiscard]] std::optional<double> cgroup_cpu_quota(const std::string& root = "");

/// Bytes that can still be allocated: the least of the free memory, the cgroup's rest and the address-space
/// limit. Pages of files that the cgroup keeps only because nobody has asked for their room count as free.
[[nodiscard]] std::optional<std::int64_t> available_memory(const std::string& root = "");

}  // namespace diabolo
