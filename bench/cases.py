"""The benchmark's cases: networks, batches, how many rows, what a step costs, and the ratios to reach."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

# What diabolo may be asked for, and which precision of its peers each is set beside.
PRECISIONS = {"float32": "float32", "bfloat16_3x": "float32", "bfloat16": "bfloat16"}


class Case(NamedTuple):
    widths: tuple[int, ...]
    batch_size: int
    rows: int  # of an epoch: a multiple of the batch, so that no peer needs a second compiled step
    targets: dict[str, float]  # by precision: times the best peer, on an idle machine

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths))


# Rows: about half a second an epoch for NumPy on one thread, which with 784 features is also more than most
# caches hold.
CASES = {
    "a": Case((784, 64, 784), 256, 160 * 256, {"float32": 2.2, "bfloat16_3x": 3.0, "bfloat16": 5.0}),
    "b": Case(
        (784, 512, 256, 64, 256, 512, 784),
        256,
        32 * 256,
        {"float32": 1.35, "bfloat16_3x": 2.0, "bfloat16": 2.4},
    ),
    "c": Case(
        (784, 1000, 500, 250, 30, 250, 500, 1000, 784),
        256,
        16 * 256,
        {"float32": 1.25, "bfloat16_3x": 1.7, "bfloat16": 1.7},
    ),
    "d": Case((32, 16, 8, 16, 32), 256, 512 * 256, {"float32": 4.0}),
    "D": Case((32, 16, 8, 16, 32), 32, 2048 * 32, {"float32": 7.0}),
    "e": Case((784, 400, 20, 400, 784), 128, 96 * 128, {"float32": 1.8, "bfloat16_3x": 2.3, "bfloat16": 4.0}),
}


def multiplications(widths: Sequence[int]) -> int:
    """Return the multiplications of one row's way through the network: one for each kernel weight."""
    return sum(inputs * outputs for inputs, outputs in itertools.pairwise(widths))


def parameters(widths: Sequence[int]) -> int:
    return multiplications(widths) + sum(widths[1:])


def training_operations(widths: Sequence[int]) -> int:
    """Return the multiplications and additions of a row's matrix products in training.

    Forward, weight gradient and, but for the first layer, input gradient.
    """
    return 6 * multiplications(widths) - 2 * multiplications(widths[:2])


def compulsory_bytes(widths: Sequence[int], batch_size: int) -> float:
    """Return the bytes that a row's share of a training step cannot do without, wherever they lie.

    The row is read once; weights and both of Adam's moments are read and written once a step.
    """
    return 4.0 * widths[0] + 24.0 * parameters(widths) / batch_size
