// Targets: what the outputs of a network are compared with where that is not the row that came in, in a table
// of its own beside the rows, or as the number of each row's class.
#pragma once

#include "data/rows.h"
#include "data/scaler.h"

namespace diabolo {

/// Row i of the table belongs to row i of the table of rows (and not to row i of a selection).
class Targets {
 public:
  /// Numbers, (rows, outputs), scaled.
  static Targets of_values(Rows table, Scaler scaler);
  /// Whole numbers in [0, classes), (rows, 1): the output of a row's class is compared with 1, and the others
  /// with `off`, 0 or -1.
  static Targets of_classes(Rows numbers, Index classes, float off);

  [[nodiscard]] Index outputs() const { return classes_ > 0 ? classes_ : table_.features(); }

  /// out (count, outputs) = the targets of the given rows of the table.
  void gather(const Index* source_rows, Index count, MatrixView<float> out) const;

 private:
  Targets(Rows table, Scaler scaler, Index classes, float off);

  Rows table_;
  Scaler scaler_;
  Index classes_;  // 0: the table holds values
  float off_;
};

}  // namespace diabolo
