"""The oracle for the dead units of a k-sparse code, which learn from what the reconstruction leaves unsaid.

Gao et al., "Scaling and evaluating sparse autoencoders", arXiv:2406.04093, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import reference
import reference_sparse
from reference import Array, Layer, Weights


class RowsSinceActive:
    """For each unit, the rows since it was active; it is dead once they are `dead_after`."""

    def __init__(self, units: int, dead_after: int) -> None:
        self.counts = np.zeros(units, dtype=np.int64)
        self.dead_after = dead_after

    def dead_after_batch(self, active: Array) -> Array:
        """Count the rows of a batch, active (rows, units); return which units are dead then, (units,)."""
        self.counts = np.where(active.any(axis=0), 0, self.counts + len(active))
        return self.counts >= self.dead_after


class Held(NamedTuple):
    """What counts as a constant in the auxiliary loss's gradient."""

    residual: Array  # (rows, features)
    chosen: Array  # (rows, units): the greatest dead ones


# e = x - y,  y the reconstruction;   e' = (the chosen dead units' activities) W,  W the decoder's kernel
# A = sum over rows of |e - e'|^2 / sum over rows of |e|^2,   e held;   0 where no unit is dead
#   dA/de' = 2 (e' - e) / sum |e|^2
# L = reconstruction + weight A
def loss_and_gradients(
    encoder: Sequence[Layer],
    decoder: Layer,
    weights: Weights,
    x: Array,
    mask: Array,
    dead: Array,
    k: int,
    weight: float,
    held: Held | None = None,
) -> tuple[Any, Any, Any, Weights, Held]:
    """Return the loss, its reconstruction part, the auxiliary loss, the gradients, and what was held."""
    weights = {name: reference.widen(w) for name, w in weights.items()}
    up = reference.forward(encoder, weights, x)
    activities = up.y[encoder[-1].name]
    down = reference.forward([decoder], weights, np.where(mask, activities, 0.0))
    value, dy = reference.reconstruction(decoder, down, reference.widen(x), "mse", None)
    gradients, dcode = reference.backward([decoder], weights, down, dy)
    dcode = np.where(mask, dcode, 0.0)

    if held is None:
        among_dead = np.where(dead, activities.real, -np.inf)
        chosen = reference_sparse.kept_by_top_k(among_dead, k) & dead
        held = Held(x - down.y[decoder.name].real, chosen)
    size = np.sum(held.residual**2) if held.chosen.any() else np.inf
    kernel = reference.kernel_of(decoder, weights)
    code = np.where(held.chosen, activities, 0.0)
    difference = code @ kernel - held.residual
    auxiliary = np.sum(difference**2) / size
    by_difference = 2.0 * weight * difference / size
    owner, term = (decoder.name, code.T @ by_difference)
    if decoder.tied_to is not None:
        owner, term = decoder.tied_to, term.T
    gradients[f"{owner}.kernel"] = gradients[f"{owner}.kernel"] + term
    dcode = dcode + np.where(held.chosen, by_difference @ kernel.T, 0.0)

    below, _ = reference.backward(encoder, weights, up, dcode)
    gradients = {name: gradients[name] + below[name] for name in gradients}
    return value + weight * auxiliary, value, auxiliary, gradients, held
