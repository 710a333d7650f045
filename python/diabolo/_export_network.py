"""A fitted network as exporters want it: layers with their arrays, scaler, threshold; no file formats."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from diabolo._fitted import Fitted, Scaler
from diabolo._layers import DenseLayer, described, label
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


class ExportedNorm(NamedTuple):
    """outputs = activation((inputs - mean) * factor + shift), unit by unit: batch normalisation, trained."""

    name: str
    units: int
    activation: str
    mean: Float32Array  # (units,)
    factor: Float32Array  # (units,)
    shift: Float32Array  # (units,)
    slope: Float32Array | None  # (units,), of prelu


class ExportedSoftmax(NamedTuple):
    """Probabilities of the columns of each group; other columns go through."""

    units: int
    groups: tuple[tuple[int, int], ...]  # ranges of columns, [begin, end), in ascending order


ExportedLayer = ExportedDense | ExportedNorm | ExportedTopK | ExportedSoftmax


class ExportedOutputs(NamedTuple):
    """What the outputs of a supervised estimator stand for: classes, or values (shifted and scaled)."""

    labels: tuple[str, ...]  # of the classes, in order; none of values
    scaler: Scaler | None  # of values; shift and scale, each (outputs,)
    probabilities: bool  # whether the outputs add up to 1


class ExportedNetwork(NamedTuple):
    """An encoder and what follows on the code, each beginning with a dense layer; and what is around them."""

    encoder: tuple[ExportedLayer, ...]
    decoder: tuple[ExportedLayer, ...]  # or the head of a supervised estimator
    scaler: Scaler | None
    threshold: float | None  # scores below it are outliers
    metric: str  # of the score, "mse" or "mae": minus the mean over the features
    # NaN in x stands for what nobody observed: 0 goes on, and the score is minus the mean over the others.
    missing: bool = False
    outputs: ExportedOutputs | None = None  # of an autoencoder none: its outputs are the features

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
    def arrays(self) -> dict[str, Float32Array]:
        """The weights as they are stored, by name, layer by layer: a tied kernel once."""
        arrays: dict[str, Float32Array] = {}
        for layer in self.layers:
            if isinstance(layer, ExportedDense):
                if not layer.tied_to:
                    arrays[f"{layer.name}.kernel"] = layer.kernel
                arrays[f"{layer.name}.bias"] = layer.bias
            elif isinstance(layer, ExportedNorm):
                arrays[f"{layer.name}.mean"] = layer.mean
                arrays[f"{layer.name}.factor"] = layer.factor
                arrays[f"{layer.name}.shift"] = layer.shift
            else:
                continue
            if layer.slope is not None:
                arrays[f"{layer.name}.slope"] = layer.slope
        return arrays

    @property
    def parameters(self) -> int:
        """The number of weights that are stored."""
        return sum(array.size for array in self.arrays.values())

    @property
    def activations(self) -> set[str]:
        """The names of those that are used."""
        return {layer.activation for layer in self.layers if isinstance(layer, (ExportedDense, ExportedNorm))}


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
    missing = False
    for index, spec in enumerate(layers):
        part = encoder if index < code_layers else decoder
        # By their names in files, which never change.
        match described(spec):
            case {"layer": "corruption" | "dropout" | "activity_penalty" | "jacobian_penalty"}:
                pass
            case {"layer": "missing_values"}:
                missing = True
            case {
                "layer": "gaussian_code",
                "units": units,
            }:  # the means come first of what the layer below computes
                moments = part[-1]
                assert isinstance(moments, ExportedDense)
                part[-1] = moments.narrowed(units)
            case {"layer": "top_k", "units": units, "k": k}:
                part.append(ExportedTopK(units, k))
            case {"layer": "softmax", "units": units, "groups": groups}:
                part.append(ExportedSoftmax(units, groups))
            case {"layer": "batch_norm", **fields}:
                part.append(_norm(fields, weights))
            case {"layer": _}:
                raise TypeError(f"{owner}: a layer {label(spec)!r} has no form outside of diabolo.")
            case _:
                assert isinstance(spec, DenseLayer)
                part.append(_dense(spec, weights))
    return ExportedNetwork(
        tuple(encoder),
        tuple(decoder),
        fitted.model.scaler(),
        _checked_threshold(owner, threshold),
        metric,
        missing,
    )


def _norm(fields: Mapping[str, Any], weights: Mapping[str, Float32Array]) -> ExportedNorm:
    name = fields["name"]
    variance = weights[f"{name}.variance"].astype(np.float64)
    factor = weights[f"{name}.scale"] / np.sqrt(variance + fields["epsilon"])
    return ExportedNorm(
        name,
        fields["units"],
        fields["activation"],
        weights[f"{name}.mean"],
        factor.astype(np.float32),
        weights[f"{name}.shift"],
        weights.get(f"{name}.slope"),
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
