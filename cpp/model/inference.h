// Inference: passes of a fitted model over any number of rows. Nothing here writes to the model, so any
// number of threads may call; each call has its own workspace. Every function returns false if the poll hook
// stopped it.
#pragma once

#include <cstdint>

#include "base/team.h"
#include "data/rows.h"
#include "model/model.h"
#include "model/objective.h"

namespace diabolo {

class Inference {
 public:
  Inference(const Network& network, const Parameters& parameters, const Scaler& scaler, int threads,
            PollHook* hook)
      : network_(network), parameters_(parameters), scaler_(scaler), threads_(threads), hook_(hook) {}

  /// codes (rows, code units)
  [[nodiscard]] bool encode(const Rows& rows, MatrixView<float> codes) const;

  /// out (codes, features), in the user's units
  [[nodiscard]] bool decode(const Rows& codes, MatrixView<float> out) const;

  /// out (rows, features), in the user's units
  [[nodiscard]] bool reconstruct(const Rows& rows, MatrixView<float> out) const;

  /// out (rows): the objective of each row, in the network's units.
  [[nodiscard]] bool row_errors(const Rows& rows, const Objective& objective, float* out) const;

  /// The same of rows with the noise of codes as in training, and each row's penalties with their full
  /// weights.
  [[nodiscard]] bool row_losses(const Rows& rows, const Objective& objective, const NoiseOrigin& noise,
                                float* reconstruction, double* penalty) const;

  /// out (rows): of `samples` codes z of each row x, drawn from q(z | x), with the objective -log p(x | z),
  ///   average     mean over samples of log p(x | z), minus KL(q || p(z)): the evidence lower bound
  ///   importance  log of the mean of p(x | z) p(z) / q(z | x)  (Burda, Grosse & Salakhutdinov 2016)
  /// The layer before the code must be a GaussianCode.
  enum class Evidence : unsigned char { average, importance };
  [[nodiscard]] bool evidence(const Rows& rows, const Objective& objective, Evidence kind, std::uint64_t seed,
                              std::int64_t samples, double* out) const;

  /// out (rows, code units): standard deviations of the codes of a variational autoencoder.
  [[nodiscard]] bool code_deviations(const Rows& rows, MatrixView<float> out) const;

  /// out (rows, features): squared error, in the network's units.
  [[nodiscard]] bool feature_errors(const Rows& rows, MatrixView<float> out) const;

  /// out (rows, outputs of that layer)
  [[nodiscard]] bool layer_output(const Rows& rows, Index layer, MatrixView<float> out) const;

 private:
  /// Gathers piece after piece, runs `layers` and hands (buffers, rows in the buffers, first row) to
  /// `finish`.
  template <class Finish>
  bool run(const Rows& rows, Range layers, const Scaler& scaler, const Objective* objective,
           const Finish& finish, const NoiseOrigin* noise = nullptr) const;

  [[nodiscard]] bool copy_output(const Rows& rows, Range layers, const Scaler& in, const Scaler& out_scaler,
                                 MatrixView<float> out) const;

  const Network& network_;
  const Parameters& parameters_;
  const Scaler& scaler_;
  const int threads_;
  PollHook* const hook_;
};

}  // namespace diabolo
