// Trains networks whose products are on the tile unit, on the level that DIABOLO_ISA names, and prints hashes
// of what results: amx, on a processor without tiles by trapping its instructions, must give what
// amx_emulated does. The system's leave is given here, or refused where the one argument is "refused".
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <vector>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/amx_support.h"
#include "model/inference.h"
#include "test_model.h"
#include "tile_trap.h"

namespace {
bool refuses = false;
}

// In the library's place: the linker takes a program's own functions first.
namespace diabolo::kernels {
bool has_amx() { return true; }
bool acquire_amx() {
  if (refuses) return false;
#if defined(__x86_64__) && defined(__linux__)
  static_cast<void>(syscall(SYS_arch_prctl, 0x1023, 18));  // a processor with tiles wants to be asked
#endif
  return true;
}
}  // namespace diabolo::kernels

namespace {

using namespace diabolo;  // NOLINT: a program of one file
using kernels::Activation;
using kernels::Products;

struct Case {
  const char* name;
  std::vector<Index> widths;
  Index rows;
  Index batch;
  Products products;
  bool tied;
  int threads;
};

/// Widths about tiles, panels and units; batches that end within a tile of pairs, within a pair, and beyond a
/// block of rows; fewer rows than a tile has.
const Case kCases[] = {
    {"one", {49, 33, 49}, 90, 45, Products::bfloat16, false, 2},
    {"split", {49, 33, 49}, 90, 45, Products::bfloat16_3x, false, 2},
    {"tied", {65, 48, 65}, 64, 32, Products::bfloat16, true, 1},
    {"tied split", {20, 70, 20}, 50, 50, Products::bfloat16_3x, true, 3},
    {"few rows", {40, 130, 40}, 21, 7, Products::bfloat16, false, 3},
    {"blocks", {17, 33, 17}, 600, 600, Products::bfloat16, false, 2},
};

std::shared_ptr<const Model> model_of(const Case& c) {
  std::vector<Activation> activations(c.widths.size() - 1, Activation::sigmoid);
  activations.front() = Activation::gelu;
  std::vector<LayerSpec> specs = testing::layers(c.widths, activations);
  for (LayerSpec& spec : specs) std::get<DenseSpec>(spec).products = c.products;
  return testing::new_model(c.tied ? testing::tied(specs) : specs);
}

void print(const Case& c) {
  const testing::MadeRows table(c.rows, c.widths.front());
  const std::shared_ptr<const Model> start = model_of(c);
  const bool pairs = start->parameters().at(0).products != Products::float32;
  TrainingSettings settings;
  settings.batch_size = c.batch;
  settings.threads = c.threads;
  settings.epochs = 1;
  settings.objective.loss = kernels::Loss::binary_crossentropy;
  testing::Hash hash;
  Trainer trainer(start, table.rows(), std::nullopt, settings);
  if (trainer.run_epoch(nullptr).outcome != Outcome::completed) throw std::runtime_error("not completed.");
  testing::add_weights(trainer.completed_model(), hash);
  std::vector<float> out(static_cast<std::size_t>(c.rows * c.widths.front()));
  const MatrixView<float> whole{out.data(), c.rows, c.widths.front(), c.widths.front()};
  if (Inference(trainer.completed_model(), c.threads).reconstruct(table.rows(), whole) !=
      PassOutcome::completed) {
    throw std::runtime_error("not completed.");
  }
  hash.add(out);
  std::printf("%s: %s %016" PRIx64 "\n", c.name, pairs ? "pairs" : "floats", hash.value());
}

}  // namespace

int main(int argc, char** argv) {
  refuses = argc == 2 && std::strcmp(argv[1], "refused") == 0;
  try {
    testing::trap_tile_instructions();
    std::printf("isa: %s\n", kernels::select_table().name);
    for (const Case& c : kCases) print(c);
    std::printf("trapped: %ld\n", testing::trapped_tile_instructions());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
