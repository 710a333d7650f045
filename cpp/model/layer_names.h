// Names of what layers may be asked for, as files and Python write them.
#pragma once

#include "base/named.h"
#include "kernels/kernels.h"
#include "model/dense.h"

namespace diabolo {

constexpr Named<kernels::Activation> kActivations[] = {{"identity", kernels::Activation::identity},
                                                       {"sigmoid", kernels::Activation::sigmoid},
                                                       {"tanh", kernels::Activation::tanh},
                                                       {"relu", kernels::Activation::relu},
                                                       {"leaky_relu", kernels::Activation::leaky_relu},
                                                       {"elu", kernels::Activation::elu},
                                                       {"prelu", kernels::Activation::prelu},
                                                       {"gelu", kernels::Activation::gelu},
                                                       {"silu", kernels::Activation::silu},
                                                       {"softplus", kernels::Activation::softplus}};

constexpr Named<kernels::Products> kProducts[] = {{"float32", kernels::Products::float32},
                                                  {"bfloat16_3x", kernels::Products::bfloat16_3x},
                                                  {"bfloat16", kernels::Products::bfloat16}};

constexpr Named<kernels::CorruptionKind> kCorruptions[] = {
    {"gaussian", kernels::CorruptionKind::gaussian},
    {"masking", kernels::CorruptionKind::masking},
    {"salt_and_pepper", kernels::CorruptionKind::salt_and_pepper}};

constexpr Named<OutputVariance> kOutputVariances[] = {
    {"none", OutputVariance::none}, {"fixed", OutputVariance::fixed}, {"learned", OutputVariance::learned}};

}  // namespace diabolo
