// Trains one network on random rows for some seconds, for profilers: the loop of the trainer and no Python.
//
//     training_case PRODUCTS THREADS SECONDS ROWS BATCH WIDTH WIDTH ...
//
// Relu in the hidden layers, sigmoid and binary cross-entropy at the output, Adam: the work of
// bench/compare.py. It prints the rows a second of the best epoch, as JSON; at least one epoch counts, after
// one that does not.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/named.h"
#include "data/rows.h"
#include "model/initializer.h"
#include "model/layer_names.h"
#include "model/model.h"
#include "training/trainer.h"

namespace {

using namespace diabolo;  // NOLINT: a program of one file
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 0;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<float> random_rows(Index rows, Index features) {
  std::vector<float> values(static_cast<std::size_t>(rows * features));
  std::uint64_t state = kSeed;
  for (float& value : values) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    value = static_cast<float>(state >> 40) * 0x1p-24f;
  }
  return values;
}

std::shared_ptr<const Model> new_model(const std::vector<Index>& widths, kernels::Products products) {
  std::vector<LayerSpec> layers;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    DenseSpec spec;
    spec.name = "dense." + std::to_string(i);
    spec.inputs = widths[i];
    spec.outputs = widths[i + 1];
    spec.activation = i + 2 < widths.size() ? kernels::Activation::relu : kernels::Activation::sigmoid;
    spec.initializer = "he_uniform";
    spec.products = products;
    layers.emplace_back(spec);
  }
  auto model = std::make_shared<Model>(layers, static_cast<Index>(layers.size() / 2));
  if (!initialize(model->network(), kSeed, model->parameters(), 1)) throw std::runtime_error("stopped.");
  return model;
}

void run(const std::vector<std::string>& words) {
  if (words.size() < 7) {
    throw std::invalid_argument("arguments: PRODUCTS THREADS SECONDS ROWS BATCH WIDTH WIDTH ...");
  }
  const auto number = [&](std::size_t i) { return static_cast<Index>(std::stoll(words[i])); };
  const double seconds = std::stod(words[2]);
  const Index rows = number(3);
  std::vector<Index> widths;
  for (std::size_t i = 5; i < words.size(); ++i) widths.push_back(number(i));

  TrainingSettings settings;
  settings.objective.loss = kernels::Loss::binary_crossentropy;
  settings.batch_size = number(4);
  settings.threads = static_cast<int>(number(1));
  const std::vector<float> table = random_rows(rows, widths.front());
  const Index stride = widths.front() * static_cast<Index>(sizeof(float));
  Trainer trainer(new_model(widths, value_of(kProducts, words[0])),
                  Rows::from_array(table.data(), ElementType::float32, rows, widths.front(), stride,
                                   static_cast<Index>(sizeof(float))),
                  std::nullopt, settings);
  const auto epoch = [&] {
    const Clock::time_point start = Clock::now();
    if (trainer.run_epoch(nullptr).outcome != Outcome::completed) throw std::runtime_error("it diverged.");
    return since(start);
  };
  epoch();
  const Clock::time_point start = Clock::now();
  double best = epoch();
  while (since(start) < seconds) best = std::min(best, epoch());
  std::printf("{\"rows_per_second\": %.17g}\n", static_cast<double>(rows) / best);
}

}  // namespace

int main(int count, char** words) {
  try {
    run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "training_case: %s\n", error.what());
    return 1;
  }
  return 0;
}
