// What layers have in common: where their noise comes from, and what those without parameters need not say.
#include "model/layer.h"

namespace diabolo {

kernels::NoiseSource noise_source(const NoiseOrigin& origin, int layer, Index first_row) {
  kernels::NoiseSource source;
  source.seed = origin.seed;
  source.stream = static_cast<std::uint32_t>(origin.stream) | static_cast<std::uint32_t>(layer) << 8;
  source.step = static_cast<std::uint32_t>(origin.step);
  source.first_row = origin.first_row + first_row;
  return source;
}

kernels::ActivationGradient Layer::activation_gradient(const Parameters& /*parameters*/,
                                                       const LayerBuffers& buffers) const {
  kernels::ActivationGradient g;
  g.kept = constant(buffers.output);  // not used by the identity, but read
  g.delta = buffers.delta;
  return g;
}

void Layer::amend_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                           Index /*layer*/) const {}

void Layer::receive_gradient(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/) const {}

bool Layer::prepare_input(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/) const {
  return false;
}

void Layer::forward_part(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                         UnitPart /*part*/, bool /*last*/) const {}

void Layer::loss_of_rows(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                         const kernels::LossEpilogue& /*loss*/) const {}

void Layer::input_gradient_part(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*rows*/,
                                UnitPart /*part*/, const kernels::ActivationGradient& /*below*/) const {}

void Layer::list_gradients(const LayerBuffers& /*buffers*/, GradientList& /*list*/) const {}

void Layer::batch_statistics(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*units*/,
                             Index /*rows*/) const {}

void Layer::gradient_statistics(const Pass& /*pass*/, const LayerBuffers& /*buffers*/, Range /*units*/,
                                Index /*rows*/) const {}

void Layer::begin_epoch(const Parameters& /*parameters*/, const LayerBuffers& /*buffers*/) const {}

void Layer::end_epoch(const LayerBuffers& /*buffers*/, Parameters& /*parameters*/) const {}

double Layer::slab_penalty(const StepContext& /*step*/, const LayerBuffers& /*buffers*/,
                           Index /*rows*/) const {
  return 0.0;
}

double Layer::row_penalty(const LayerBuffers& /*buffers*/, Index /*row*/) const { return 0.0; }

double Layer::standing_penalty(const LayerBuffers& /*buffers*/) const { return 0.0; }

void Layer::observe(const LayerBuffers& /*buffers*/, Range /*units*/, Index /*rows*/,
                    double* /*tallies*/) const {}

std::vector<Measure> Layer::measures(const double* /*tallies*/, Index /*rows*/) const { return {}; }

}  // namespace diabolo
