// See rows.h.
#include "data/rows.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "base/check.h"

namespace diabolo {
namespace {

/// Scaling in double precision, before the one rounding to float: a large offset costs no digits.
float scaled(double x, double shift, double inverse) { return static_cast<float>((x - shift) * inverse); }

/// One row of an array. Elements next to each other, the usual case, get a loop that the compiler can
/// vectorise.
template <class T>
void read_row(const std::byte* from, Index stride, Index features, const Scaler& scaler, float* to) {
  if (!scaler.empty()) {
    const double* shift = scaler.shift.data();
    const double* inverse = scaler.inverse.data();
    for (Index c = 0; c < features; ++c) {
      to[c] = scaled(static_cast<double>(to_number(element<T>(from + c * stride))), shift[c], inverse[c]);
    }
    return;
  }
  if (stride == static_cast<Index>(sizeof(T))) {
    for (Index c = 0; c < features; ++c) {
      to[c] = static_cast<float>(to_number(element<T>(from + c * static_cast<Index>(sizeof(T)))));
    }
    return;
  }
  for (Index c = 0; c < features; ++c) to[c] = static_cast<float>(to_number(element<T>(from + c * stride)));
}

constexpr Index kLine = 64;

}  // namespace

Rows Rows::from_array(const void* data, ElementType type, Index rows, Index features, Index row_stride,
                      Index column_stride) {
  Rows r;
  r.base_ = static_cast<const std::byte*>(data);
  r.type_ = type;
  r.row_stride_ = row_stride;
  r.column_stride_ = column_stride;
  r.features_ = features;
  r.count_ = rows;
  return r;
}

Rows Rows::from_columns(std::vector<Column> columns, Index rows) {
  Rows r;
  r.features_ = static_cast<Index>(columns.size());
  r.columns_ = std::move(columns);
  r.count_ = rows;
  return r;
}

Rows Rows::from_sparse(const SparseTable& table) {
  Rows r;
  r.sparse_ = table;
  r.features_ = table.features;
  r.count_ = table.rows;
  return r;
}

Rows Rows::slice(Index begin, Index end) const {
  require(0 <= begin && begin <= end && end <= count_, "a slice of rows lies outside of them.");
  Rows narrower = *this;
  narrower.count_ = end - begin;
  if (list_) {
    narrower.list_ = std::make_shared<const std::vector<Index>>(list_->begin() + begin, list_->begin() + end);
  } else {
    narrower.first_ = first_ + begin;
  }
  return narrower;
}

Rows Rows::take(const std::vector<Index>& rows) const {
  std::vector<Index> list;
  list.reserve(rows.size());
  for (const Index row : rows) {
    require(0 <= row && row < count_, "a row number lies outside of the rows.");
    list.push_back(source_row(row));
  }
  Rows narrower = *this;
  narrower.count_ = static_cast<Index>(list.size());
  narrower.list_ = std::make_shared<const std::vector<Index>>(std::move(list));
  return narrower;
}

Rows Rows::weighted(const double* weights) const {
  Rows same = *this;
  same.weights_ = weights;
  return same;
}

void Rows::gather(const Index* source_rows, Index count, const Scaler& scaler, MatrixView<float> out) const {
  assert(!sparse_);
  if (columns_.empty()) {
    with_type(type_, [&](auto* type) {
      using T = std::remove_cvref_t<decltype(*type)>;
      for (Index r = 0; r < count; ++r) {
        read_row<T>(base_ + source_rows[r] * row_stride_, column_stride_, features_, scaler, out.row(r));
      }
    });
    return;
  }
  for (Index c = 0; c < features_; ++c) {
    const Column& column = columns_[static_cast<std::size_t>(c)];
    const auto at = static_cast<std::size_t>(c);
    with_type(column.type, [&](auto* type) {
      using T = std::remove_cvref_t<decltype(*type)>;
      for (Index r = 0; r < count; ++r) {
        const auto x = to_number(element<T>(column.data + source_rows[r] * column.stride));
        out.row(r)[c] = scaler.empty() ? static_cast<float>(x)
                                       : scaled(static_cast<double>(x), scaler.shift[at], scaler.inverse[at]);
      }
    });
  }
}

void Rows::prefetch(Index source_row) const {
  // To the second-level cache: the first is in use, and a processor drops what its few miss buffers cannot
  // hold (measured on Zen 4: 512 lines asked for at once cost 2 us and arrive; by way of the first, half do).
  if (sparse_) return sparse_->prefetch(source_row);
  const auto fetch = [](const std::byte* from, Index bytes) {
    const auto* first = from - reinterpret_cast<std::uintptr_t>(from) % kLine;
    for (const auto* line = first; line < from + bytes; line += kLine) __builtin_prefetch(line, 0, 2);
  };
  for (const Column& column : columns_) fetch(column.data + source_row * column.stride, 1);
  if (!columns_.empty()) return;
  const std::byte* row = base_ + source_row * row_stride_;
  if (column_stride_ == static_cast<Index>(size_of(type_))) return fetch(row, features_ * column_stride_);
  for (Index c = 0; c < features_; ++c) fetch(row + c * column_stride_, 1);
}

void Rows::gather_exact(const Index* source_rows, Index count, MatrixView<double> out) const {
  assert(!sparse_);
  for (Index c = 0; c < features_; ++c) {
    const Column column = columns_.empty() ? Column{base_ + c * column_stride_, row_stride_, type_}
                                           : columns_[static_cast<std::size_t>(c)];
    with_type(column.type, [&](auto* type) {
      using T = std::remove_cvref_t<decltype(*type)>;
      for (Index r = 0; r < count; ++r) {
        out.row(r)[c] =
            static_cast<double>(to_number(element<T>(column.data + source_rows[r] * column.stride)));
      }
    });
  }
}

}  // namespace diabolo
