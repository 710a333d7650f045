// See network.h.
#include "model/network.h"

#include "base/check.h"

namespace diabolo {

Network::Network(const kernels::KernelTable& table, const std::vector<DenseSpec>& specs, Index code_layers)
    : table_(table), specs_(specs), code_layers_(code_layers) {
  require(code_layers >= 1 && code_layers < static_cast<Index>(specs.size()),
          "a network needs at least one layer before and one after the code.");
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const DenseSpec& spec = specs[i];
    require(spec.inputs >= 1 && spec.outputs >= 1,
            spec.name + " must have at least one input and one output.");
    require(i == 0 || specs[i - 1].outputs == spec.inputs,
            spec.name + " takes " + std::to_string(spec.inputs) +
                " inputs, which is not what the layer below gives.");
    require(parameter_plan_.find(spec.name + ".bias") < 0, "two layers are named " + spec.name + ".");
    layers_.push_back(std::make_unique<Dense>(table_, parameter_plan_, spec, i > 0));
  }
}

NetworkBooking Network::book(WorkspacePlan& plan, Range layers, Index rows, Purpose purpose) const {
  NetworkBooking booking;
  booking.layers = layers;
  booking.input = plan.book(rows, inputs(layers));
  for (Index i = layers.begin; i < layers.end; ++i) {
    booking.booked.push_back(layer(i).book(plan, rows, purpose, i + 1 == layers.end));
  }
  return booking;
}

NetworkBuffers Network::lay_out(const NetworkBooking& booking, Workspace& workspace) const {
  NetworkBuffers buffers;
  buffers.layers = booking.layers;
  buffers.input = workspace.view(booking.input);
  MatrixView<float> below = buffers.input;
  for (const LayerBooking& b : booking.booked) {
    buffers.of_layer.push_back({below, workspace.view(b.output), workspace.view(b.preactivation),
                                workspace.view(b.delta), workspace.view(b.slope_terms)});
    below = buffers.of_layer.back().output;
  }
  return buffers;
}

void Network::forward(const Pass& pass, const NetworkBuffers& buffers, Range rows,
                      const kernels::LossEpilogue* loss) const {
  const Range layers = buffers.layers;
  for (Index i = layers.begin; i < layers.end; ++i) {
    layer(i).forward(pass, buffers.at(i), rows, i + 1 == layers.end ? loss : nullptr);
  }
}

void Network::backward(const Pass& pass, const NetworkBuffers& buffers, Range rows) const {
  for (Index i = buffers.layers.end - 1; i > buffers.layers.begin; --i) {
    const auto below = layer(i - 1).activation_gradient(pass.parameters, buffers.at(i - 1));
    layer(i).input_gradient(pass, buffers.at(i), rows, below);
  }
}

double Network::forward_cost(Range layers) const {
  double cost = 0.0;
  for (Index i = layers.begin; i < layers.end; ++i) {
    cost += 2.0 * static_cast<double>(layer(i).inputs()) * static_cast<double>(layer(i).outputs());
  }
  return cost;
}

}  // namespace diabolo
