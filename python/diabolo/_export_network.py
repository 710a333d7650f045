"""A fitted network as exporters want it: layers with their arrays, scaler, threshold; no file formats."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from diabolo._fitted import Fitted, Scaler
from diabolo._layers import (
    ActivityPenaltyLayer,
    CorruptionLayer,
    DenseLayer,
    GaussianCodeLayer,
    TopKLayer,
    label,
)
from diabolo._types import Float32Array
from diabolo._validation import Real, Refused, broken


class ExportedDense(NamedTuple):
    """A dense layer: outputs = activation(inputs @ kernel + bias)."""

    name: str
    inputs: int
    outputs: int
    activation: str
    kernel: Float32Array  # (inputs, outputs); of a tied layer a transposed view of its partner's
    bias: Float32Array  # (outputs,)
    slope: Float32Array | None  # (outputs,), of prelu
    tied_to: str  # the layer whose kernel, transposed, this one's is; "" if it is its own

    def narrowed(self, outputs: int) -> "ExportedDense":
        """Return the layer that computes the first outputs alone."""
        slope = None if self.slope is None else self.slope[:outputs]
        return self._replace(
            outputs=outputs, kernel=self.kernel[:, :outputs], bias=self.bias[:outputs], slope=slope
        )


class ExportedTopK(NamedTuple):
    """The k greatest of the units below go through, and 0 for the others; of equals the first."""

    units: int
    k: int


ExportedLayer = ExportedDense | ExportedTopK


class ExportedNetwork(NamedTuple):
    """Encoder and decoder, each beginning with a dense layer, and what stands before and behind them."""

    encoder: tuple[ExportedLayer, ...]
    decoder: tuple[ExportedLayer, ...]
    scaler: Scaler | None
    threshold: float | None  # scores below it are outliers
    metric: str  # of the score, "mse" or "mae": minus the mean over the features

    @property
    def layers(self) -> tuple[ExportedLayer, ...]:
        return (*self.encoder, *self.decoder)

    @property
    def dense_layers(self) -> tuple[ExportedDense, ...]:
        return (*dense_of(self.encoder), *dense_of(self.decoder))

    @property
    def features(self) -> int:
        return self.dense_layers[0].inputs

    @property
    def components(self) -> int:
        return dense_of(self.encoder)[-1].outputs

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.features, *(layer.outputs for layer in self.dense_layers))

    @property
    def parameters(self) -> int:
        """The number of weights that are stored: a tied kernel counts once."""
        return sum(
            (0 if layer.tied_to else layer.kernel.size)
            + layer.bias.size
            + (0 if layer.slope is None else layer.slope.size)
            for layer in self.dense_layers
        )


def dense_of(layers: tuple[ExportedLayer, ...]) -> tuple[ExportedDense, ...]:
    """Return the layers that have weights."""
    return tuple(layer for layer in layers if isinstance(layer, ExportedDense))


def exported_network(owner: str, fitted: Fitted, threshold: object, metric: str = "mse") -> ExportedNetwork:
    """Return what is to be exported; raise InvalidParameterError for a threshold that is no number.

    What only training knows is left out, and of the code of a variational autoencoder all but the means.
    TypeError for a layer that is not known here.
    """
    weights = fitted.model.get_weights()
    layers, code_layers = fitted.architecture
    encoder: list[ExportedLayer] = []
    decoder: list[ExportedLayer] = []
    for index, spec in enumerate(layers):
        part = encoder if index < code_layers else decoder
        match spec:
            case CorruptionLayer() | ActivityPenaltyLayer():
                pass
            case DenseLayer():
                part.append(_dense(spec, weights))
            case GaussianCodeLayer():  # the means come first of what the layer below computes
                moments = part[-1]
                assert isinstance(moments, ExportedDense)
                part[-1] = moments.narrowed(spec.units)
            case TopKLayer():
                part.append(ExportedTopK(spec.units, spec.k))
            case _:
                raise TypeError(f"{owner}: a layer {label(spec)!r} has no form outside of diabolo.")
    return ExportedNetwork(
        tuple(encoder), tuple(decoder), fitted.model.scaler(), _checked_threshold(owner, threshold), metric
    )


def _dense(spec: DenseLayer, weights: Mapping[str, Float32Array]) -> ExportedDense:
    return ExportedDense(
        spec.name,
        spec.inputs,
        spec.outputs,
        spec.activation,
        weights[f"{spec.tied_to}.kernel"].T if spec.tied_to else weights[f"{spec.name}.kernel"],
        weights[f"{spec.name}.bias"],
        weights.get(f"{spec.name}.slope"),
        spec.tied_to,
    )


def _checked_threshold(owner: str, threshold: object) -> float | None:
    if threshold is None:
        return None
    most = float(np.finfo(np.float32).max)
    try:
        return float(Real(-most, most).convert(threshold))
    except Refused:
        raise broken(owner, "threshold", "None or a finite number of float32", threshold) from None
