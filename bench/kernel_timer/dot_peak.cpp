// See dot_peak.h. Each function is compiled for its own instruction set, the rest for the oldest processor.
#include "dot_peak.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <cstdint>

#include "kernels/amx_support.h"

namespace dot_peak {
namespace {

volatile float result;  // so that the work cannot be left out

// Chains: more than latency times units. Each dot adds 32 products to 16 sums.
__attribute__((target("avx512f,avx512bf16"))) double run_avx512_bf16(long iterations) {
  constexpr int kChains = 24;
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);  // pairs of 1.0
  const __m512bh factor = reinterpret_cast<__m512bh>(ones);
  __m512 chain[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) chain[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long n = 0; n < iterations; ++n) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chain[i] = _mm512_dpbf16_ps(chain[i], factor, factor);
  }
  float total = 0.0f;
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) {
    alignas(64) float lanes[16];
    _mm512_store_ps(lanes, chain[i]);
    total += lanes[0];
  }
  result = total;
  return 2.0 * 32 * kChains * static_cast<double>(iterations);
}

struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Two by two tiles of sums, as the kernels would use them: each product is 16 x 16 x 32.
__attribute__((target("amx-tile,amx-bf16"))) double run_amx_bf16(long iterations) {
  TileConfiguration configuration;
  for (int i = 0; i < 8; ++i) {
    configuration.row_bytes[i] = 64;
    configuration.rows[i] = 16;
  }
  _tile_loadconfig(&configuration);
  alignas(64) static const std::uint16_t operand[16 * 32] = {};
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, 64);
  _tile_loadd(5, operand, 64);
  _tile_loadd(6, operand, 64);
  _tile_loadd(7, operand, 64);
  for (long n = 0; n < iterations; ++n) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  alignas(64) static thread_local float sums[16 * 16];
  _tile_stored(0, sums, 64);
  result = sums[0];
  _tile_release();
  return 4.0 * 2.0 * 16 * 16 * 32 * static_cast<double>(iterations);
}

}  // namespace

Run avx512_bf16() { return __builtin_cpu_supports("avx512bf16") ? run_avx512_bf16 : nullptr; }

Run amx_bf16() {
  return diabolo::kernels::has_amx() && diabolo::kernels::acquire_amx() ? run_amx_bf16 : nullptr;
}

}  // namespace dot_peak

#else

namespace dot_peak {
Run avx512_bf16() { return nullptr; }
Run amx_bf16() { return nullptr; }
}  // namespace dot_peak

#endif
