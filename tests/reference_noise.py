"""The oracle's random numbers: Philox4x32-10 in NumPy, and what layers make of its words.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

TRAINING, VALIDATION, INFERENCE = 5, 6, 7  # the streams of random.h


# Ten rounds:  (c0, c1, c2, c3) <- (high(M1 c2) ^ c1 ^ k0, low(M1 c2), high(M0 c0) ^ c3 ^ k1, low(M0 c0)),
# after each of which k0 += 0x9E3779B9 and k1 += 0xBB67AE85.
def philox(counter: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return the blocks (..., 4) of these counters (..., 4), all 32-bit words in 64-bit integers."""
    c = [counter[..., i] for i in range(4)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & mask,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & mask,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1)


# Element (r, c) has word c mod 64 / 16 of block ((first_row + r) ceil(columns / 64) + c / 64) 16 + c mod 16.
def words(
    rows: int, columns: int, seed: int, stream: int, step: int = 0, layer: int = 0, first_row: int = 0
) -> NDArray[np.uint64]:
    """Return the 32-bit word (rows, columns) of each element of a layer's noise."""
    r, c = np.meshgrid(np.arange(first_row, first_row + rows), np.arange(columns), indexing="ij")
    block = ((r * -(-columns // 64) + c // 64) * 16 + c % 16).astype(np.uint64)
    counter = np.empty((rows, columns, 4), dtype=np.uint64)
    counter[..., 0] = block & np.uint64(0xFFFFFFFF)
    counter[..., 1] = block >> np.uint64(32)
    counter[..., 2] = step
    counter[..., 3] = stream | layer << 8
    return np.take_along_axis(philox(counter, seed), (c % 64 // 16)[..., None], axis=-1)[..., 0]


def bits(word: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the upper 24 bits n of words; (n + 1/2) / 2^24 is uniform in (0, 1)."""
    return (word >> np.uint64(8)).astype(np.int64)


def normal(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the normal quantiles of words' uniform numbers."""
    return np.asarray(ndtri((bits(word) + 0.5) / 2.0**24))


# gaussian: x + amount normal.   masking: 0 where n < fraction 2^24.   salt_and_pepper: there the lowest bit.
def corrupted(
    x: NDArray[Any], kind: str, amount: float, word: NDArray[np.uint64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the rows with noise, and where they have it."""
    if kind == "gaussian":
        return x + amount * normal(word), np.ones(x.shape, dtype=bool)
    where = bits(word) < round(amount * 2**24)
    value = (word & np.uint64(1)).astype(np.float64) if kind == "salt_and_pepper" else 0.0
    return np.where(where, value, x), where
