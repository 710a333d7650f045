// Inference: passes of a fitted model over any number of rows. Nothing here writes to the model, so any
// number of threads may call at once.
#pragma once

#include <cstdint>
#include <limits>

#include "base/team.h"
#include "data/rows.h"
#include "data/targets.h"
#include "model/model.h"
#include "model/objective.h"
#include "model/pass_space.h"
#include "model/sparse_batch.h"

namespace diabolo {

/// How a pass ended. The output counts only if it was completed.
enum class PassOutcome { completed, stopped, invalid_value };

class Inference {
 public:
  /// `threads` is the most that work; 0: as many as the process may use.
  Inference(const Network& network, const Parameters& parameters, const Scaler& scaler, PassSpacePool& spaces,
            int threads, PollHook* hook = nullptr)
      : network_(network),
        parameters_(parameters),
        scaler_(scaler),
        spaces_(spaces),
        threads_(threads),
        hook_(hook) {}

  explicit Inference(const Model& model, int threads = 0, PollHook* hook = nullptr)
      : Inference(model.network(), model.parameters(), model.scaler(), model.spaces(), threads, hook) {}

  /// From now on a pass ends at a value outside of [low, high], or one that is not finite as float32: the
  /// check then costs no pass over the rows of its own.
  void refuse_outside(float low, float high) {
    checks_ = true;
    low_ = low;
    high_ = high;
  }

  /// From now on row_errors compares with these, which must outlive this, and not with the rows.
  void compare_with(const Targets& targets) { targets_ = &targets; }

  /// codes (rows, code units)
  [[nodiscard]] PassOutcome encode(const Rows& rows, MatrixView<float> codes) const;

  /// out (codes, features), in the user's units
  [[nodiscard]] PassOutcome decode(const Rows& codes, MatrixView<float> out) const;

  /// out (rows, features), in the user's units
  [[nodiscard]] PassOutcome reconstruct(const Rows& rows, MatrixView<float> out) const;

  /// out (rows): the objective of each row, in the network's units. Where rows may have missing values: over
  /// the others, NaN if there are none; likewise feature_errors.
  [[nodiscard]] PassOutcome row_errors(const Rows& rows, const Objective& objective, float* out) const;

  /// The same of rows with the noise of codes as in training, and each row's penalties with their full
  /// weights.
  [[nodiscard]] PassOutcome row_losses(const Rows& rows, const Objective& objective, const NoiseOrigin& noise,
                                       float* reconstruction, double* penalty) const;

  /// out (rows): of `samples` codes z of each row x, drawn from q(z | x), with the objective -log p(x | z),
  ///   average     mean over samples of log p(x | z), minus KL(q || p(z)): the evidence lower bound
  ///   importance  log of the mean of p(x | z) p(z) / q(z | x)  (Burda, Grosse & Salakhutdinov 2016)
  /// The layer before the code must be a GaussianCode.
  enum class Evidence : unsigned char { average, importance };
  [[nodiscard]] PassOutcome evidence(const Rows& rows, const Objective& objective, Evidence kind,
                                     std::uint64_t seed, std::int64_t samples, double* out) const;

  /// out (rows, code units): standard deviations of the codes of a variational autoencoder.
  [[nodiscard]] PassOutcome code_deviations(const Rows& rows, MatrixView<float> out) const;

  /// out (rows): the squared Frobenius norm of the code's Jacobian in the network's inputs, exact for any
  /// depth. Below the code there may be dense layers alone, beside a penalty on this norm.
  [[nodiscard]] PassOutcome squared_jacobian_norms(const Rows& rows, double* out) const;

  /// out (rows, features): squared error, in the network's units; with `stored_only` 0 where sparse rows
  /// store nothing.
  [[nodiscard]] PassOutcome feature_errors(const Rows& rows, MatrixView<float> out,
                                           bool stored_only = false) const;

  /// out (rows, outputs of that layer)
  [[nodiscard]] PassOutcome layer_output(const Rows& rows, Index layer, MatrixView<float> out) const;

 private:
  /// Gathers piece after piece, runs `layers` and hands (buffers, rows in the buffers, first row) to
  /// `finish`.
  template <class Finish>
  PassOutcome run(const Rows& rows, Range layers, const Scaler& scaler, const Objective* objective,
                  const Finish& finish) const;

  /// Rows with noise, `samples` times: the encoder once for a piece of rows, from the code on once for each
  /// sample, whose number is the noise's step. `finish` takes (buffers, row in the buffers, row, objective).
  template <class Finish>
  PassOutcome run_samples(const Rows& rows, const Objective& objective, StepContext context,
                          std::int64_t samples, const Finish& finish) const;

  [[nodiscard]] PassOutcome stored_feature_errors(const Rows& rows, MatrixView<float> out,
                                                  bool stored_only) const;
  [[nodiscard]] int useful_threads(const Rows& rows, Range layers) const;
  [[nodiscard]] bool gather(const Rows& rows, const Index* source_rows, const Scaler& scaler,
                            bool missing_allowed, Range here, const NetworkBuffers& buffers,
                            SparseBatch& sparse) const;
  [[nodiscard]] SparseBatch sparse_batch(const Rows& rows, Range layers, const Objective* objective,
                                         Index count) const;
  [[nodiscard]] PassOutcome copy_output(const Rows& rows, Range layers, const Scaler& in,
                                        const Scaler& out_scaler, MatrixView<float> out) const;

  const Network& network_;
  const Parameters& parameters_;
  const Scaler& scaler_;
  PassSpacePool& spaces_;
  const int threads_;
  PollHook* const hook_;
  const Targets* targets_ = nullptr;
  bool checks_ = false;
  float low_ = -std::numeric_limits<float>::infinity();
  float high_ = std::numeric_limits<float>::infinity();
};

}  // namespace diabolo
