// Model: a network, its parameters and its scaler. Once published it is never written again; training works
// on a copy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "base/team.h"
#include "data/scaler.h"
#include "model/network.h"
#include "model/parameters.h"
#include "model/pass_space.h"

namespace diabolo {

class Model {
 public:
  /// A new model, all weights zero.
  Model(const std::vector<LayerSpec>& specs, Index code_layers);

  /// The same network and scaler with other weights, as Parameters::copy_weights_to gives them.
  Model(const Model& like, const AlignedBuffer<float>& weights);

  /// A model that `write_model_file` or Python's `save` wrote, scaler included; of a checkpoint the weights
  /// at its moment. Throws ModelFileError, or filesystem_error for what the system says.
  [[nodiscard]] static Model load(const std::filesystem::path& path);

  [[nodiscard]] const Network& network() const { return *network_; }
  [[nodiscard]] const std::shared_ptr<const Network>& shared_network() const { return network_; }
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }
  [[nodiscard]] Parameters& parameters() { return parameters_; }
  [[nodiscard]] const Scaler& scaler() const { return scaler_; }
  void set_scaler(Scaler scaler);

  /// Kept ready for predictions; nothing in them outlives a pass.
  [[nodiscard]] PassSpacePool& spaces() const { return spaces_; }

  /// Bytes of a model for inference. Throws std::overflow_error for sizes beyond 64 bits.
  [[nodiscard]] static Index planned_bytes(const Network& network);

 private:
  std::shared_ptr<const Network> network_;
  Parameters parameters_;
  Scaler scaler_;
  mutable PassSpacePool spaces_;
};

/// Initial weights: kernels and biases by each layer's initializer, prelu slopes 0.25. False: stopped by the
/// hook.
[[nodiscard]] bool initialize(const Network& network, std::uint64_t seed, Parameters& parameters,
                              int threads = 1, PollHook* hook = nullptr);

}  // namespace diabolo
