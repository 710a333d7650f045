"""A fitted network as exporters want it: layers with their arrays, scaler, threshold; no file formats."""

from typing import NamedTuple

import numpy as np

from diabolo._fitted import Fitted, Scaler
from diabolo._layers import (
    ActivityPenaltyLayer,
    CorruptionLayer,
    DenseLayer,
    DropoutLayer,
    JacobianPenaltyLayer,
    label,
)
from diabolo._types import Float32Array
from diabolo._validation import Real, Refused, broken


class ExportedLayer(NamedTuple):
    """A dense layer: outputs = activation(inputs @ kernel + bias)."""

    name: str
    inputs: int
    outputs: int
    activation: str
    kernel: Float32Array  # (inputs, outputs); of a tied layer a transposed view of its partner's
    bias: Float32Array  # (outputs,)
    slope: Float32Array | None  # (outputs,), of prelu
    tied_to: str  # the layer whose kernel, transposed, this one's is; "" if it is its own


class ExportedNetwork(NamedTuple):
    """Encoder and decoder, and what stands before and behind them."""

    encoder: tuple[ExportedLayer, ...]
    decoder: tuple[ExportedLayer, ...]
    scaler: Scaler | None
    threshold: float | None  # scores below it are outliers
    metric: str  # of the score, "mse" or "mae": minus the mean over the features

    @property
    def layers(self) -> tuple[ExportedLayer, ...]:
        return (*self.encoder, *self.decoder)

    @property
    def features(self) -> int:
        return self.encoder[0].inputs

    @property
    def components(self) -> int:
        return self.encoder[-1].outputs

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.features, *(layer.outputs for layer in self.layers))

    @property
    def parameters(self) -> int:
        """The number of weights that are stored: a tied kernel counts once."""
        return sum(
            (0 if layer.tied_to else layer.kernel.size)
            + layer.bias.size
            + (0 if layer.slope is None else layer.slope.size)
            for layer in self.layers
        )


def exported_network(owner: str, fitted: Fitted, threshold: object, metric: str = "mse") -> ExportedNetwork:
    """Return what is to be exported; raise InvalidParameterError for a threshold that is no number.

    Layers that only training knows are left out; TypeError for others that are not dense.
    """
    weights = fitted.model.get_weights()
    layers = []
    code_layers = 0
    for index, spec in enumerate(fitted.architecture.layers):
        if isinstance(spec, (CorruptionLayer, ActivityPenaltyLayer, DropoutLayer, JacobianPenaltyLayer)):
            continue
        if not isinstance(spec, DenseLayer):
            raise TypeError(f"{owner}: only dense layers can be exported. Got a layer {label(spec)!r}.")
        code_layers += index < fitted.architecture.code_layers
        kernel = weights[f"{spec.tied_to}.kernel"].T if spec.tied_to else weights[f"{spec.name}.kernel"]
        layers.append(
            ExportedLayer(
                spec.name,
                spec.inputs,
                spec.outputs,
                spec.activation,
                kernel,
                weights[f"{spec.name}.bias"],
                weights.get(f"{spec.name}.slope"),
                spec.tied_to,
            )
        )
    return ExportedNetwork(
        tuple(layers[:code_layers]),
        tuple(layers[code_layers:]),
        fitted.model.scaler(),
        _checked_threshold(owner, threshold),
        metric,
    )


def _checked_threshold(owner: str, threshold: object) -> float | None:
    if threshold is None:
        return None
    most = float(np.finfo(np.float32).max)
    try:
        return float(Real(-most, most).convert(threshold))
    except Refused:
        raise broken(owner, "threshold", "None or a finite number of float32", threshold) from None
