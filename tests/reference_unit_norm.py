"""The oracle for vectors of a kernel that training keeps at norm 1 (Gao et al., arXiv:2406.04093, 2024)."""

from __future__ import annotations

import numpy as np

import reference
from reference import Array, Weights


class UnitNorm:
    """An optimiser's step between two others: u is a vector of a kernel, g its gradient.

    g <- g - (g . u) / (u . u) u;   the step, whose gradients may be clipped first;   u <- u / |u|
    """

    def __init__(
        self, optimizer: reference.Optimizer, kernel: str, axis: int, clip_norm: float | None = None
    ) -> None:
        self.optimizer = optimizer
        self.kernel, self.along = kernel, 1 - axis  # `axis` counts the vectors
        self.clip_norm = clip_norm

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        u, g = weights[self.kernel], gradients[self.kernel]
        share = self._sums(g * u) / self._sums(u * u)
        gradients = {**gradients, self.kernel: g - share * u}
        if self.clip_norm is not None:
            gradients, _ = reference.clip_by_global_norm(gradients, self.clip_norm)
        updated = self.optimizer.update(weights, gradients, rate)
        moved = updated[self.kernel]
        return {**updated, self.kernel: moved / np.sqrt(self._sums(moved * moved))}

    def _sums(self, values: Array) -> Array:
        return np.sum(values, axis=self.along, keepdims=True)
