// What a C++ program does with diabolo: trains an autoencoder on a curve in eight dimensions, prints how the
// loss falls, saves the model, reads it back and compares. No Python anywhere.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <vector>

#include "data/rows.h"
#include "model/inference.h"
#include "model/model.h"
#include "model/model_file.h"
#include "training/trainer.h"

namespace {

using diabolo::Index;
using diabolo::kernels::Activation;

constexpr Index kRows = 2000;
constexpr Index kFeatures = 8;

/// Points on a spiral: two hidden numbers, eight visible ones.
std::vector<double> spiral() {
  std::vector<double> table;
  for (Index i = 0; i < kRows; ++i) {
    const double t = static_cast<double>(i) / kRows;
    for (Index j = 0; j < kFeatures; ++j) {
      table.push_back(t * std::cos(6.0 * t + 0.7 * static_cast<double>(j)));
    }
  }
  return table;
}

diabolo::ModelFile file_of(const diabolo::Model& model) {
  diabolo::ModelFile file;
  for (int i = 0; i < static_cast<int>(model.parameters().list().size()); ++i) {
    const diabolo::Parameter& p = model.parameters().at(i);
    std::vector<float> values(static_cast<std::size_t>(p.rows * p.cols));
    model.parameters().export_values(i, values.data());
    diabolo::FileTensor tensor;
    tensor.name = p.name;
    tensor.shape = {p.rows, p.cols};
    tensor.bytes.resize(values.size() * sizeof(float));
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    file.tensors.push_back(std::move(tensor));
  }
  return file;
}

void read_into(const std::filesystem::path& path, diabolo::Model& model) {
  const diabolo::ModelFile file = diabolo::read_model_file(path);
  for (const diabolo::FileTensor& tensor : file.tensors) {
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    model.parameters().import_values(model.parameters().find(tensor.name), values.data());
  }
}

std::vector<float> errors_of(const diabolo::Model& model, const diabolo::Rows& rows) {
  std::vector<float> errors(static_cast<std::size_t>(rows.count()));
  const diabolo::Inference inference(model, /*threads=*/2);
  const auto outcome = inference.row_errors(rows, {diabolo::kernels::Loss::mse}, errors.data());
  if (outcome != diabolo::PassOutcome::completed) errors.clear();
  return errors;
}

int run(const std::filesystem::path& path) {
  const std::vector<double> table = spiral();
  const auto rows = diabolo::Rows::from_array(table.data(), diabolo::ElementType::float64, kRows, kFeatures,
                                              kFeatures * static_cast<Index>(sizeof(double)), sizeof(double));
  const std::vector<diabolo::LayerSpec> layers = {
      diabolo::DenseSpec{"encoder.0", kFeatures, 16, Activation::tanh, "glorot_uniform", ""},
      diabolo::DenseSpec{"encoder.1", 16, 2, Activation::identity, "glorot_uniform", ""},
      diabolo::DenseSpec{"decoder.0", 2, 16, Activation::tanh, "glorot_uniform", ""},
      diabolo::DenseSpec{"decoder.1", 16, kFeatures, Activation::identity, "glorot_uniform", ""}};

  diabolo::TrainingSettings settings;
  settings.batch_size = 64;
  settings.epochs = 30;
  settings.optimizer.learning_rate = 5e-3;
  settings.threads = 2;
  const auto start = std::make_shared<diabolo::Model>(layers, 2);
  if (!diabolo::initialize(start->network(), 1, start->parameters())) return 1;
  diabolo::Trainer trainer(start, rows, std::nullopt, settings);
  for (int epoch = 0; epoch < settings.epochs; ++epoch) {
    const diabolo::EpochReport report = trainer.run_epoch(nullptr);
    if (report.outcome != diabolo::Outcome::completed) return 1;
    std::printf("epoch %2d  loss %.6f\n", epoch + 1, report.loss);
  }

  const diabolo::Model model = trainer.completed_model();
  diabolo::write_model_file(path, file_of(model));
  diabolo::Model read(layers, 2);
  read_into(path, read);
  if (errors_of(model, rows) != errors_of(read, rows)) return 2;
  std::puts("read back: same errors");
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) return 3;
  try {
    return run(arguments[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 4;
  }
}
