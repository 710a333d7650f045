"""How much each row counts: weights that a user hands in, checked, and carried by the rows."""

from typing import Any

import numpy as np

from diabolo._inputs import Table
from diabolo._types import Float64Array
from diabolo.exceptions import InvalidDataError

# Beside the greatest weight: what is smaller would be lost in float32 many times over.
_NEGLIGIBLE = 1e-30


def checked_weights_of_rows(owner: str, sample_weight: Any, rows: int) -> Float64Array | None:
    """Return weights of the rows in float64, the greatest of them 1; None for None.

    Raises InvalidDataError for anything but one finite number >= 0 for each row, one of them > 0 at least.
    """
    if sample_weight is None:
        return None

    def refuse(rule: str, found: str) -> InvalidDataError:
        return InvalidDataError(f"{owner}: sample_weight must {rule}. Got {found}.")

    try:
        weights = np.asarray(sample_weight)
        if weights.dtype.kind == "O":
            weights = weights.astype(np.float64)
    except (ValueError, TypeError) as error:
        found = f"{type(sample_weight).__name__}, of which NumPy says: {error}"
        raise refuse("hold real numbers", found) from None
    if weights.dtype.kind not in "biuf":
        raise refuse("hold real numbers", f"dtype {weights.dtype}")
    if weights.shape != (rows,):
        raise refuse(f"have one weight for each row, shape ({rows},)", f"shape {weights.shape}")
    weights = weights.astype(np.float64)
    for rule, is_bad in (
        ("be finite", ~np.isfinite(weights)),
        ("not be negative", weights < 0),
    ):
        if is_bad.any():
            row = int(is_bad.argmax())
            raise refuse(rule, f"{weights[row]} for row {row}")
    greatest = weights.max()
    if greatest == 0:
        raise refuse("not be 0 for all rows", f"{rows} zeros")
    weights /= greatest
    weights[weights < _NEGLIGIBLE] = 0.0
    return weights


def weighted(table: Table, sample_weight: Any) -> Table:
    """Return the table with weights (None: without), and without the rows whose weight is 0."""
    weights = checked_weights_of_rows(table.owner, sample_weight, table.rows.count)
    if weights is None:
        return table
    assert table.selected is None  # the core finds a row's weight by its number in the source
    with_weights = table._replace(rows=table.rows.weighted(weights))
    counting = np.flatnonzero(weights)
    return with_weights if len(counting) == len(weights) else with_weights.take(counting.astype(np.int64))
