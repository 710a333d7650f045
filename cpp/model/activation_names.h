// Names of activations, as files and Python write them.
#pragma once

#include "base/named.h"
#include "kernels/kernels.h"

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

}  // namespace diabolo
