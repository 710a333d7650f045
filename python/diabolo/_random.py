"""What the user's `random_state` means: one 64-bit seed for the core, and the choice of validation rows."""

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from diabolo._core import Rows
from diabolo._validation import Integer, Rule, broken


class RandomState(Rule):
    """None, an int, or one of numpy's generators of random numbers."""

    description = "None, an int >= 0 (below 2^63), a numpy.random.Generator or a numpy.random.RandomState"

    def convert(self, value: object) -> Any:
        if value is None or isinstance(value, (np.random.Generator, np.random.RandomState)):
            return value
        return Integer(0).convert(value)


def seed_from(random_state: Any) -> int:
    """Return a 64-bit seed: fresh for None, the int itself, or a draw from the generator (which moves on)."""
    if random_state is None:
        return int.from_bytes(os.urandom(8), "little")
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**64, dtype=np.uint64))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**64, dtype=np.uint64))
    return int(random_state)


def random_split(count: int, chosen: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the sorted indices that remain and those of a random subset of `chosen` of `count` rows."""
    # The legacy generator, because NumPy promises never to change the numbers it gives.
    random = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    is_chosen = np.zeros(count, dtype=bool)
    is_chosen[random.permutation(count)[:chosen]] = True
    remaining, subset = np.flatnonzero(~is_chosen), np.flatnonzero(is_chosen)
    return remaining.astype(np.int64, copy=False), subset.astype(np.int64, copy=False)


def split_rows(owner: str, p: Any, rows: Rows, seed: int) -> tuple[Rows, Rows | None]:
    """Return the rows to train on and those that `validation_fraction` sets aside."""
    if p.validation_fraction == 0:
        return rows, None
    count = rows.count
    if count < 2:
        raise broken(owner, "validation_fraction", "0 when X has a single row", p.validation_fraction)
    chosen = min(max(1, math.floor(count * p.validation_fraction + 0.5)), count - 1)
    if p.shuffle is not True:
        return rows.slice(0, count - chosen), rows.slice(count - chosen, count)
    training, validation = random_split(count, chosen, seed)
    return rows.take(training), rows.take(validation)
