// Reads /proc, cgroup v2 and v1, and the resource limits. Missing files mean: no such limit.
#include "base/process_limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace diabolo {
namespace {

/// The number that a one-line file holds; nullopt for no file, or for "max".
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number on the line of a file that begins with the word `key`.
std::optional<std::int64_t> number_after(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    std::int64_t value = 0;
    if (words >> word && word == key && words >> value) return value;
  }
  return std::nullopt;
}

/// The folder of this process's cgroup: version 2 ("0::/path"), or the named controller of version 1.
std::string cgroup_folder(const std::string& root, const std::string& controller) {
  const std::string mount = root + "/sys/fs/cgroup";
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controller.empty() && controllers.empty()) return mount + path;
    if (!controller.empty() && ("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
      return mount + "/" + controller + path;
    }
  }
  return {};
}

/// Calls `visit(folder)` for the cgroup's folder and every one above it: each may set a tighter limit. In a
/// container the path may not exist; then the mount's root, the last one visited, is the container's own
/// group.
template <class Visit>
void for_each_cgroup(const std::string& root, const std::string& controller, const Visit& visit) {
  std::string folder = cgroup_folder(root, controller);
  const std::string top = root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + controller);
  while (folder.size() > top.size()) {
    visit(folder);
    folder.erase(folder.find_last_of('/'));
  }
  visit(top);
}

/// What a cgroup's memory is used for, by the names of the version: 2, or 1.
struct MemoryFiles {
  const char* limit;
  const char* usage;
  const char* inactive_file_pages;  // in memory.stat
  const char* active_file_pages;
};
constexpr MemoryFiles kVersion2{"/memory.max", "/memory.current", "inactive_file", "active_file"};
constexpr MemoryFiles kVersion1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file",
                                "total_active_file"};

/// The bytes that a cgroup still lets its processes allocate. Its usage counts every page of every file they
/// have read, until the room is wanted: after one look through a large memory map that is the whole limit.
std::optional<std::int64_t> rest_of_cgroup(const std::string& folder, const MemoryFiles& files) {
  const auto limit = number_in(folder + files.limit);
  if (!limit) return std::nullopt;
  const std::string stat = folder + "/memory.stat";
  const std::int64_t of_files = number_after(stat, files.inactive_file_pages).value_or(0) +
                                number_after(stat, files.active_file_pages).value_or(0);
  const std::int64_t kept = std::max<std::int64_t>(0, number_in(folder + files.usage).value_or(0) - of_files);
  return std::max<std::int64_t>(0, *limit - kept);
}

template <class T>
void take_least(std::optional<T>& least, std::optional<T> candidate) {
  if (candidate) least = least ? std::min(*least, *candidate) : *candidate;
}

std::optional<std::int64_t> rest_of_address_space() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const auto pages = number_in("/proc/self/statm").value_or(0);
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(limit.rlim_cur) - pages * sysconf(_SC_PAGESIZE));
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  std::optional<double> least;
  for_each_cgroup(root, "", [&](const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    double quota = 0.0;
    double period = 0.0;
    if (file >> quota >> period && quota > 0.0 && period > 0.0)
      take_least(least, std::optional(quota / period));
  });
  for_each_cgroup(root, "cpu", [&](const std::string& folder) {
    const auto quota = number_in(folder + "/cpu.cfs_quota_us");
    const auto period = number_in(folder + "/cpu.cfs_period_us");
    if (quota && period && *quota > 0 && *period > 0) {
      take_least(least, std::optional(static_cast<double>(*quota) / static_cast<double>(*period)));
    }
  });
  return least;
}

std::optional<std::int64_t> available_memory(const std::string& root) {
  std::optional<std::int64_t> least;
  if (const auto kilobytes = number_after(root + "/proc/meminfo", "MemAvailable:")) least = *kilobytes * 1024;
  for_each_cgroup(root, "",
                  [&](const std::string& folder) { take_least(least, rest_of_cgroup(folder, kVersion2)); });
  for_each_cgroup(root, "memory",
                  [&](const std::string& folder) { take_least(least, rest_of_cgroup(folder, kVersion1)); });
  take_least(least, rest_of_address_space());
  return least;
}

}  // namespace diabolo
