"""The central rows of a table: those to train on where others may be outliers."""

import math

import numpy as np

from diabolo import _core
from diabolo._inputs import Table

# Rows to compare with the centre at a time: the buffer stays in the cache, and X is never copied whole.
_ROWS_AT_A_TIME = 4096
# Rows that the centre is found from: their medians are known to half a hundredth of a standard deviation.
_ROWS_FOR_CENTRE = 1 << 16


def central_rows(table: Table, fraction: float) -> Table:
    """Return the rows with the smallest mean distance from the medians, in standard deviations."""
    if fraction == 1:
        return table
    _, deviations, _ = table.rows.column_moments(_core.usable_threads())
    scales = np.where(deviations > 0, deviations, 1.0)
    count = table.rows.count
    spaced = np.arange(0, count, -(-count // _ROWS_FOR_CENTRE), dtype=np.int64)
    medians = np.median(table.take(spaced).block(0, len(spaced)), axis=0)
    distances = np.empty(count)
    for begin in range(0, count, _ROWS_AT_A_TIME):
        block = table.block(begin, min(begin + _ROWS_AT_A_TIME, count))
        block -= medians
        block /= scales
        np.abs(block, out=block)
        distances[begin : begin + len(block)] = block.mean(axis=1)
    kept = np.sort(np.argsort(distances, kind="stable")[: max(1, math.floor(count * fraction))])
    return table.take(kept.astype(np.int64, copy=False))
