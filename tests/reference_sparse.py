"""The oracle for sparse autoencoders: penalties on activities, k-sparse codes, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import reference
from reference import Array, Branches, Layer, Weights

EDGE = 1e-6  # mean activities are kept from 0 and 1 by this


# sum over units of  rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r));   in r:  (1 - rho)/(1 - r) - rho/r
def divergence(r: Array, rho: float) -> tuple[Any, Array]:
    """Return the divergence of mean activities (units,) from rho, summed, and its gradient."""
    r = np.where(r.real < EDGE, EDGE, np.where(r.real > 1.0 - EDGE, 1.0 - EDGE, r))
    value = np.sum(rho * np.log(rho / r) + (1.0 - rho) * np.log((1.0 - rho) / (1.0 - r)))
    return value, (1.0 - rho) / (1.0 - r) - rho / r


def kept_by_top_k(y: Array, k: int) -> Array:
    """Return where the k greatest of each row stand; of equals, the first."""
    order = np.argsort(-y.real, axis=1, kind="stable")
    mask = np.zeros(y.shape, dtype=bool)
    np.put_along_axis(mask, order[:, :k], True, axis=1)
    return mask


# L = reconstruction + l1 mean over rows of sum |y| + kl sum over units of KL(rho || r),  y the code
#   dL/dy = dL/dy of the decoder + l1 sign(y) / n + kl KL'(r) / n,   r the mean of y or a running mean
# With a mask, the decoder gets y where it is true and 0 elsewhere.
def loss_and_gradients(
    encoder: Sequence[Layer],
    decoder: Sequence[Layer],
    weights: Weights,
    x: Array,
    loss: str,
    l1: float = 0.0,
    kl: float = 0.0,
    rho: float = 0.05,
    mask: Array | None = None,
    running: tuple[float, Array] | None = None,
    branches: Branches | None = None,
) -> tuple[Any, Any, Weights, Array]:
    """Return the loss, its reconstruction part, the gradients, and the mean activities.

    `running` is the decay and the mean activities before this batch.
    """
    weights = {name: reference.widen(w) for name, w in weights.items()}
    rows = len(x)
    up = reference.forward(encoder, weights, x, branches)
    y = up.y[encoder[-1].name]
    code = y if mask is None else np.where(mask, y, 0.0)
    down = reference.forward(decoder, weights, code, branches)
    value, dy = reference.reconstruction(decoder[-1], down, reference.widen(x), loss, None)
    gradients, dcode = reference.backward(
        decoder, weights, down, dy, branches, from_z=reference.LOSSES[loss].reads_pre_activation
    )
    if mask is not None:
        dcode = np.where(mask, dcode, 0.0)

    r = np.mean(y, axis=0)
    if running is not None:
        r = running[0] * running[1] + (1.0 - running[0]) * r
    penalty = l1 * np.sum(np.sign(y.real) * y) / rows
    dcode = dcode + l1 * np.sign(y.real) / rows
    if kl > 0.0:
        value_kl, slope = divergence(r, rho)
        penalty = penalty + kl * value_kl
        dcode = dcode + kl * slope / rows
    below, _ = reference.backward(encoder, weights, up, dcode, branches)
    gradients = {name: gradients[name] + below[name] for name in gradients}
    return value + penalty, value, gradients, r


# A unit that was active in no row of the batch keeps its weights beside the code, and their moments.
class LazyAdam(reference.Adam):
    """Adam for top-k codes that leaves units without a gradient alone, as lazy or sparse Adam elsewhere."""

    def __init__(self, into_code: str, out_of_code: str | None = None) -> None:
        super().__init__()
        self.into_code, self.out_of_code = into_code, out_of_code  # names of kernels; None: tied
        self.active: Array = np.empty(0, dtype=bool)  # (units,): of the batch at hand

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        before = {
            name: tuple(moment.get(name, np.zeros_like(w)) for moment in (self.m, self.v))
            for name, w in weights.items()
        }
        updated = super().update(weights, gradients, rate)
        for name, active in (
            (self.into_code, self.active[None, :]),
            (self.out_of_code, self.active[:, None]),
        ):
            if name is None:
                continue
            self.m[name] = np.where(active, self.m[name], before[name][0])
            self.v[name] = np.where(active, self.v[name], before[name][1])
            updated[name] = np.where(active, updated[name], weights[name])
        return updated
