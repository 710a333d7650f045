// See pairs.h.
#include "model/pairs.h"

#include <algorithm>

namespace diabolo {
namespace {

/// Blocks of a left factor's pairs (kernels::PackPairs) are whole, and so are the tiles that read them.
constexpr Index kPairRows = 16;

/// Rows [range) of a view; a null view stays null.
MatrixView<float> cut(MatrixView<float> m, Range rows) {
  if (m.data == nullptr) return {};
  return {m.row(rows.begin), rows.size(), m.cols, m.stride};
}

}  // namespace

Pairs<WorkspacePlan::Buffer> book_pairs(WorkspacePlan& plan, Index rows, Index cols,
                                        kernels::Products products, PairDirections wanted) {
  Pairs<WorkspacePlan::Buffer> pairs;
  if (products == kernels::Products::float32) return pairs;
  const int parts = products == kernels::Products::bfloat16_3x ? 2 : 1;
  for (int part = 0; part < parts; ++part) {
    if (wanted.along_columns) pairs.along_columns[part] = plan.book(rows, kernels::terms_of(cols, products));
    if (wanted.along_rows) {
      pairs.along_rows[part] = plan.book(round_up(kernels::terms_of(rows, products), kPairRows), cols);
    }
  }
  pairs.left = wanted.left;
  return pairs;
}

Pairs<MatrixView<float>> lay_out(const Pairs<WorkspacePlan::Buffer>& booked, Workspace& workspace) {
  Pairs<MatrixView<float>> pairs;
  pairs.left = booked.left;
  for (int part = 0; part < 2; ++part) {
    pairs.along_columns[part] = workspace.view(booked.along_columns[part]);
    pairs.along_rows[part] = workspace.view(booked.along_rows[part]);
  }
  return pairs;
}

void pack_pairs(const kernels::KernelTable& table, MatrixView<float> x, const Pairs<MatrixView<float>>& pairs,
                Range rows) {
  const Range pairs_of_rows{rows.begin / 2, (rows.end + 1) / 2};
  const MatrixView<float> mine = cut(x, rows);
  kernels::PackPairs p;
  p.x = {mine.data, mine.rows, mine.cols, mine.stride};
  p.left = pairs.left;
  p.first_row = rows.begin;
  p.along_columns = cut(pairs.along_columns[0], rows);
  p.along_rows = cut(pairs.along_rows[0], pairs_of_rows);
  p.along_columns_low = cut(pairs.along_columns[1], rows);
  p.along_rows_low = cut(pairs.along_rows[1], pairs_of_rows);
  table.pack_pairs(p);
}

kernels::Products usable_products(const kernels::KernelTable& table, kernels::Products wanted, Index inputs,
                                  Index outputs) {
  using kernels::Products;
  if (wanted == Products::float32) return wanted;
  const bool faster = std::min(inputs, outputs) >= kernels::least_width(table, wanted);
  const bool asked = faster || kernels::forces_precision();
  return asked && kernels::acquire_pair_unit(table) ? wanted : Products::float32;
}

}  // namespace diabolo
