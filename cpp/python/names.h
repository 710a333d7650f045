// Names of the library's choices as Python writes them.
#pragma once

#include "base/named.h"
#include "data/row_order.h"
#include "kernels/kernels.h"
#include "model/layer_names.h"
#include "training/trainer.h"

namespace diabolo {

constexpr Named<kernels::Loss> kLosses[] = {
    {"mse", kernels::Loss::mse},
    {"mae", kernels::Loss::mae},
    {"huber", kernels::Loss::huber},
    {"binary_crossentropy", kernels::Loss::binary_crossentropy},
    {"gaussian", kernels::Loss::gaussian},
    {"hinge", kernels::Loss::hinge},
    {"categorical_crossentropy", kernels::Loss::categorical_crossentropy},
    {"kl_divergence", kernels::Loss::kl_divergence}};

constexpr Named<Shuffle> kShuffles[] = {
    {"rows", Shuffle::rows}, {"blocks", Shuffle::blocks}, {"none", Shuffle::none}};

constexpr Named<kernels::Function> kFunctions[] = {{"exp", kernels::Function::exp},
                                                   {"expm1", kernels::Function::expm1},
                                                   {"log", kernels::Function::log},
                                                   {"log1p", kernels::Function::log1p},
                                                   {"tanh", kernels::Function::tanh},
                                                   {"sigmoid", kernels::Function::sigmoid},
                                                   {"erf", kernels::Function::erf},
                                                   {"softplus", kernels::Function::softplus},
                                                   {"elu", kernels::Function::elu},
                                                   {"gelu", kernels::Function::gelu},
                                                   {"silu", kernels::Function::silu},
                                                   {"gelu_derivative", kernels::Function::gelu_derivative},
                                                   {"silu_derivative", kernels::Function::silu_derivative}};

constexpr Named<Outcome> kOutcomes[] = {{"completed", Outcome::completed},
                                        {"stopped", Outcome::stopped},
                                        {"loss_not_finite", Outcome::loss_not_finite},
                                        {"weight_not_finite", Outcome::weight_not_finite}};

}  // namespace diabolo
