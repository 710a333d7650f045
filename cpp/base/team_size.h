// TeamSize: whether all threads of a team work, or one alone because other processes keep the cores so busy
// that the threads mostly wait for each other. Results never depend on it: only time does.
#pragma once

#include "base/matrix.h"

namespace diabolo {

/// Work is done in stretches, each timed. Now and then a short one tries the other size; the faster stays.
class TeamSize {
 public:
  explicit TeamSize(int threads) : threads_(threads) {}

  /// Of the next stretch.
  [[nodiscard]] int threads() const { return alone_ != trying_ ? 1 : threads_; }

  /// How many pieces of work, of `rows` rows each, the next stretch should have. Without a choice of sizes,
  /// as many as there are.
  [[nodiscard]] Index pieces(Index rows) const;

  /// What the stretch took.
  void took(double seconds, Index rows);

 private:
  // A stretch costs a parallel region, some microseconds; a scheduler's time slices are milliseconds.
  static constexpr double kStretchSeconds = 0.02;
  static constexpr double kTrialSeconds = 0.004;

  // Stretches from one trial to the next: twice as many after each that changed nothing.
  static constexpr int kFewestStretches = 8;
  static constexpr int kMostStretches = 256;

  static constexpr double kGain = 0.9;    // of the time: what a change must at least bring
  static constexpr double kSlower = 1.4;  // times the usual: something has changed, so try

  const int threads_;
  bool alone_ = false;
  bool trying_ = false;
  double usual_cost_ = 0.0;  // seconds a row, of the size in use; 0: not yet known
  int patience_ = kFewestStretches;
  int stretches_ = 0;  // since the last trial
};

}  // namespace diabolo
