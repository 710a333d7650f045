"""Layers that every kind of autoencoder may have beside its own."""

from typing import Any

from diabolo._architecture import Architecture
from diabolo._column_groups import loss_groups
from diabolo._layers import SoftmaxLayer


def with_common_layers(plan: Architecture, parameters: Any) -> Architecture:
    """Return the network with a softmax at its end, if its loss has one."""
    layers, code_layers = plan
    groups = loss_groups(plan.features, parameters)
    if groups:
        layers = (*layers, SoftmaxLayer(plan.features, groups))
    return Architecture(layers, code_layers)
