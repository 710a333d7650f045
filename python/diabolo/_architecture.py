"""From hyper-parameters to the list of layers of a network, and the names and shapes of its weights."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from diabolo import _core
from diabolo._layers import DenseLayer, Layer

# Variances that keep signals at their size: for activations that pass half of them (He et al., ICCV 2015),
# and for those that are about linear around zero (Glorot and Bengio, AISTATS 2010).
_GLOROT = ("identity", "sigmoid", "tanh")


class Architecture(NamedTuple):
    """The layers from input to reconstruction; the first `code_layers` of them make the code."""

    layers: tuple[Layer, ...]
    code_layers: int

    def core_layers(self) -> "list[_core.Layer]":
        return [layer.core() for layer in self.layers]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for layer in self.layers for name, shape in layer.parameter_shapes().items()}

    @property
    def features(self) -> int:
        return self.layers[0].inputs

    @property
    def components(self) -> int:
        return self.layers[self.code_layers - 1].outputs


def dense_architecture(features: int, parameters: Any) -> Architecture:
    """Return the layers of a dense autoencoder with these (checked) hyper-parameters."""
    p = parameters
    decoder_widths = decoder_layer_sizes(p)
    encoder = _chain(
        "encoder",
        (features, *p.hidden_layer_sizes, p.n_components),
        p.activation,
        p.code_activation,
        p,
    )
    decoder = _chain(
        "decoder",
        (p.n_components, *decoder_widths, features),
        p.activation,
        output_activation(p),
        p,
    )
    if p.tied_weights:
        decoder = [
            layer._replace(tied_to=mirrored.name)
            for layer, mirrored in zip(decoder, reversed(encoder), strict=True)
        ]
    return Architecture((*encoder, *decoder), len(encoder))


def decoder_layer_sizes(parameters: Any) -> tuple[int, ...]:
    """Return the widths of the decoder's hidden layers: as given, else the encoder's mirrored."""
    widths: tuple[int, ...] | None = parameters.decoder_layer_sizes
    return tuple(reversed(parameters.hidden_layer_sizes)) if widths is None else widths


def output_activation(parameters: Any) -> str:
    """Return the last dense layer's activation, "auto" resolved by the loss."""
    if parameters.output_activation != "auto":
        return str(parameters.output_activation)
    return "sigmoid" if parameters.loss == "binary_crossentropy" else "identity"


def _chain(
    part: str, widths: Sequence[int], activation: str, last_activation: str, p: Any
) -> list[DenseLayer]:
    layers = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        own = last_activation if index == len(widths) - 2 else activation
        initializer = _initializer_for(own) if p.initializer == "auto" else p.initializer
        layers.append(
            DenseLayer(f"{part}.{index}", inputs, outputs, own, initializer, products=p.matmul_precision)
        )
    return layers


def _initializer_for(activation: str) -> str:
    return "glorot_uniform" if activation in _GLOROT else "he_uniform"
