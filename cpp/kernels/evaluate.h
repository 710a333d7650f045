// The elementary functions over an array, one by one: what the accuracy tests call.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"

namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {
namespace {

template <class F>
DIABOLO_INLINE void map(const float* x, float* y, Index count, const F& f) {
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, f(load(x + i)));
  if (i == count) return;
  float rest[kLanes] = {};
  for (Index j = i; j < count; ++j) rest[j - i] = x[j];
  store(rest, f(load(rest)));
  for (Index j = i; j < count; ++j) y[j] = rest[j - i];
}

void evaluate(Function function, const float* x, float* y, Index count) {
  switch (function) {
    case Function::exp: return map(x, y, count, [](Vec v) { return exp(v); });
    case Function::expm1: return map(x, y, count, [](Vec v) { return expm1(v); });
    case Function::log: return map(x, y, count, [](Vec v) { return log(v); });
    case Function::log1p: return map(x, y, count, [](Vec v) { return log1p(v); });
    case Function::tanh: return map(x, y, count, [](Vec v) { return tanh(v); });
    case Function::sigmoid: return map(x, y, count, [](Vec v) { return sigmoid(v); });
    case Function::erf: return map(x, y, count, [](Vec v) { return erf(v); });
    case Function::softplus: return map(x, y, count, [](Vec v) { return softplus(v); });
    case Function::elu: return map(x, y, count, [](Vec v) { return elu(v); });
    case Function::gelu: return map(x, y, count, [](Vec v) { return gelu(v); });
    case Function::silu: return map(x, y, count, [](Vec v) { return silu(v); });
    case Function::gelu_derivative: return map(x, y, count, [](Vec v) { return gelu_derivative(v); });
    case Function::silu_derivative: return map(x, y, count, [](Vec v) { return silu_derivative(v); });
  }
}

}  // namespace
}  // namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE
