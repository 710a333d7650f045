"""The tail of a sample beyond a high quantile, as a generalised Pareto distribution: fit and extrapolation.

The distribution function of the excess x >= 0 over the start of the tail, with shape k and scale s, is
``F(x) = 1 - (1 + k x / s) ** (-1 / k)``, and ``1 - exp(-x / s)`` for k = 0. That excesses over a high
threshold tend to it is the theorem of Pickands, Balkema and de Haan. All sums are exactly rounded, so that
the result does not depend on their order.
"""

import math
from typing import NamedTuple

import numpy as np

from diabolo._types import Float64Array

# Of Zhang and Stephens: the least number of points of the grid, and the width of the prior.
_GRID_POINTS = 30
_PRIOR = 3.0


class ParetoTail(NamedTuple):
    """Beyond `start`, which `fraction` of the sample exceed, excesses have this shape and scale."""

    start: float
    fraction: float
    shape: float
    scale: float

    def quantile(self, exceeded: float) -> float:
        """Return the value that is exceeded with this probability, at most `fraction`."""
        rarer = math.log(self.fraction / exceeded)
        if abs(self.shape * rarer) < 1e-9:  # where the other formula loses its digits
            return self.start + self.scale * rarer
        return self.start + self.scale / self.shape * math.expm1(self.shape * rarer)


def fit_tail(sample: Float64Array, fraction: float) -> ParetoTail | None:
    """Fit the upper tail of a sample; return None if it has fewer than ten values or is degenerate.

    Parameters
    ----------
    sample : ndarray of float64, shape (n,)
    fraction : float in (0, 1)
        The part of the sample that the tail is.

    References
    ----------
    J. Zhang and M. A. Stephens, "A new and efficient estimation method for the generalized Pareto
    distribution", Technometrics 51, 2009.
    """
    ordered = np.sort(sample)
    count = math.floor(len(ordered) * fraction)
    if not 10 <= count < len(ordered):
        return None
    start = float(ordered[-count - 1])
    excesses = ordered[-count:] - start
    quartile, largest = float(excesses[math.floor(count / 4 + 0.5) - 1]), float(excesses[-1])
    if quartile <= 0:
        return None
    theta = _posterior_mean(excesses, quartile, largest)
    shape = _shape(theta, excesses)
    return ParetoTail(start, count / len(ordered), shape, -shape / theta)


def _posterior_mean(excesses: Float64Array, quartile: float, largest: float) -> float:
    """Return the mean of theta = -shape / scale over a grid, weighted by its profile likelihood."""
    points = _GRID_POINTS + math.isqrt(len(excesses))
    grid = [1 / largest + (1 - math.sqrt(points / (j + 0.5))) / (_PRIOR * quartile) for j in range(points)]
    # No grid point is 0 in practice; there the likelihood has a removable singularity.
    grid = [theta for theta in grid if theta != 0]
    logs = [len(excesses) * _profile_log_likelihood(theta, excesses) for theta in grid]
    weights = [math.exp(log - max(logs)) for log in logs]
    return math.fsum(t * w for t, w in zip(grid, weights, strict=True)) / math.fsum(weights)


def _profile_log_likelihood(theta: float, excesses: Float64Array) -> float:
    """Return the log-likelihood of theta by excess, at the best shape for it."""
    shape = _shape(theta, excesses)
    return math.log(-theta / shape) - shape - 1


def _shape(theta: float, excesses: Float64Array) -> float:
    return math.fsum(np.log1p(-theta * excesses)) / len(excesses)
