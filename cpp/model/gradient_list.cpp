// See gradient_list.h.
#include "model/gradient_list.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/workspace.h"

namespace diabolo {
namespace {

/// Columns of a vector in one unit of work.
constexpr Index kUnitColumns = 256;

/// A term with few elements, as a share of a dense one: what it costs beside it is the update.
constexpr double kCostOfSparseTerm = 0.1;

/// Operations of a step for each weight of a strip, about.
constexpr double kCostOfStrip = 20.0;

Index blocks(Index n) { return (n + kernels::kGroup - 1) / kernels::kGroup; }

/// Double precision and a fixed order: the canonical one of the blocks.
double sum(const AlignedBuffer<float>& parts) {
  double total = 0.0;
  for (Index i = 0; i < parts.size(); ++i) total += static_cast<double>(parts[i]);
  return total;
}

}  // namespace

GradientList::GradientList(const kernels::KernelTable& table, Parameters& parameters, int most_workers)
    : table_(table), parameters_(parameters), work_(most_workers), strip_work_(most_workers) {}

GradientList::Target& GradientList::target_for(int number) {
  for (Target& target : targets_) {
    if (target.parameter == number) return target;
  }
  targets_.push_back({});
  targets_.back().parameter = number;
  return targets_.back();
}

void GradientList::add_product(int number, const kernels::GradientTerm& term) {
  Target& target = target_for(number);
  assert(target.term_count < kMostTerms);
  target.terms[static_cast<std::size_t>(target.term_count++)] = term;
}

void GradientList::add_sparse_product(int number, const kernels::SparseTerm& term) {
  Target& target = target_for(number);
  assert(target.sparse_count < kMostSparseTerms);
  target.sparse_terms[static_cast<std::size_t>(target.sparse_count++)] = term;
}

void GradientList::add_factored_weights(int number, MatrixView<const float> factors) {
  target_for(number).unit_factors = factors;
}

void GradientList::add_column_sum(int number, MatrixView<const float> terms) {
  Target& target = target_for(number);
  target.terms[0].b = terms;
  target.term_count = 1;
}

bool GradientList::has_untouched() const {
  return std::any_of(targets_.begin(), targets_.end(),
                     [](const Target& target) { return touched(target, true).count > 0; });
}

void GradientList::finish(bool with_penalty, bool with_norm) {
  Index sums = 0;
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    Target& target = targets_[t];
    const Parameter& p = parameters_.at(target.parameter);
    target.first_sum = sums;
    sums += blocks(p.rows) * blocks(p.cols);
    if (!p.is_kernel) {
      for (Index c = 0; c < p.cols; c += kUnitColumns) {
        const Index end = std::min(c + kUnitColumns, round_up(p.cols, kernels::kGroup));
        units_.push_back({t, 0, 0, {c, end}, static_cast<double>(end - c), 0.0});
      }
      continue;
    }
    const Index panels = (p.cols + p.width - 1) / p.width;
    if (p.unit_vectors == kernels::UnitVectors::rows) {
      for (Index row = 0; row < p.rows; row += kernels::kUnitRows) strips_.push_back({t, row});
    } else if (p.unit_vectors == kernels::UnitVectors::columns) {
      for (Index panel = 0; panel < panels; ++panel) strips_.push_back({t, panel});
    }
    for (Index panel = 0; panel < panels; ++panel) {
      for (Index row = 0; row < p.rows; row += kernels::kUnitRows) {
        const Index rows = std::min(kernels::kUnitRows, p.rows - row);
        const double terms = target.term_count + kCostOfSparseTerm * target.sparse_count;
        units_.push_back({t, row, panel, {}, 2.0 * static_cast<double>(rows * p.width) * terms, 0.0});
      }
    }
  }
  for (Unit& unit : units_) {
    unit.cost_before = total_cost_;
    total_cost_ += unit.cost;
  }
  if (with_penalty) penalty_sums_ = AlignedBuffer<float>(sums);
  if (with_norm) square_sums_ = AlignedBuffer<float>(sums);
}

