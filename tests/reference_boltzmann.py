"""The oracle of restricted Boltzmann machines: contrastive divergence in NumPy float64, and its training.

Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.
Weights are those of a tied autoencoder: "encoder.0.kernel" (visible, hidden), "encoder.0.bias" (hidden,),
"decoder.0.bias" (visible,). Binary units are "sigmoid", normal ones of unit variance "identity".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import reference
import reference_noise

Array = NDArray[Any]


def expected(z: Array, unit: str) -> Array:
    """Return the expected states of units with total input z."""
    return reference.sigmoid(z) if unit == "sigmoid" else z


# A unit that is on with probability p is so where n < p 2^24, n the upper 24 bits of its word.
def drawn(mean: Array, unit: str, word: NDArray[np.uint64]) -> Array:
    """Return states of units with these expectations."""
    if unit == "sigmoid":
        return (reference_noise.bits(word) < mean * 2.0**24).astype(np.float64)
    return mean + reference_noise.normal(word)


# h_0 = E[h | v_0];  k times  h ~ P(h),  v_t = E[v | h],  h_t = E[h | v_t].
# Minus the gradients of CD-k, means over rows:  W: v_0 h_0 - v_k h_k;  c: h_0 - h_k;  b: v_0 - v_k
def divergence(
    weights: dict[str, Array],
    v0: Array,
    visible: str,
    hidden: str,
    k: int,
    seed: int,
    step: int = 0,
    row_weights: Array | None = None,
) -> tuple[float, dict[str, Array]]:
    """Return the loss between v_0 and v_1, and the gradients that a descent subtracts.

    Rows count by `row_weights`, (rows,), whose mean is 1.
    """
    w, c, b = (
        np.asarray(weights[n], dtype=np.float64)
        for n in ("encoder.0.kernel", "encoder.0.bias", "decoder.0.bias")
    )
    v0 = v0.astype(np.float64)
    n, units = len(v0), w.shape[1]
    scale = np.ones((n, 1)) if row_weights is None else np.asarray(row_weights)[:, None]
    h0 = expected(v0 @ w + c, hidden)
    h, loss = h0, 0.0
    for t in range(1, k + 1):
        layer = 0 if t == 1 else t - 1  # the first states are drawn by the hidden layer, others above it
        word = reference_noise.words(n, units, seed, reference_noise.TRAINING, step, layer)
        z = drawn(h, hidden, word) @ w.T + b
        v = expected(z, visible)
        if t == 1:
            per_element = reference.softplus(z) - v0 * z if visible == "sigmoid" else (v - v0) ** 2
            loss = float(np.mean(scale * per_element))
        h = expected(v @ w + c, hidden)
    return loss, {
        "encoder.0.kernel": -(v0.T @ (scale * h0) - v.T @ (scale * h)) / n,
        "encoder.0.bias": -np.mean(scale * (h0 - h), axis=0),
        "decoder.0.bias": -np.mean(scale * (v0 - v), axis=0),
    }


# u <- momentum u - rate (g + decay w), the decay on kernels alone;  w <- w + u
def train(
    weights: dict[str, Array],
    batches: list[Array],
    visible: str,
    hidden: str,
    k: int,
    seed: int,
    rate: float,
    momenta: list[float],
    decay: float,
) -> dict[str, Array]:
    """Return the weights after a step for each batch, with a momentum for each."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    u = {name: np.zeros_like(value) for name, value in w.items()}
    for step, (rows, momentum) in enumerate(zip(batches, momenta, strict=True)):
        _, gradients = divergence(w, rows, visible, hidden, k, seed, step)
        for name in w:
            penalty = decay * w[name] if reference.is_kernel(name) else 0.0
            u[name] = momentum * u[name] - rate * (gradients[name] + penalty)
            w[name] = w[name] + u[name]
    return w
