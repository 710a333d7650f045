"""The oracle for contractive autoencoders: the loss of a batch with a penalty on the code's Jacobian, and its
gradients, in float64.

Rifai, Vincent, Muller, Glorot and Bengio, "Contractive auto-encoders", ICML 2011. The directions in which the
Jacobian is taken are given, so all is a plain function of the weights, which may be complex as in
reference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import reference
from reference import ACTIVATIONS, Array, Branches, Layer, Trace, Weights

STEP = 1e-30


# f''(z) = imag f'(z + ih) / h: exact, for f' is analytic on each side of a kink.
def second_derivative(layer: Layer, z: Array, positive: Array | None, slope: Array | None) -> Array:
    """Return the second derivative of a layer's activation, for real z."""
    moved = ACTIVATIONS[layer.activation].derivative(z + STEP * 1j, positive, slope)
    return np.imag(moved) / STEP


def all_directions(rows: int, features: int) -> Array:
    """Return the unit vectors (rows, features, features): with them the norm of the Jacobian is exact."""
    return np.broadcast_to(np.eye(features), (rows, features, features))


# t_0 = u;   q_l = t_{l-1} W_l;   t_l = f'(z_l) q_l
def tangents(
    encoder: Sequence[Layer], weights: Weights, up: Trace, directions: Array, branches: Branches
) -> tuple[list[Array], list[Array]]:
    """Return the products q and the tangents t, from t_0 on, each (rows, directions, outputs)."""
    products: list[Array] = []
    t = [directions]
    for layer in encoder:
        derivative = ACTIVATIONS[layer.activation].derivative(
            up.z[layer.name], branches.positive.get(layer.name), weights.get(f"{layer.name}.slope")
        )
        products.append(t[-1] @ weights[f"{layer.name}.kernel"])
        t.append(derivative[:, None, :] * products[-1])
    return products, t


def squared_norms(
    encoder: Sequence[Layer], weights: Weights, x: Array, directions: Array | None = None
) -> Array:
    """Return the sum over directions u of |J u|^2, for each row; by default the squared norm of J."""
    weights = {name: reference.widen(w) for name, w in weights.items()}
    up = reference.forward(encoder, weights, x)
    along = all_directions(*x.shape) if directions is None else directions
    return np.sum(tangents(encoder, weights, up, along, Branches())[1][-1] ** 2, axis=(1, 2))


# L = reconstruction + weight mean over rows of sum over directions u of |J u|^2.   Back from
#   dt_L = 2 weight t_L / n:   dq = dt f'(z)    dz += sum over u of dt q f''(z)    dW += t_{l-1}^T dq
#   dt_{l-1} = dq W^T          prelu: dslope += dt q where z <= 0
# and dz goes down through the encoder like any other gradient.
def loss_and_gradients(
    encoder: Sequence[Layer],
    decoder: Sequence[Layer],
    weights: Weights,
    x: Array,
    loss: str,
    weight: float,
    directions: Array | None = None,
    branches: Branches | None = None,
) -> tuple[Any, Any, Weights]:
    """Return the loss, its reconstruction part, and the gradients."""
    branches = branches or Branches()
    weights = {name: reference.widen(w) for name, w in weights.items()}
    x = reference.widen(x)
    up = reference.forward(encoder, weights, x, branches)
    down = reference.forward(decoder, weights, up.y[encoder[-1].name], branches)
    value, dy = reference.reconstruction(decoder[-1], down, x, loss, branches.loss)
    gradients, dcode = reference.backward(
        decoder, weights, down, dy, branches, from_z=reference.LOSSES[loss].reads_pre_activation
    )
    below, _ = reference.backward(encoder, weights, up, dcode, branches)
    gradients = {name: gradients[name] + below[name] for name in gradients}

    along = all_directions(*x.shape) if directions is None else directions
    products, t = tangents(encoder, weights, up, along, branches)
    penalty = weight * np.sum(t[-1] ** 2) / len(x)
    if any(np.iscomplexobj(w) for w in weights.values()):
        return value + penalty, value, gradients  # a complex step asks for the loss alone
    dt = 2.0 * weight * t[-1] / len(x)
    for index in reversed(range(len(encoder))):
        layer = encoder[index]
        positive = branches.positive.get(layer.name)
        slope = weights.get(f"{layer.name}.slope")
        z, q, kernel = up.z[layer.name], products[index], f"{layer.name}.kernel"
        dq = dt * ACTIVATIONS[layer.activation].derivative(z, positive, slope)[:, None, :]
        dz = np.sum(dt * q, axis=1) * second_derivative(layer, z, positive, slope)
        if layer.activation == "prelu":
            of_slope = np.where(reference.branch_taken(z, positive), 0.0, np.sum(dt * q, axis=1))
            gradients[f"{layer.name}.slope"] += of_slope.sum(axis=0)
        gradients[kernel] += np.einsum("rui,ruo->io", t[index], dq)
        through, _ = reference.backward(encoder[: index + 1], weights, up, dz, branches, from_z=True)
        gradients = {name: gradients[name] + through[name] for name in gradients}
        dt = dq @ weights[kernel].T
    return value + penalty, value, gradients
