"""The oracle for batch normalisation and dropout: networks of dense layers with either between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import reference
from reference import ACTIVATIONS, Array, Layer, Weights

EPSILON = 1e-5


@dataclass(frozen=True)
class Norm:
    """Batch normalisation, with its activation; `statistics` (mean, variance) in place of the batch's."""

    name: str
    activation: str
    statistics: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class Drop:
    """Dropout, with the factors (rows, units) that were drawn: 0 or 1 / (1 - rate)."""

    factors: Array


# n = (x - m) / sqrt(v + epsilon),  m = sum p x,  v = sum p (x - m)^2 over the rows, sum p = 1
# z = scale n + shift
def normalized(norm: Norm, weights: Weights, x: Array, p: Array) -> tuple[Array, Array, Array]:
    """Return n, z, and 1 / sqrt(v + epsilon)."""
    if norm.statistics is None:
        mean = np.sum(p * x, axis=0)
        variance = np.sum(p * (x - mean) ** 2, axis=0)
    else:
        mean, variance = norm.statistics
    inverse = 1.0 / np.sqrt(variance + EPSILON)
    n = (x - mean) * inverse
    return n, weights[f"{norm.name}.scale"] * n + weights[f"{norm.name}.shift"], inverse


# dL/dx = scale inverse (dz - p (sum of dz + n sum of dz n));  without the sums if statistics are given
def loss_and_gradients(
    layers: Sequence[Layer | Norm | Drop],
    weights: Weights,
    x: Array,
    loss: str,
    row_weights: ArrayLike = 1.0,
) -> tuple[Any, Weights]:
    """Return the loss of a batch, its rows counting by weights of mean 1, and its gradients."""
    weights = {name: reference.widen(w) for name, w in weights.items()}
    rows = len(x)
    factors = np.broadcast_to(np.asarray(row_weights, dtype=np.float64), (rows,))[:, None]
    p = factors / rows
    y, kept = reference.widen(x), []
    for layer in layers:
        if isinstance(layer, Layer):
            trace = reference.forward([layer], weights, y)
            kept.append(trace)
            y = trace.y[layer.name]
        elif isinstance(layer, Norm):
            n, z, inverse = normalized(layer, weights, y, p)
            kept.append((n, z, inverse))
            slope = weights.get(f"{layer.name}.slope")
            y = ACTIVATIONS[layer.activation].value(z, None, slope)
        else:
            y = y * layer.factors
            kept.append(None)

    last = layers[-1]
    assert isinstance(last, Layer)
    value, dy = reference.reconstruction(last, kept[-1], reference.widen(x), loss, None, factors)
    gradients = {name: np.zeros_like(w) for name, w in weights.items()}
    for layer, of in zip(reversed(layers), reversed(kept), strict=True):
        if isinstance(layer, Layer):
            from_z = layer is last and reference.LOSSES[loss].reads_pre_activation
            here, dy = reference.backward([layer], weights, of, dy, from_z=from_z)
            gradients = {name: gradients[name] + here[name] for name in gradients}
        elif isinstance(layer, Norm):
            n, z, inverse = of
            slope = weights.get(f"{layer.name}.slope")
            if slope is not None:
                gradients[f"{layer.name}.slope"] = np.sum(np.where(z.real > 0, 0.0, dy * z), axis=0)
            dz = dy * ACTIVATIONS[layer.activation].derivative(z, None, slope)
            gradients[f"{layer.name}.shift"] = np.sum(dz, axis=0)
            gradients[f"{layer.name}.scale"] = np.sum(dz * n, axis=0)
            common = 0.0
            if layer.statistics is None:
                common = p * (np.sum(dz, axis=0) + n * np.sum(dz * n, axis=0))
            dy = weights[f"{layer.name}.scale"] * inverse * (dz - common)
        else:
            dy = dy * layer.factors
    return value, gradients
