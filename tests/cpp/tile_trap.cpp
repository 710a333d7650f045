// See tile_trap.h. Encodings: Intel's Software Developer's Manual, volume 2, of each instruction, and 2.1.5
// and 2.3 for operands in memory. All six have a VEX prefix of three bytes, C4 RXBmmmmm WvvvvLpp, with the
// bits of R, X, B and vvvv inverted.
#include "tile_trap.h"

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/tile_model.h"

namespace diabolo::testing {
namespace {

thread_local kernels::TileModel tiles;
std::atomic<long> trapped{0};

enum Prefix : unsigned { none = 0, f3 = 2, f2 = 3 };  // the field pp

/// General registers by their numbers in machine code.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

struct Memory {
  std::uint64_t address = 0;  // without the index
  std::uint64_t index = 0;    // scaled
  bool has_index = false;
  int bytes = 0;  // of the instruction, from the byte ModRM on
};

std::int64_t displacement(const std::uint8_t* at, int bytes) {
  if (bytes == 1) return static_cast<std::int8_t>(*at);
  std::int32_t value = 0;
  if (bytes == 4) std::memcpy(&value, at, 4);
  return value;
}

/// The operand in memory that ModRM at `modrm` describes.
Memory memory_operand(const std::uint8_t* modrm, unsigned extend_base, unsigned extend_index,
                      const greg_t* registers) {
  const unsigned mod = *modrm >> 6;
  const unsigned rm = *modrm & 7u;
  const auto value = [&](unsigned number) {
    return static_cast<std::uint64_t>(registers[kRegisters[number]]);
  };
  Memory m;
  const std::uint8_t* next = modrm + 1;
  int bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  if (rm == 4) {
    const unsigned sib = *next++;
    const unsigned base = sib & 7u;
    const unsigned index = (sib >> 3 & 7u) | extend_index << 3;
    if (base == 5 && mod == 0) {
      bytes = 4;
    } else {
      m.address = value(base | extend_base << 3);
    }
    m.has_index = index != 4;
    if (m.has_index) m.index = value(index) << (sib >> 6);
  } else if (rm == 5 && mod == 0) {  // relative to the next instruction
    bytes = 4;
    m.address = reinterpret_cast<std::uint64_t>(next) + 4;
  } else {
    m.address = value(rm | extend_base << 3);
  }
  m.address += static_cast<std::uint64_t>(displacement(next, bytes));
  m.bytes = static_cast<int>(next - modrm) + bytes;
  return m;
}

/// Does what stands at `code`; returns its length, or 0 if it is none of the six.
int run(const std::uint8_t* code, const greg_t* registers) {
  if (code[0] != 0xc4 || (code[1] & 0x1fu) != 2 || (code[2] & 0x84u) != 0) return 0;  // 0F38, W0, 128 bits
  const unsigned prefix = code[2] & 3u;
  const unsigned opcode = code[3];
  const std::uint8_t* const modrm = code + 4;
  const bool in_memory = *modrm >> 6 != 3;
  const int reg = *modrm >> 3 & 7;
  const int rm = *modrm & 7;
  const int third = ~(code[2] >> 3) & 7;
  if (opcode == 0x5c && prefix == f3 && !in_memory) {  // TDPBF16PS
    tiles.add_products(reg, rm, third);
    return 5;
  }
  if (opcode == 0x49 && prefix == f2 && !in_memory && rm == 0) {  // TILEZERO
    tiles.zero(reg);
    return 5;
  }
  if (opcode == 0x49 && prefix == none && *modrm == 0xc0) {  // TILERELEASE
    tiles.release();
    return 5;
  }
  if (!in_memory) return 0;
  const Memory m = memory_operand(modrm, ~(code[1] >> 5) & 1u, ~(code[1] >> 6) & 1u, registers);
  if (opcode == 0x49 && prefix == none && reg == 0) {  // LDTILECFG
    kernels::TileShapes shapes;
    std::memcpy(&shapes, reinterpret_cast<const void*>(m.address + m.index), sizeof shapes);
    tiles.configure(shapes);
    return 4 + m.bytes;
  }
  if (opcode != 0x4b || !m.has_index) return 0;
  const auto stride = static_cast<Index>(m.index);
  if (prefix == f2) {  // TILELOADD
    tiles.load(reg, reinterpret_cast<const void*>(m.address), stride);
    return 4 + m.bytes;
  }
  if (prefix == f3) {  // TILESTORED
    tiles.store(reg, reinterpret_cast<void*>(m.address), stride);
    return 4 + m.bytes;
  }
  return 0;
}

void handle(int /*signal*/, siginfo_t* /*info*/, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const int length = run(reinterpret_cast<const std::uint8_t*>(registers[REG_RIP]), registers);
  if (length == 0) {
    std::fprintf(stderr, "an unknown instruction\n");
    std::abort();
  }
  registers[REG_RIP] += length;
  trapped.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void trap_tile_instructions() {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGILL, &action, nullptr) != 0) std::abort();
}

long trapped_tile_instructions() { return trapped.load(); }

}  // namespace diabolo::testing
