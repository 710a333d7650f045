// See amx_support.h.
#include "kernels/amx_support.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace diabolo::kernels {
namespace {

/// What the system saves and restores: XCR0. Not to be read unless CPUID says that XGETBV is there (OSXSAVE).
unsigned enabled_state() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

bool has_amx() {
  constexpr unsigned osxsave = 1u << 27;                // leaf 1, ECX
  constexpr unsigned amx = 1u << 22 | 1u << 24;         // leaf 7, EDX: AMX-BF16, AMX-TILE
  constexpr unsigned tile_state = 1u << 17 | 1u << 18;  // XCR0: TILECFG, TILEDATA
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & osxsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & amx) != amx) return false;
  return (enabled_state() & tile_state) == tile_state;
}

bool acquire_amx() {
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM, Linux 5.16
  constexpr long tile_data = 18;
  static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return granted;
}

}  // namespace diabolo::kernels

#else

namespace diabolo::kernels {
bool has_amx() { return false; }
bool acquire_amx() { return false; }
}  // namespace diabolo::kernels

#endif
