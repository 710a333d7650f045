// Which instruction sets this machine has, and which one is used. Runs before anything else of the library,
// so it is compiled for the oldest x86-64.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

namespace diabolo::kernels {

#if defined(__x86_64__)
namespace avx512_bf16 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace baseline {
extern const KernelTable table;
}
#elif defined(__aarch64__)
namespace neon {
extern const KernelTable table;
}
#endif

TableList available_tables() {
  TableList list{};
#if defined(__x86_64__)
  // The built-in asks CPUID and, for AVX, the operating system too (XCR0).
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
      __builtin_cpu_supports("popcnt")) {
    list.tables[list.count++] = &baseline::table;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      list.tables[list.count++] = &avx2::table;
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        list.tables[list.count++] = &avx512::table;
        if (__builtin_cpu_supports("avx512bf16")) list.tables[list.count++] = &avx512_bf16::table;
      }
    }
  }
#elif defined(__aarch64__)
  list.tables[list.count++] = &neon::table;
#endif
  return list;
}

const KernelTable& select_table() {
  const TableList list = available_tables();
  if (list.count == 0) {
    throw std::runtime_error(
        "diabolo needs an x86-64 processor with SSE4.2 and POPCNT (x86-64-v2), or aarch64.");
  }
  const char* wish = std::getenv("DIABOLO_ISA");
  if (wish == nullptr || *wish == '\0') return *list.tables[list.count - 1];
  return find_table(wish);
}

bool pairs_are_faster(const KernelTable& table) {
#if defined(__x86_64__)
  // Zen 4 and later begin as many VDPBF16PS as VFMADD in a cycle, with twice the products each. Intel's
  // processors begin half as many.
  return table.multiplies_pairs && __builtin_cpu_is("amd");
#else
  return table.multiplies_pairs;
#endif
}

bool forces_precision() {
  const char* const forced = std::getenv("DIABOLO_FORCE_MATMUL_PRECISION");
  return forced != nullptr && std::string(forced) == "1";
}

const KernelTable& find_table(const char* name) {
  const TableList list = available_tables();
  std::string levels;
  for (int i = 0; i < list.count; ++i) {
    if (std::string(list.tables[i]->name) == name) return *list.tables[i];
    levels += (i == 0 ? "" : ", ") + std::string(list.tables[i]->name);
  }
  throw std::invalid_argument("DIABOLO_ISA must be one of the levels of this machine: " + levels + ". Got '" +
                              name + "'.");
}

}  // namespace diabolo::kernels
