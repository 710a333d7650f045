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

/// The "key:  value kB" line of a /proc file, in bytes.
std::optional<std::int64_t> kilobytes_in(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) != 0) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    std::int64_t value = 0;
    if (rest >> value) return value * 1024;
  }
  return std::nullopt;
}

/// The folder of this process's cgroup: version 2 ("0::/path"), or the named controller of version 1.
std::string cgroup_folder(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controller.empty() && controllers.empty()) return "/sys/fs/cgroup" + path;
    if (!controller.empty() && ("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
      return "/sys/fs/cgroup/" + controller + path;
    }
  }
  return {};
}

/// Calls `visit(folder)` for the cgroup's folder and every one above it: each may set a tighter limit. In a
/// container the path may not exist; then the mount's root, the last one visited, is the container's own
/// group.
template <class Visit>
void for_each_cgroup(const std::string& controller, const Visit& visit) {
  std::string folder = cgroup_folder(controller);
  const std::string root = controller.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
  while (folder.size() > root.size()) {
    visit(folder);
    folder.erase(folder.find_last_of('/'));
  }
  visit(root);
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

std::optional<double> cgroup_cpu_quota() {
  std::optional<double> least;
  for_each_cgroup("", [&](const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    double quota = 0.0;
    double period = 0.0;
    if (file >> quota >> period && quota > 0.0 && period > 0.0)
      take_least(least, std::optional(quota / period));
  });
  for_each_cgroup("cpu", [&](const std::string& folder) {
    const auto quota = number_in(folder + "/cpu.cfs_quota_us");
    const auto period = number_in(folder + "/cpu.cfs_period_us");
    if (quota && period && *quota > 0 && *period > 0) {
      take_least(least, std::optional(static_cast<double>(*quota) / static_cast<double>(*period)));
    }
  });
  return least;
}

std::optional<std::int64_t> available_memory() {
  std::optional<std::int64_t> least = kilobytes_in("/proc/meminfo", "MemAvailable");
  const auto take_rest = [&](const std::string& limit_file, const std::string& usage_file) {
    const auto limit = number_in(limit_file);
    if (limit)
      take_least(least, std::optional(std::max<std::int64_t>(0, *limit - number_in(usage_file).value_or(0))));
  };
  for_each_cgroup(
      "", [&](const std::string& folder) { take_rest(folder + "/memory.max", folder + "/memory.current"); });
  for_each_cgroup("memory", [&](const std::string& folder) {
    take_rest(folder + "/memory.limit_in_bytes", folder + "/memory.usage_in_bytes");
  });
  take_least(least, rest_of_address_space());
  return least;
}

}  // namespace diabolo
