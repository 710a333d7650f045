// What the operating system lets this process use: processor time and memory. Unknown limits are nullopt.
#pragma once

#include <cstdint>
#include <optional>

namespace diabolo {

/// Processors' worth of time per period that the cgroup allows, rounded up to whole ones by nobody: 1.5
/// stays 1.5.
[[nodiscard]] std::optional<double> cgroup_cpu_quota();

/// Bytes that can still be allocated: the least of the free memory, the cgroup's rest and the address-space
/// limit.
[[nodiscard]] std::optional<std::int64_t> available_memory();

}  // namespace diabolo
