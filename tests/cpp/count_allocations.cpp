// Counts what is allocated during an epoch after the first, by whomever: malloc and its kin are replaced by
// ones that count, and operator new ends in them. Exit code 1 if anything is.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

#include "test_model.h"

namespace {
std::atomic<long> allocations{0};
}

// The names glibc keeps for those who replace its malloc. It has none for posix_memalign; memalign serves.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* old);

void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** to, std::size_t alignment, std::size_t size) {
  ++allocations;
  *to = __libc_memalign(alignment, size);
  return *to == nullptr ? ENOMEM : 0;
}
void free(void* old) { __libc_free(old); }
}

namespace {

using namespace diabolo;  // NOLINT: a program of one file
using kernels::Activation;

class QuietHook final : public PollHook {
 public:
  [[nodiscard]] bool should_stop() noexcept override { return false; }
};

/// Or no count of 0 would mean anything.
bool counter_works() {
  const long before = allocations;
  const auto one = std::make_unique<int>(1);
  std::vector<double> other(static_cast<std::size_t>(100 + *one));
  struct alignas(128) Wide {
    char bytes[128];
  };
  const auto wide = std::make_unique<Wide>();
  void* raw = std::calloc(1, 10);
  const bool counted = allocations - before == 4 && wide->bytes[0] == 0 && raw != nullptr && other[0] == 0.0;
  std::free(raw);
  return counted;
}

/// Of the second epoch: the first one may start threads.
long allocations_of_an_epoch(const Rows& rows, const TrainingSettings& settings, bool tied) {
  auto specs = testing::layers({100, 150, 40, 150, 100},
                               {Activation::gelu, Activation::prelu, Activation::relu, Activation::sigmoid});
  if (tied) specs = testing::tied(std::move(specs));
  Trainer trainer(testing::new_model(specs), rows, std::nullopt, settings);
  QuietHook hook;
  const auto epoch = [&] {
    if (trainer.run_epoch(&hook).outcome != Outcome::completed) {
      throw std::runtime_error("an epoch did not complete.");
    }
  };
  epoch();
  const long before = allocations;
  epoch();
  return allocations - before;
}

int report() {
  const testing::MadeRows table(3000, 100);
  long most = 0;
  for (const int threads : {1, 2}) {
    for (const Shuffle shuffle : {Shuffle::none, Shuffle::rows, Shuffle::blocks}) {
      for (const double clip_norm : {0.0, 0.1}) {
        for (const Index batch_size : {Index{64}, Index{700}}) {
          for (const bool tied : {false, true}) {
            TrainingSettings settings;
            settings.objective.loss = kernels::Loss::binary_crossentropy;
            settings.batch_size = batch_size;
            settings.optimizer.l1 = 1e-6;
            settings.clip_norm = clip_norm;
            settings.shuffle = shuffle;
            settings.threads = threads;
            const long count = allocations_of_an_epoch(table.rows(), settings, tied);
            std::printf("threads %d shuffle %d clip_norm %.1f batch %td %s: %ld\n", threads,
                        static_cast<int>(shuffle), clip_norm, batch_size, tied ? "tied" : "untied", count);
            most = std::max(most, count);
          }
        }
      }
    }
  }
  std::printf("most %ld\n", most);
  return most == 0 ? 0 : 1;
}

}  // namespace

int main() {
  if (!counter_works()) {
    std::fprintf(stderr, "the counter does not count.\n");
    return 2;
  }
  try {
    return report();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
