// The floating-point control word: flush denormals, round to nearest, trap nothing. Per thread, and put back.
#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace diabolo {

/// The control word of the running thread.
[[nodiscard]] inline unsigned float_state() {
#if defined(__SSE2__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  unsigned long long word;
  __asm__ volatile("mrs %0, fpcr" : "=r"(word));
  return static_cast<unsigned>(word);
#else
  return 0;
#endif
}

inline void set_float_state([[maybe_unused]] unsigned state) {
#if defined(__SSE2__)
  _mm_setcsr(state);
#elif defined(__aarch64__)
  const unsigned long long word = state;
  __asm__ volatile("msr fpcr, %0" : : "r"(word));
#endif
}

/// What training runs with. A denormal moment costs Adam 20 times its time; a trap would end the process.
[[nodiscard]] constexpr unsigned working_float_state() {
#if defined(__SSE2__)
  return 0x1f80u | 0x8000u | 0x0040u;  // all exceptions masked, flush to zero, denormals are zero
#elif defined(__aarch64__)
  return 1u << 24;  // FZ
#else
  return 0;
#endif
}

}  // namespace diabolo
