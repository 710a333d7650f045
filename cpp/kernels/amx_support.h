// Whether this machine has Intel's tile unit, and the system's leave to use it.
#pragma once

namespace diabolo::kernels {

/// Whether processor and system know AMX-TILE and AMX-BF16. Asks for nothing.
[[nodiscard]] bool has_amx();

/// Asks the system, once, to let this process use tiles; false if it does not. Linux then saves up to 8 KB
/// more of a thread in each signal's frame, and refuses where an alternate signal stack is too small for
/// that; hence nobody should ask who will not multiply.
[[nodiscard]] bool acquire_amx();

}  // namespace diabolo::kernels
