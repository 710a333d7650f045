"""Shift and scale of each feature, from the training rows; applying them is the core's."""

import numpy as np

from diabolo._core import Rows
from diabolo._fitted import Scaler


def fit_scaler(scale: str | None, rows: Rows, threads: int) -> Scaler | None:
    """Return the shift and the scale for "standard" or "minmax"; None for None."""
    if scale is None:
        return None
    if scale == "minmax":
        low, high = rows.column_ranges(threads)
        extent = high - low
        return low, np.where(extent > 0, extent, 1.0)
    mean, deviation = rows.column_moments(threads)
    # A constant column's computed deviation may be a rounding error of the mean instead of 0; dividing by it
    # would blow up noise. (The bound is the one scikit-learn uses.)
    epsilon = np.finfo(np.float64).eps * rows.count
    variance = deviation**2
    is_constant = variance <= epsilon * variance + (epsilon * mean) ** 2
    return mean, np.where(is_constant, 1.0, deviation)
