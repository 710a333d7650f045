// See network.h.
#include "model/network.h"

#include <algorithm>

#include "base/check.h"

namespace diabolo {

Network::Network(const kernels::KernelTable& table, const std::vector<LayerSpec>& specs, Index code_layers)
    : table_(table), specs_(specs), code_layers_(code_layers) {
  require(code_layers >= 1 && code_layers < static_cast<Index>(specs.size()),
          "a network needs at least one layer before and one after the code.");
  for (const LayerSpec& spec : specs) {
    LayerPlace place;
    place.number = static_cast<int>(size());
    place.trainable_below = !parameter_plan_.list().empty();
    place.below = {specs.data(), static_cast<std::size_t>(size())};
    place.above = {specs.data() + size() + 1, specs.size() - static_cast<std::size_t>(size()) - 1};
    place.differentiated = std::any_of(place.above.begin(), place.above.end(), [](const LayerSpec& above) {
      return std::holds_alternative<JacobianPenaltySpec>(above);
    });
    layers_.push_back(make_layer(spec, table_, parameter_plan_, place));
    const Index i = size() - 1;
    require(i == 0 || layer(i - 1).outputs() == layer(i).inputs(),
            "layer " + std::to_string(i) + " takes " + std::to_string(layer(i).inputs()) +
                " inputs, which is not what the layer below gives.");
    if (parameter_plan_.list().empty()) first_trainable_ = size();
    if (layer(i).needs_whole_batch()) needs_whole_batch_ = true;
    if (layer(i).has_penalty()) has_penalty_ = true;
    if (layer(i).amends_below()) {
      require(amending_ < 0, "a network can have one penalty on a Jacobian.");
      amending_ = i;
    }
    if (i == 0 || layer(i).has_statistics()) segments_.push_back({i, i});
    segments_.back().end = i + 1;
  }
}

ThreadPreparation Network::thread_preparation() const {
  const auto of_pairs = [](const Parameter& p) { return p.products != kernels::Products::float32; };
  const std::vector<Parameter>& list = parameter_plan_.list();
  if (std::none_of(list.begin(), list.end(), of_pairs)) return {};
  return {table_.prepare_thread, table_.release_thread};
}

NetworkBooking Network::book(WorkspacePlan& plan, Range layers, Index rows, Purpose purpose,
                             bool sparse_rows) const {
  NetworkBooking booking;
  booking.layers = layers;
  if (!sparse_rows) booking.input = plan.book(rows, inputs(layers));
  const Index unbooked = sparse_rows ? layers_before_first_product(purpose) : 0;
  for (Index i = layers.begin; i < layers.end; ++i) {
    if (i < unbooked) {
      booking.booked.emplace_back().passes_input_on = true;
      continue;
    }
    LayerBooking& booked =
        booking.booked.emplace_back(layer(i).book(plan, rows, purpose, i + 1 == layers.end));
    const auto kept = static_cast<Index>(layer(i).kept_states().size());
    if (purpose == Purpose::training && kept > 0) booked.kept = plan.book(kept, layer(i).outputs());
  }
  return booking;
}

NetworkBuffers Network::lay_out(const NetworkBooking& booking, Workspace& workspace) const {
  NetworkBuffers buffers;
  buffers.layers = booking.layers;
  buffers.input = workspace.view(booking.input);
  MatrixView<float> below = buffers.input;
  for (const LayerBooking& b : booking.booked) {
    LayerBuffers layer_buffers;
    layer_buffers.input = below;
    layer_buffers.output = b.passes_input_on ? below : workspace.view(b.output);
    layer_buffers.preactivation = workspace.view(b.preactivation);
    layer_buffers.delta = workspace.view(b.delta);
    layer_buffers.slope_terms = workspace.view(b.slope_terms);
    layer_buffers.variance_terms = workspace.view(b.variance_terms);
    layer_buffers.noise = workspace.view(b.noise);
    for (const WorkspacePlan::Buffer& own : b.own) layer_buffers.own.push_back(workspace.view(own));
    layer_buffers.row_penalty = workspace.view(b.row_penalty);
    layer_buffers.unit_statistics = workspace.view(b.unit_statistics);
    layer_buffers.kept = workspace.view(b.kept);
    layer_buffers.scale_terms = workspace.view(b.scale_terms);
    layer_buffers.element_weights_below = buffers.element_weights;
    layer_buffers.element_weights = workspace.view(b.element_weights);
    layer_buffers.sparse = lay_out_sparse(b.sparse, workspace);
    layer_buffers.auxiliary = lay_out_auxiliary(b.auxiliary, workspace);
    if (!buffers.of_layer.empty()) buffers.of_layer.back().auxiliary_delta = layer_buffers.auxiliary;
    if (layer_buffers.sparse) {
      if (!buffers.of_layer.empty()) buffers.of_layer.back().sparse_delta = layer_buffers.sparse;
    } else if (!buffers.of_layer.empty()) {
      layer_buffers.sparse_input = buffers.of_layer.back().sparse;
    }
    if (b.sees_below) layer_buffers.below = buffers.of_layer;
    layer_buffers.input_pairs = diabolo::lay_out(b.input_pairs, workspace);
    layer_buffers.delta_pairs = diabolo::lay_out(b.delta_pairs, workspace);
    if (layer_buffers.element_weights.data != nullptr) {
      buffers.element_weights = layer_buffers.element_weights;
    }
    below = layer_buffers.output;
    buffers.of_layer.push_back(layer_buffers);
  }
  return buffers;
}

void Network::forward(const Pass& pass, const NetworkBuffers& buffers, Range layers, Range rows,
                      const kernels::LossEpilogue* loss) const {
  for (Index i = layers.begin; i < layers.end; ++i) {
    layer(i).forward(pass, buffers.at(i), rows, i + 1 == buffers.layers.end ? loss : nullptr);
  }
}

void Network::amend_gradient(const Pass& pass, const NetworkBuffers& buffers, Range rows, Index i) const {
  if (i <= amending_) layer(amending_).amend_gradient(pass, buffers.at(amending_), rows, i - 1);
}

void Network::weight_statistics(const Pass& pass, const NetworkBuffers& buffers) const {
  bool any = false;
  for (Index i = buffers.layers.begin; i < buffers.layers.end; ++i) {
    if (!layer(i).has_statistics() || layer(i).needs_whole_batch()) continue;
    layer(i).batch_statistics(pass, buffers.at(i), pass.worker.share(layer(i).outputs(), kernels::kGroup), 0);
    any = true;
  }
  if (any) static_cast<void>(pass.worker.meet());
}

Index Network::layers_before_first_product(Purpose purpose) const {
  for (Index i = 0; i < size(); ++i) {
    const OnSparseRows does = layer(i).on_sparse_rows(purpose);
    if (does == OnSparseRows::multiplies) return i;
    require(does == OnSparseRows::passes_on, "layer " + std::to_string(i) + " takes no sparse rows.");
  }
  return size();
}

bool Network::compares_sparse_rows() const {
  return layer(size() - 1).on_sparse_rows(Purpose::training) == OnSparseRows::multiplies;
}

double Network::forward_cost(Range layers) const {
  double cost = 0.0;
  for (Index i = layers.begin; i < layers.end; ++i) cost += layer(i).forward_cost();
  return cost;
}

}  // namespace diabolo