/// Contiguous, so that a worker meets the same weights and moments at every step and keeps them in its own
/// cache.
Range GradientList::share_of(int worker, int workers) const {
  const auto first_from = [&](double cost) {
    const auto at = std::lower_bound(units_.begin(), units_.end(), cost, [](const Unit& unit, double wanted) {
      return unit.cost_before + 0.5 * unit.cost < wanted;
    });
    return static_cast<Index>(at - units_.begin());
  };
  const double step = total_cost_ / workers;
  const bool is_last = worker + 1 == workers;
  return {first_from(step * worker),
          is_last ? static_cast<Index>(units_.size()) : first_from(step * (worker + 1))};
}

bool GradientList::run(Worker& worker, const GradientPass& pass, const StepRules& rules,
                       UpcomingRows& upcoming) const {
  const auto share = [&](int index) { return share_of(index, worker.count()); };
  const Range mine = share(worker.index());
  bool finite = true;
  Index done = 0;
  work_.run(worker, share, [&](Index i) {
    if (++done <= mine.size()) {
      upcoming.fetch_until(static_cast<double>(done) / static_cast<double>(mine.size()));
    }
    const Unit& unit = units_[static_cast<std::size_t>(i)];
    const bool is_kernel = parameters_.at(targets_[unit.target].parameter).is_kernel;
    finite &= is_kernel ? run_kernel(unit, pass, rules) : run_vector(unit, pass, rules);
    return !worker.poll(unit.cost * static_cast<double>(pass.rows));
  });
  return finite;
}

bool GradientList::run_kernel(const Unit& unit, const GradientPass& pass, const StepRules& rules) const {
  const Target& target = targets_[unit.target];
  const Parameter& p = parameters_.at(target.parameter);
  auto terms = target.terms;
  for (kernels::GradientTerm& term : terms) {
    const Index rows = term.sparse_a ? pass.rows : kernels::terms_of(pass.rows, p.products);
    term.a.rows = term.b.rows = rows;
  }

  kernels::DenseWeightGradient g;
  g.terms = terms.data();
  g.term_count = target.term_count;
  g.sparse_terms = target.sparse_terms.data();
  g.sparse_count = target.sparse_count;
  g.touched_only = touched(target, pass.lazy).count > 0;
  g.unit_factors = target.unit_factors;
  g.unit_factors.rows = pass.rows;
  g.hints = pass.hints;
  g.inputs = p.rows;
  g.outputs = p.cols;
  g.width = p.width;
  g.unit_row = unit.row;
  g.panel = unit.panel;
  g.weights = parameters_.weights(target.parameter);
  g.first_moment = parameters_.moment(0, target.parameter);
  g.second_moment = parameters_.moment(1, target.parameter);
  g.copies = parameters_.copies(target.parameter);
  g.gradient = parameters_.gradient(target.parameter);
  g.add_stored = pass.add_stored;
  g.last = pass.last;
  const bool is_stored = p.unit_vectors != kernels::UnitVectors::none;
  g.use = is_stored ? kernels::GradientUse::store : pass.use;
  g.rule = &rules.kernels;
  if (penalty_sums_.size() != 0) g.penalty_sums = penalty_sums_.data() + target.first_sum;
  if (square_sums_.size() != 0) g.square_sums = square_sums_.data() + target.first_sum;
  return table_.dense_weight_gradient(g);
}

bool GradientList::run_vector(const Unit& unit, const GradientPass& pass, const StepRules& rules) const {
  const Target& target = targets_[unit.target];
  kernels::VectorGradient g;
  g.terms = target.terms[0].b;
  g.terms.rows = pass.rows;
  g.columns = unit.columns;
  g.units = parameters_.at(target.parameter).cols;
  g.weights = parameters_.weights(target.parameter);
  g.first_moment = parameters_.moment(0, target.parameter);
  g.second_moment = parameters_.moment(1, target.parameter);
  g.gradient = parameters_.gradient(target.parameter);
  g.add_stored = pass.add_stored;
  g.last = pass.last;
  g.use = pass.use;
  g.rule = &rules.vectors;
  if (square_sums_.size() != 0) g.square_sums = square_sums_.data() + target.first_sum;
  return table_.vector_gradient(g);
}

