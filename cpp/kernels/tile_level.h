// What an instruction set with a tile unit computes otherwise than the one it stands on: the products of
// pairs of bfloat16, and the form in which those of a weight gradient find their left factor.
#pragma once

#include "kernels/kernels.h"

namespace diabolo::kernels {

/// The functions of KernelTable that are replaced.
struct TileProducts {
  void (*prepare_thread)();
  void (*release_thread)();
  void (*dense_forward)(const DenseForward&);
  void (*dense_input_gradient)(const DenseInputGradient&);
  bool (*dense_weight_gradient)(const DenseWeightGradient&);
  void (*pack_pairs)(const PackPairs&);
};

/// `base` with those products.
[[nodiscard]] KernelTable with_tiles(const char* name, const KernelTable& base, const TileProducts& products);

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
namespace amx {
extern const TileProducts on_avx512_bf16;
}
namespace amx_emulated {
extern const TileProducts on_avx512;
extern const TileProducts on_avx2;
}  // namespace amx_emulated
#elif defined(__aarch64__)
namespace neon {
extern const KernelTable table;
}
namespace amx_emulated {
extern const TileProducts on_neon;
}
#endif

}  // namespace diabolo::kernels
