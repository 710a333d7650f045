// What this machine can do at most, on any number of threads: multiply-adds, bytes, meetings.
#pragma once

#include <string>
#include <vector>

namespace machine_limits {

/// The names that `peak` knows on this machine: its instruction sets, then those for bfloat16.
[[nodiscard]] std::vector<std::string> peaks();

/// Multiplications and additions per second of `threads` threads together, each in registers; the best of
/// `rounds` rounds of at least `seconds`.
[[nodiscard]] double peak(const std::string& name, int threads, int rounds, double seconds);

enum class Traffic { read, copy };

/// Bytes per second that `threads` threads move together, each through an own buffer of `bytes` (a copy reads
/// half and writes half of it; what it moves is both).
[[nodiscard]] double bandwidth(Traffic traffic, long bytes, int threads, int rounds, double seconds);

/// Seconds of one meeting of `threads` threads of a diabolo::Team.
[[nodiscard]] double meeting(int threads, int rounds, double seconds);

/// Seconds of opening and closing a parallel region of a diabolo::Team in which nothing is done.
[[nodiscard]] double region(int threads, int rounds, double seconds);

}  // namespace machine_limits
