// Inference: passes of a fitted model over any number of rows. Nothing here writes to the model, so any
// number of threads may call; each call has its own workspace. Every function returns false if the poll hook
// stopped it.
#pragma once

#include "base/team.h"
#include "data/rows.h"
#include "model/model.h"

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

  /// out (rows): mean over features of the loss, in the network's units.
  [[nodiscard]] bool row_errors(const Rows& rows, kernels::Loss loss, float* out) const;

  /// out (rows, features): squared error, in the network's units.
  [[nodiscard]] bool feature_errors(const Rows& rows, MatrixView<float> out) const;

  /// out (rows, outputs of that layer)
  [[nodiscard]] bool layer_output(const Rows& rows, Index layer, MatrixView<float> out) const;

 private:
  /// Gathers piece after piece, runs `layers` and hands (buffers, rows in the buffers, first row) to
  /// `finish`.
  template <class Finish>
  bool run(const Rows& rows, Range layers, const Scaler& scaler, const kernels::Loss* loss,
           const Finish& finish) const;

  [[nodiscard]] bool copy_output(const Rows& rows, Range layers, const Scaler& in, const Scaler& out_scaler,
                                 MatrixView<float> out) const;

  const Network& network_;
  const Parameters& parameters_;
  const Scaler& scaler_;
  const int threads_;
  PollHook* const hook_;
};

}  // namespace diabolo
