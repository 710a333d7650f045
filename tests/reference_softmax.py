"""The oracle for losses of groups of columns: softmax with categorical cross-entropy or KL divergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import reference
from reference import Array, Layer, Weights

Groups = Sequence[tuple[int, int]]


# log y = z - log sum e^z, the greatest z taken out of the sum
def log_softmax(z: Array) -> Array:
    """Logarithms of probabilities, over the columns of `z`, (rows, columns)."""
    shifted = z - np.max(z.real, axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def outputs(z: Array, groups: Groups) -> Array:
    """Softmax within each group; the other columns as they are."""
    y = z.copy()
    for begin, end in groups:
        y[:, begin:end] = np.exp(log_softmax(z[:, begin:end]))
    return y


# With a = w t:  sum of -a log y (and a log t for the divergence), gradient y sum a - a in z;
# in columns of no group  w (z - t)^2.  L = mean over rows, groups and other columns.
def loss_and_gradient(
    z: Array,
    target: Array,
    groups: Groups,
    loss: str = "categorical_crossentropy",
    element_weights: ArrayLike = 1.0,
    row_weights: ArrayLike = 1.0,
) -> tuple[Any, Array, Array]:
    """Return the mean loss of a batch, its gradient in z, and the loss of each row.

    Rows count by `row_weights`, (rows,), whose mean is 1.
    """
    rows, columns = z.shape
    weights = np.broadcast_to(element_weights, z.shape)
    terms = columns - sum(end - begin - 1 for begin, end in groups)
    grouped = np.zeros(columns, dtype=bool)
    value = np.zeros(rows, dtype=z.dtype)
    gradient = np.zeros_like(z)
    for begin, end in groups:
        grouped[begin:end] = True
        a = weights[:, begin:end] * target[:, begin:end]
        log_y = log_softmax(z[:, begin:end])
        value += np.sum(-a * log_y, axis=1)
        if loss == "kl_divergence":
            t = target[:, begin:end]
            value += np.sum(a * np.log(np.where(t > 0, t, 1.0)), axis=1)
        gradient[:, begin:end] = np.exp(log_y) * np.sum(a, axis=1, keepdims=True) - a
    d = np.where(grouped, 0.0, z - target)
    value += np.sum(weights * d * d, axis=1)
    gradient += 2.0 * weights * d
    scale = np.broadcast_to(row_weights, (rows,)) / rows
    return np.sum(scale * value) / terms, gradient * scale[:, None] / terms, value / terms


def network_loss(
    layers: Sequence[Layer],
    weights: Weights,
    x: Array,
    target: Array,
    groups: Groups,
    loss: str = "categorical_crossentropy",
    element_weights: ArrayLike = 1.0,
    row_weights: ArrayLike = 1.0,
) -> tuple[Any, Weights]:
    """Return the loss of a network whose last layer, an identity, a softmax follows, and its gradients."""
    weights = {name: reference.widen(w) for name, w in weights.items()}
    trace = reference.forward(layers, weights, x)
    z = trace.z[layers[-1].name]
    value, dz, _ = loss_and_gradient(z, target, groups, loss, element_weights, row_weights)
    return value, reference.backward(layers, weights, trace, dz)[0]