bool GradientList::update_from_stored(Worker& worker, const StepRules& rules) const {
  const auto share = [&](int index) { return share_of(index, worker.count()); };
  bool finite = true;
  work_.run(worker, share, [&](Index i) {
    const Unit& unit = units_[static_cast<std::size_t>(i)];
    const Parameter& p = parameters_.at(targets_[unit.target].parameter);
    if (p.unit_vectors == kernels::UnitVectors::none) finite &= update_unit(unit, rules, {});
    return !worker.poll(unit.cost);
  });
  return finite;
}

bool GradientList::update_unit(const Unit& unit, const StepRules& rules,
                               const kernels::TouchedUnits& touched) const {
  const Target& target = targets_[unit.target];
  const Parameter& p = parameters_.at(target.parameter);
  kernels::StoredUpdate u;
  // A range of a vector's columns is a panel of its own, one row high.
  const Index shift = p.is_kernel ? 0 : unit.columns.begin;
  const auto moment = [&](int which) {
    float* data = parameters_.moment(which, target.parameter);
    return data == nullptr ? nullptr : data + shift;
  };
  u.inputs = p.rows;
  u.outputs = p.cols;
  u.width = p.is_kernel ? p.width : unit.columns.size();
  u.unit_row = unit.row;
  u.panel = unit.panel;
  u.weights = parameters_.weights(target.parameter) + shift;
  u.first_moment = moment(0);
  u.second_moment = moment(1);
  u.copies = parameters_.copies(target.parameter);
  u.gradient = parameters_.gradient(target.parameter) + shift;
  u.rule = p.is_kernel ? &rules.kernels : &rules.vectors;
  u.touched = touched;
  return table_.stored_update(u);
}

kernels::VectorStrip GradientList::strip(const Strip& which, bool lazy) const {
  const Target& target = targets_[which.target];
  const Parameter& p = parameters_.at(target.parameter);
  kernels::VectorStrip s;
  s.vectors = p.unit_vectors;
  s.first = which.first;
  s.inputs = p.rows;
  s.outputs = p.cols;
  s.width = p.width;
  s.weights = parameters_.weights(target.parameter);
  s.gradient = parameters_.gradient(target.parameter);
  s.copies = parameters_.copies(target.parameter);
  s.touched = touched(target, lazy);
  if (square_sums_.size() != 0) s.square_sums = square_sums_.data() + target.first_sum;
  return s;
}

template <class Work>
void GradientList::run_strips(Worker& worker, bool lazy, const Work& work) const {
  const auto count = static_cast<Index>(strips_.size());
  const auto share = [&](int index) {
    return Range{count * index / worker.count(), count * (index + 1) / worker.count()};
  };
  strip_work_.run(worker, share, [&](Index i) {
    const Strip& which = strips_[static_cast<std::size_t>(i)];
    const kernels::VectorStrip s = strip(which, lazy);
    work(which, s);
    const bool is_rows = s.vectors == kernels::UnitVectors::rows;
    const Index floats = is_rows ? kernels::kUnitRows * s.outputs : s.inputs * s.width;
    return !worker.poll(kCostOfStrip * static_cast<double>(floats));
  });
}

void GradientList::remove_parallel(Worker& worker, bool lazy) const {
  run_strips(worker, lazy, [&](const Strip&, const kernels::VectorStrip& s) { table_.remove_parallel(s); });
}

bool GradientList::update_unit_vectors(Worker& worker, const StepRules& rules, bool lazy,
                                       bool remove_parallel_first) const {
  bool finite = true;
  run_strips(worker, lazy, [&](const Strip& which, const kernels::VectorStrip& s) {
    if (remove_parallel_first) table_.remove_parallel(s);
    Unit unit;
    unit.target = which.target;
    if (s.vectors == kernels::UnitVectors::rows) {
      unit.row = which.first;
      for (; unit.panel * s.width < s.outputs; ++unit.panel) finite &= update_unit(unit, rules, s.touched);
    } else {
      unit.panel = which.first;
      for (; unit.row < s.inputs; unit.row += kernels::kUnitRows) {
        finite &= update_unit(unit, rules, s.touched);
      }
    }
    finite &= table_.normalize_vectors(s);
  });
  return finite;
}

double GradientList::penalty() const { return sum(penalty_sums_); }

double GradientList::gradient_norm() const { return std::sqrt(sum(square_sums_)); }

}  // namespace diabolo
