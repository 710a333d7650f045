// What a C++ program does with a model that Python trained: loads it, reads rows of floats from stdin, and
// writes codes, reconstructions and errors to stdout, one table after the other.
#include <cstdio>
#include <exception>
#include <vector>

#include "data/rows.h"
#include "model/inference.h"
#include "model/model.h"

namespace {

using diabolo::Index;

void write(const std::vector<float>& values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), stdout) != values.size()) std::terminate();
}

int run(const char* path) {
  const diabolo::Model model = diabolo::Model::load(path);
  const diabolo::Network& network = model.network();
  const Index features = network.inputs(network.all());
  const Index components = network.outputs(network.encoder());

  std::vector<float> table;
  float value = 0.0f;
  while (std::fread(&value, sizeof value, 1, stdin) == 1) table.push_back(value);
  const auto count = static_cast<Index>(table.size()) / features;
  const auto rows = diabolo::Rows::from_array(table.data(), diabolo::ElementType::float32, count, features,
                                              features * static_cast<Index>(sizeof(float)), sizeof(float));

  const diabolo::Inference inference(model, 2);
  std::vector<float> codes(static_cast<std::size_t>(count * components));
  std::vector<float> restored(static_cast<std::size_t>(count * features));
  std::vector<float> errors(static_cast<std::size_t>(count));
  constexpr auto completed = diabolo::PassOutcome::completed;
  if (inference.encode(rows, {codes.data(), count, components, components}) != completed ||
      inference.reconstruct(rows, {restored.data(), count, features, features}) != completed ||
      inference.row_errors(rows, {diabolo::kernels::Loss::mse}, errors.data()) != completed) {
    return 1;
  }
  write(codes);
  write(restored);
  write(errors);
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
