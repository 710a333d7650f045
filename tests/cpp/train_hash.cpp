// Trains 50 steps with each optimiser (and ten of a network with tied weights) and prints, after the
// instruction set, a hash of the bits that result: of the weights, and of the epochs' losses. Equal hashes,
// equal models.
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "model/inference.h"
#include "test_model.h"

namespace {

using namespace diabolo;  // NOLINT: a program of one file
using kernels::Activation;
using kernels::Rule;

// Small, for an emulator takes a hundred times as long: a batch just over one block of rows, widths just over
// one panel. Five steps an epoch.
constexpr Index kFeatures = 19;
constexpr Index kBatch = 260;
constexpr Index kRows = 5 * kBatch;

struct Optimizer {
  const char* name;
  Rule rule;
  double learning_rate;
  double decay_1;
  double decay_2;
  double weight_decay;
};

constexpr Optimizer kOptimizers[] = {
    {"sgd", Rule::sgd, 0.5, 0.0, 0.0, 0.0},           {"momentum", Rule::momentum, 0.1, 0.9, 0.0, 0.0},
    {"nesterov", Rule::nesterov, 0.1, 0.9, 0.0, 0.0}, {"adam", Rule::adam, 3e-3, 0.9, 0.999, 0.0},
    {"adamw", Rule::adam, 3e-3, 0.9, 0.999, 0.01},    {"rmsprop", Rule::rmsprop, 1e-3, 0.0, 0.9, 0.0},
};

/// Nearly every activation, and both kinds of loss: at the output and at the pre-activation.
std::shared_ptr<const Model> mixed_model() {
  return testing::new_model(testing::layers({kFeatures, 18, 9, 4, 9, 18, kFeatures},
                                            {Activation::gelu, Activation::silu, Activation::prelu,
                                             Activation::softplus, Activation::tanh, Activation::sigmoid},
                                            "glorot_normal"));
}

std::shared_ptr<const Model> tied_model() {
  return testing::new_model(testing::tied(testing::layers(
      {kFeatures, 17, 5, 17, kFeatures},
      {Activation::elu, Activation::leaky_relu, Activation::relu, Activation::identity}, "orthogonal")));
}

void train(std::shared_ptr<const Model> model, const TrainingSettings& settings, const Rows& rows,
           testing::Hash& hash) {
  Trainer trainer(std::move(model), rows, std::nullopt, settings);
  for (int epoch = 0; epoch < settings.epochs; ++epoch) {
    const EpochReport report = trainer.run_epoch(nullptr);
    if (report.outcome != Outcome::completed) throw std::runtime_error("an epoch did not complete.");
    hash.add(report.loss);
  }
  testing::add_weights(trainer.completed_model(), hash);
}

std::uint64_t hash_of(const Optimizer& optimizer, const Rows& rows) {
  TrainingSettings settings;
  settings.batch_size = kBatch;
  settings.threads = 2;
  settings.optimizer.rule = optimizer.rule;
  settings.optimizer.learning_rate = optimizer.learning_rate;
  settings.optimizer.decay_1 = optimizer.decay_1;
  settings.optimizer.decay_2 = optimizer.decay_2;
  settings.optimizer.weight_decay = optimizer.weight_decay;

  testing::Hash hash;
  settings.epochs = 10;
  settings.objective.loss = kernels::Loss::binary_crossentropy;
  settings.optimizer.schedule = {Schedule::Kind::cosine, 2, 0.1};
  train(mixed_model(), settings, rows, hash);

  settings.epochs = 2;
  settings.objective.loss = kernels::Loss::huber;
  settings.optimizer.schedule = {Schedule::Kind::exponential, 1, 0.9};
  settings.optimizer.l1 = 1e-5;
  settings.optimizer.l2 = 1e-4;
  settings.clip_norm = 0.02;
  settings.shuffle = Shuffle::blocks;
  train(tied_model(), settings, rows, hash);
  return hash.value();
}

/// What the untrained models make of the rows.
std::uint64_t hash_of_outputs(const Rows& rows) {
  testing::Hash hash;
  for (const auto& model : {mixed_model(), tied_model()}) {
    const Inference inference(*model, 2);
    std::vector<float> out(static_cast<std::size_t>(rows.count() * kFeatures));
    const MatrixView<float> whole{out.data(), rows.count(), kFeatures, kFeatures};
    if (inference.reconstruct(rows, whole) != PassOutcome::completed) continue;
    hash.add(out);
    out.resize(static_cast<std::size_t>(rows.count()));
    if (inference.row_errors(rows, {kernels::Loss::mae}, out.data()) != PassOutcome::completed) continue;
    hash.add(out);
  }
  return hash.value();
}

std::uint64_t hash_of_initial_weights() {
  testing::Hash hash;
  for (const char* name :
       {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal", "orthogonal"}) {
    testing::add_weights(
        *testing::new_model(testing::layers({40, 25, 40}, {Activation::prelu, Activation::tanh}, name)),
        hash);
  }
  return hash.value();
}

void print(const char* what, std::uint64_t hash) { std::printf("%s %016" PRIx64 "\n", what, hash); }

}  // namespace

int main() {
  try {
    std::printf("isa %s\n", kernels::select_table().name);
    const testing::MadeRows table(kRows, kFeatures);
    print("initial", hash_of_initial_weights());
    print("outputs", hash_of_outputs(table.rows()));
    for (const Optimizer& optimizer : kOptimizers) print(optimizer.name, hash_of(optimizer, table.rows()));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
