// Trains from inside somebody else's parallel region: fewer threads come than are asked for, or whole teams
// inside each thread of another. Prints "ok" if every result has the bits of a run outside.
#include <omp.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <vector>

#include "test_model.h"

namespace {

using namespace diabolo;  // NOLINT: a program of one file
using kernels::Activation;

constexpr int kOuterThreads = 3;

std::uint64_t trained(const Rows& rows, int threads) {
  TrainingSettings settings;
  settings.batch_size = 64;
  settings.threads = threads;
  Trainer trainer(
      testing::new_model(testing::layers({100, 150, 40, 150, 100}, {Activation::gelu, Activation::prelu,
                                                                    Activation::relu, Activation::sigmoid})),
      rows, std::nullopt, settings);
  for (int epoch = 0; epoch < 3; ++epoch) {
    if (trainer.run_epoch(nullptr).outcome != Outcome::completed) return 0;
  }
  testing::Hash hash;
  testing::add_weights(trainer.completed_model(), hash);
  return hash.value();
}

bool same_in_every_thread(const Rows& rows, int threads, std::uint64_t expected) {
  std::atomic<int> came{0};
  std::atomic<int> right{0};
#pragma omp parallel num_threads(kOuterThreads)
  {
    ++came;
    if (trained(rows, threads) == expected) ++right;
  }
  return right == came;
}

bool same_in_sections(const Rows& rows, std::uint64_t expected) {
  std::atomic<int> right{0};
#pragma omp parallel sections num_threads(2)
  {
#pragma omp section
    if (trained(rows, 4) == expected) ++right;
#pragma omp section
    if (trained(rows, 1) == expected) ++right;
  }
  return right == 2;
}

bool all_same() {
  const testing::MadeRows table(500, 100);
  const Rows rows = table.rows();
  const std::uint64_t expected = trained(rows, 1);
  bool good = expected != 0;
  const auto check = [&](const char* what, bool same) {
    std::printf("%s: %s\n", what, same ? "same" : "DIFFERENT");
    good = good && same;
  };
  check("outside", trained(rows, 4) == expected);
  omp_set_max_active_levels(1);
  check("inside, one level", same_in_every_thread(rows, 4, expected));
  check("in sections", same_in_sections(rows, expected));
  omp_set_max_active_levels(2);
  check("inside, two levels", same_in_every_thread(rows, 2, expected));
  omp_set_dynamic(1);
  check("inside, dynamic", same_in_every_thread(rows, 4, expected));
  check("outside, dynamic", trained(rows, 7) == expected);
  return good;
}

}  // namespace

int main() {
  alarm(120);  // a hang ends here
  try {
    if (!all_same()) return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::puts("ok");
  return 0;
}
