"""The epoch benchmark compares equal work: both sides, from the same weights, go through the same losses."""

import numpy as np
import pytest

from epoch import AGREEMENT, BATCH_SIZE, DiaboloSide, NumpySide


@pytest.mark.parametrize("widths", [(20, 7, 20), (32, 16, 8, 16, 32)], ids=str)
def test_sides_do_the_same_work(widths: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).random((3 * BATCH_SIZE + 40, widths[0]), dtype=np.float32)
    ours, theirs = (side(widths, X, threads=1, shuffle=False) for side in (DiaboloSide, NumpySide))
    for _ in range(20):
        assert ours.epoch() == pytest.approx(theirs.epoch(), rel=AGREEMENT)
