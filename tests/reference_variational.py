"""The oracle for variational autoencoders: the evidence lower bound of a batch and its gradients, in float64.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014. The noise is given, so all is a plain
function of the weights, which may be complex as in reference.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import reference
from reference import Array, Layer, Weights

BOUND = 10.0  # of log-variances


# s = 10 tanh(v / 10),   ds/dv = 1 - tanh(v / 10)^2
def bounded(v: Array) -> tuple[Array, Array]:
    """Return a log-variance of its parameter, and its derivative."""
    t = np.tanh(v / BOUND)
    return BOUND * t, 1.0 - t * t


# KL(N(m, e^s) || N(0, 1)) = (m^2 + e^s - 1 - s) / 2
def divergence(m: Array, s: Array) -> Array:
    """Divergence of each unit's distribution from the standard normal one."""
    return 0.5 * (m * m + np.expm1(s) - s)


# -log N(t; y, e^s) = (log 2 pi + s + d^2 e^-s) / 2,  d = y - t:  d e^-s in y,  (1 - d^2 e^-s) / 2 in s
def gaussian(y: Array, t: Array, v: Array) -> tuple[Array, Array, Array]:
    """Return minus the log-density of each element, and its derivatives in y and in v."""
    s, slope = bounded(v)
    d = y - t
    value = 0.5 * (math.log(2.0 * math.pi) + s + d * d * np.exp(-s))
    return value, d * np.exp(-s), 0.5 * (1.0 - d * d * np.exp(-s)) * slope


# L = mean over rows of  sum over features of -log p(x | z)  +  beta sum over units of KL
# with z = m + e^(s/2) noise.
# With free bits F, the second term is beta sum over units of max(F, mean over rows of KL).
#   dL/dm = dL/dz + beta c m / n      dL/ds = dL/dz e^(s/2) noise / 2 + beta c (e^s - 1) / (2 n)
# with c = 1, or 0 for a unit whose mean divergence is within its free bits.
def negative_elbo(
    encoder: Sequence[Layer],
    decoder: Sequence[Layer],
    weights: Weights,
    x: Array,
    noise: Array,
    likelihood: str,
    beta: float = 1.0,
    free_bits: float = 0.0,
    learned: bool = True,
) -> tuple[Any, Any, Weights]:
    """Return the loss, its reconstruction part, and the gradient in every weight.

    Parameters
    ----------
    encoder, decoder : sequences of Layer
        The last of the encoder gives means and log-variances.
    weights : dict of arrays
        With the decoder's last layer's "log_variance" if the likelihood is "gaussian".
    x : array of shape (rows, features)
    noise : array of shape (rows, units)
        Standard normal.
    likelihood : {"gaussian", "bernoulli"}
    beta, free_bits : float
    learned : bool
        Whether the variance of the outputs has a gradient.
    """
    weights = {name: reference.widen(w) for name, w in weights.items()}
    rows, units = noise.shape
    up = reference.forward(encoder, weights, x)
    moments = up.y[encoder[-1].name]
    m = moments[:, :units]
    s, slope = bounded(moments[:, units:])
    z = m + np.exp(0.5 * s) * noise

    down = reference.forward(decoder, weights, z)
    last = decoder[-1].name
    dv = None
    if likelihood == "bernoulli":
        value = reference.binary_crossentropy(down.z[last], x, None)
        dy = reference.binary_crossentropy_derivative(down.z[last], x, None)
    else:
        value, dy, dv = gaussian(down.y[last], x, weights[f"{last}.log_variance"])
    reconstruction = np.sum(value) / rows

    kl = np.sum(divergence(m, s), axis=0) / rows  # (units,)
    costs = kl.real > free_bits
    penalty = beta * np.sum(np.where(costs, kl, free_bits))

    gradients, dz = reference.backward(decoder, weights, down, dy / rows, from_z=likelihood == "bernoulli")
    factor = beta * costs / rows
    dm = dz + factor * m
    ds = 0.5 * dz * np.exp(0.5 * s) * noise + 0.5 * factor * np.expm1(s)
    below, _ = reference.backward(encoder, weights, up, np.concatenate([dm, ds * slope], axis=1))
    gradients = {name: gradients[name] + below[name] for name in gradients}
    if dv is not None and learned:
        gradients[f"{last}.log_variance"] = np.sum(dv, axis=0) / rows
    return reconstruction + penalty, reconstruction, gradients
