// Which instruction sets this machine has, and which one is used. Runs before anything else of the library,
// so it is compiled for the oldest x86-64.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/amx_support.h"
#include "kernels/kernels.h"
#include "kernels/tile_level.h"

namespace diabolo::kernels {

namespace {

#if defined(__x86_64__)
/// As avx512_bf16, with products of pairs on the tile unit.
const KernelTable& amx_table() {
  static const KernelTable table = [] {
    KernelTable made = with_tiles("amx", avx512_bf16::table, amx::on_avx512_bf16);
    made.pair_unit = PairUnit::tiles;
    return made;
  }();
  return table;
}
#endif

/// As the best level of this machine whose multiply-adds are fused, with a model of a tile unit. Null: there
/// is none.
const KernelTable* emulated_table() {
  constexpr const char* name = "amx_emulated";
#if defined(__x86_64__)
  __builtin_cpu_init();
  const TableList list = available_tables();
  const auto has = [&](const KernelTable& table) {
    for (int i = 0; i < list.count; ++i) {
      if (list.tables[i] == &table) return true;
    }
    return false;
  };
  if (has(avx512::table)) {
    static const KernelTable wide = with_tiles(name, avx512::table, amx_emulated::on_avx512);
    return &wide;
  }
  static const KernelTable narrow = with_tiles(name, avx2::table, amx_emulated::on_avx2);
  return has(avx2::table) ? &narrow : nullptr;
#else
  static const KernelTable table = with_tiles(name, neon::table, amx_emulated::on_neon);
  return &table;
#endif
}

}  // namespace

KernelTable with_tiles(const char* name, const KernelTable& base, const TileProducts& products) {
  KernelTable table = base;
  table.name = name;
  table.prepare_thread = products.prepare_thread;
  table.release_thread = products.release_thread;
  table.dense_forward = products.dense_forward;
  table.dense_input_gradient = products.dense_input_gradient;
  table.dense_weight_gradient = products.dense_weight_gradient;
  table.pack_pairs = products.pack_pairs;
  return table;
}

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
        if (__builtin_cpu_supports("avx512bf16")) {
          list.tables[list.count++] = &avx512_bf16::table;
          if (has_amx()) list.tables[list.count++] = &amx_table();
        }
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

Index least_width(const KernelTable& table, Products products) {
  const bool single = products == Products::bfloat16;
  switch (table.pair_unit) {
    case PairUnit::tiles:
      // A tile sums over 32 inputs at once: for no more than that it is loaded and stored as often as it
      // multiplies. Three products double what is loaded, and what making the pairs costs.
      return single ? 33 : 64;
    case PairUnit::vectors:
#if defined(__x86_64__)
      // Zen 4 and later begin as many VDPBF16PS as VFMADD in a cycle, with twice the products each. Intel's
      // processors begin half as many. Narrower layers gain nothing: to make the pairs takes too long.
      return single && __builtin_cpu_is("amd") ? 32 : kNeverFaster;
#else
      return single ? 32 : kNeverFaster;
#endif
    default: return kNeverFaster;
  }
}

bool acquire_pair_unit(const KernelTable& table) {
  return table.pair_unit != PairUnit::tiles || acquire_amx();
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
  const KernelTable* const emulated = emulated_table();
  if (emulated != nullptr && std::string(emulated->name) == name) return *emulated;
  throw std::invalid_argument("DIABOLO_ISA must be one of the levels of this machine: " + levels + ". Got '" +
                              name + "'.");
}

}  // namespace diabolo::kernels
