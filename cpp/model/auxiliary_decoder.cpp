// See auxiliary_decoder.h.
#include "model/auxiliary_decoder.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/check.h"
#include "model/panel_pieces.h"

namespace diabolo {
namespace {

// The buffers of its own.
constexpr std::size_t kResidual = 0;         // (rows, outputs): e
constexpr std::size_t kReconstruction = 1;   // (rows, outputs): e', and then its gradient
constexpr std::size_t kResidualSquares = 2;  // (rows, 1): |e|^2, times the row's weight
constexpr std::size_t kSquares = 3;          // (rows, 1): |e - e'|^2, likewise
constexpr std::size_t kNoBias = 4;           // (1, outputs): zeros

MatrixView<float> row_of(MatrixView<float> m, Index row) { return rows_of(m, {row, row + 1}); }

/// Over the first rows; 0 where it is no measure.
double sum_of(MatrixView<float> column, Index rows) {
  double sum = 0.0;
  for (Index r = 0; r < rows; ++r) sum += static_cast<double>(column.row(r)[0]);
  return std::isfinite(sum) ? sum : 0.0;
}

/// The sum of each row's squares, times its weight.
void weighted_squares(const Pass& pass, MatrixView<float> x, Range rows, MatrixView<float> squares) {
  pass.kernels.squared_sums(constant(rows_of(x, rows)), rows_of(squares, rows));
  for (Index r = rows.begin; r < rows.end; ++r) {
    squares.row(r)[0] *= static_cast<float>(pass.step->row_weight(r));
  }
}

/// The loss of the batch, without its weight.
double auxiliary_loss(const LayerBuffers& buffers, Index rows) {
  const double residual = sum_of(buffers.own[kResidualSquares], rows);
  return residual > 0.0 ? sum_of(buffers.own[kSquares], rows) / residual : 0.0;
}

const AuxiliaryCode& auxiliary_of(const LayerBuffers& buffers) { return buffers.below.back().auxiliary; }

}  // namespace

AuxiliaryDecoder::AuxiliaryDecoder(const kernels::KernelTable& table, ParameterPlan& plan,
                                   const DenseSpec& spec, const DensePlace& place, const TopKSpec& code)
    : Dense(table, plan, spec, place), code_(code) {
  require(place.last && spec.activation == kernels::Activation::identity,
          "dead units learn from the residual of an identity, in a decoder of one layer.");
}

LayerBooking AuxiliaryDecoder::book(WorkspacePlan& plan, Index rows, Purpose purpose, bool last) const {
  LayerBooking booking = Dense::book(plan, rows, purpose, last);
  if (purpose != Purpose::training) return booking;
  booking.own = {plan.book(rows, outputs()), plan.book(rows, outputs()), plan.book(rows, 1),
                 plan.book(rows, 1), plan.book(1, outputs())};
  booking.sees_below = true;
  return booking;
}

void AuxiliaryDecoder::begin_epoch(const Parameters& /*parameters*/, const LayerBuffers& buffers) const {
  std::fill_n(buffers.own[kNoBias].data, buffers.own[kNoBias].stride, 0.0f);
}

void AuxiliaryDecoder::batch_statistics(const Pass& pass, const LayerBuffers& buffers, Range units,
                                        Index rows) const {
  Dense::batch_statistics(pass, buffers, units, rows);
  if (units.begin > 0 || units.size() == 0) return;
  const LayerBuffers& code = buffers.below.back();
  float* counts = code.kept.row(TopK::kRowsSinceActive);
  if (code.sparse) {
    count_rows_since_active(code.sparse, rows, counts);
  } else {
    count_rows_since_active(constant(code.output), rows, counts);
  }
  code.auxiliary.find_dead(counts, code_.dead_after);
}

/// The residual is in the loss's gradient: this is 2 scale w (y - x), w the weight of the row.
void AuxiliaryDecoder::forward(const Pass& pass, const LayerBuffers& buffers, Range rows,
                               const kernels::LossEpilogue* loss) const {
  Dense::forward(pass, buffers, rows, loss);
  if (pass.step == nullptr || loss == nullptr || buffers.own.empty()) return;
  assert(loss->loss == kernels::Loss::mse && loss->weights.data == nullptr);
  for (Index r = rows.begin; r < rows.end; ++r) {
    const double factor = -0.5 / (static_cast<double>(loss->scale) * pass.step->row_weight(r));
    pass.kernels.scale_rows(constant(row_of(buffers.delta, r)), static_cast<float>(factor),
                            row_of(buffers.own[kResidual], r));
  }
  weighted_squares(pass, buffers.own[kResidual], rows, buffers.own[kResidualSquares]);
  decode_dead_units(pass, buffers, rows);
}

void AuxiliaryDecoder::decode_dead_units(const Pass& pass, const LayerBuffers& buffers, Range rows) const {
  const AuxiliaryCode& auxiliary = auxiliary_of(buffers);
  if (auxiliary.dead_units() == 0) return;
  const LayerBuffers& code = buffers.below.back();
  // The delta of the layer below the code is not needed before the way back.
  const MatrixView<float> scratch = buffers.below[buffers.below.size() - 2].delta;
  auxiliary.select(pass.kernels, constant(code.input), scratch, rows);

  kernels::DenseForward f;
  f.sparse_x = auxiliary.list().values_of(rows);
  f.weights = forward_panels(pass.parameters);
  f.bias = buffers.own[kNoBias].data;
  f.y = rows_of(buffers.own[kReconstruction], rows);
  in_pieces(pass.worker, f.weights, {}, rows.size(), [&](Range panels) {
    f.panels = panels;
    pass.kernels.dense_forward(f);
  });
}

void AuxiliaryDecoder::gradient_statistics(const Pass& /*pass*/, const LayerBuffers& buffers, Range units,
                                           Index rows) const {
  if (units.begin == 0 && units.size() > 0) auxiliary_of(buffers).list().order_by_columns(rows);
}

void AuxiliaryDecoder::input_gradient(const Pass& pass, const LayerBuffers& buffers, Range rows,
                                      const kernels::ActivationGradient& below) const {
  Dense::input_gradient(pass, buffers, rows, below);
  const SparseCode list = auxiliary_of(buffers).list();
  const MatrixView<float> difference = buffers.own[kReconstruction];  // e' - e
  const double residual = sum_of(buffers.own[kResidualSquares], pass.step->batch_rows);
  if (list.k() == 0 || residual <= 0.0) {
    for (Index r = rows.begin; r < rows.end; ++r) {
      buffers.own[kSquares].row(r)[0] = 0.0f;
      std::fill_n(difference.row(r), difference.cols, 0.0f);
      std::fill_n(list.gradients.row(r), list.k(), 0.0f);
    }
    return;
  }
  kernels::ScaledDifference d;
  d.a = constant(rows_of(difference, rows));
  d.b = constant(rows_of(buffers.own[kResidual], rows));
  d.out = rows_of(difference, rows);
  pass.kernels.scaled_difference(d);
  weighted_squares(pass, difference, rows, buffers.own[kSquares]);
  for (Index r = rows.begin; r < rows.end; ++r) {
    const double factor = 2.0 * code_.auxiliary_weight * pass.step->row_weight(r) / residual;
    pass.kernels.scale_rows(constant(row_of(difference, r)), static_cast<float>(factor),
                            row_of(difference, r));
  }
  kernels::SparseDots g;
  g.delta = constant(rows_of(difference, rows));
  g.weights = forward_panels(pass.parameters);
  g.sparse = list.values_of(rows);
  g.dots = rows_of(list.gradients, rows);
  pass.kernels.sparse_dots(g);
}

void AuxiliaryDecoder::list_gradients(const LayerBuffers& buffers, GradientList& list) const {
  Dense::list_gradients(buffers, list);
  list.add_sparse_product(kernel(), {code_side(), auxiliary_of(buffers).room.columns_of_values(),
                                     constant(buffers.own[kReconstruction])});
}

double AuxiliaryDecoder::slab_penalty(const StepContext& step, const LayerBuffers& buffers,
                                      Index rows) const {
  double weight = 0.0;
  for (Index r = 0; r < rows; ++r) weight += step.row_weight(r);
  return weight * code_.auxiliary_weight * auxiliary_loss(buffers, rows);
}

void AuxiliaryDecoder::observe(const LayerBuffers& buffers, Range units, Index rows, double* tallies) const {
  if (units.begin > 0 || units.size() == 0) return;
  tallies[0] += static_cast<double>(rows) * auxiliary_loss(buffers, rows);
}

std::vector<Measure> AuxiliaryDecoder::measures(const double* tallies, Index rows) const {
  return {{"auxiliary_loss", tallies[0] / static_cast<double>(std::max<Index>(rows, 1))}};
}

}  // namespace diabolo
