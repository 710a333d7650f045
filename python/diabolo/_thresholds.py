"""Thresholds on errors: by the share of outliers, by a conformal quantile, by the tail of the errors."""

import math

import numpy as np

from diabolo._pareto_tail import fit_tail
from diabolo._types import Float64Array
from diabolo.exceptions import InvalidDataError

THRESHOLDS = ("contamination", "quantile", "pareto")


def error_threshold(
    owner: str, threshold: str, contamination: float, tail_fraction: float, errors: Float64Array
) -> float:
    """Return the error above which rows are outliers, chosen by the errors of some rows.

    Raises InvalidDataError if these are too few.
    """
    count = len(errors)
    if threshold == "contamination":
        return -float(np.percentile(-errors, 100 * contamination))
    if threshold == "quantile":
        # With n exchangeable errors, a new one exceeds the k-th smallest with probability 1 - k / (n + 1).
        rank = math.ceil((count + 1) * (1 - contamination))
        if rank > count:
            least = math.ceil(1 / contamination) - 1
            raise InvalidDataError(
                f"{owner}: at least {least} rows must be held out for contamination={contamination:g} when "
                f"threshold='quantile' (or take threshold='pareto'). Got {count}."
            )
        return float(np.partition(errors, rank - 1)[rank - 1])
    tail = fit_tail(errors, tail_fraction)
    if tail is None:
        raise InvalidDataError(
            f"{owner}: at least {math.ceil(10 / tail_fraction)} rows, with different errors, must be held "
            f"out for tail_fraction={tail_fraction:g} when threshold='pareto'. Got {count}."
        )
    return tail.quantile(min(contamination, tail.fraction))
