"""Shift and scale of each feature, from the training rows; applying them is the core's."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from diabolo._core import Rows
from diabolo._fitted import Scaler
from diabolo._types import Float64Array


def fit_scaler(scale: str | None, rows: Rows, threads: int) -> Scaler | None:
    """Return the shift and the scale for "standard" or "minmax"; None for None."""
    if scale is None:
        return None
    if scale == "minmax":
        return _minmax(*rows.column_ranges(threads))
    return _standard(*rows.column_moments(threads))


def fit_scaler_of_blocks(scale: str | None, blocks: Iterable[Rows], threads: int) -> Scaler | None:
    """Return the same for rows that come in blocks.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979: how the moments of blocks are joined.
    """
    if scale is None:
        return None
    if scale == "minmax":
        low: Any = math.inf
        high: Any = -math.inf
        for rows in blocks:
            block_low, block_high = rows.column_ranges(threads)
            low, high = np.minimum(low, block_low), np.maximum(high, block_high)
        return _minmax(low, high)
    weight: Any = 0.0
    mean: Any = 0.0
    squares: Any = 0.0
    for rows in blocks:
        block_mean, deviation, block_weight = rows.column_moments(threads)
        share = block_weight / np.maximum(weight + block_weight, 1e-300)  # 0 where nothing is known yet
        difference = block_mean - mean
        squares = squares + deviation**2 * block_weight + difference**2 * (weight * share)
        mean = mean + difference * share
        weight = weight + block_weight
    return _standard(mean, np.sqrt(squares / np.maximum(weight, 1e-300)), weight)


def without_groups(scaler: Scaler, groups: Iterable[tuple[int, int]]) -> Scaler:
    """Return the scaler with the columns of these ranges left alone: probabilities are no quantities."""
    shift, scale = (array.copy() for array in scaler)
    for begin, end in groups:
        shift[begin:end], scale[begin:end] = 0.0, 1.0
    return shift, scale


def _minmax(low: Float64Array, high: Float64Array) -> Scaler:
    low = np.where(np.isfinite(low), low, 0.0)  # infinite where nothing was observed
    extent = high - low
    return low, np.where(extent > 0, extent, 1.0)


def _standard(mean: Float64Array, deviation: Float64Array, weight: Float64Array) -> Scaler:
    # A constant column's computed deviation may be a rounding error of the mean instead of 0; dividing by it
    # would blow up noise. (The bound is the one scikit-learn uses.)
    epsilon = np.finfo(np.float64).eps * weight
    variance = deviation**2
    is_constant = variance <= epsilon * variance + (epsilon * mean) ** 2
    return mean, np.where(is_constant, 1.0, deviation)
