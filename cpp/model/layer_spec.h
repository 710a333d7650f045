// LayerSpec: a layer of any kind as its user describes it, and the layer that is made of it.
#pragma once

#include <memory>
#include <span>
#include <variant>

#include "model/activity_penalty.h"
#include "model/batch_norm.h"
#include "model/boltzmann.h"
#include "model/corruption.h"
#include "model/dense.h"
#include "model/dropout.h"
#include "model/gaussian_code.h"
#include "model/jacobian_penalty.h"
#include "model/missing_values.h"
#include "model/softmax.h"
#include "model/top_k.h"

namespace diabolo {

using LayerSpec = std::variant<DenseSpec, CorruptionSpec, GaussianCodeSpec, ActivityPenaltySpec, TopKSpec,
                               SoftmaxSpec, MissingValuesSpec, DropoutSpec, BatchNormSpec,
                               BoltzmannHiddenSpec, BoltzmannVisibleSpec, JacobianPenaltySpec>;

/// Where a layer stands in its network.
struct LayerPlace {
  int number = 0;                // from the input on
  bool trainable_below = false;  // a layer below has parameters
  bool differentiated = false;   // a layer above wants its derivative, also where nobody trains
  std::span<const LayerSpec> below;
  std::span<const LayerSpec> above;
};

/// Declares the layer's parameters in `plan`. Throws std::invalid_argument for a specification that makes no
/// sense.
[[nodiscard]] std::unique_ptr<Layer> make_layer(const LayerSpec& spec, const kernels::KernelTable& table,
                                                ParameterPlan& plan, const LayerPlace& place);

}  // namespace diabolo
