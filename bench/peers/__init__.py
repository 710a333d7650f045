"""The peers: each library trains and applies the same networks in the strongest form that it offers.

A module per library, with

    forms(precision)            the ways of writing a training step that are tried; the fastest is reported
    facts()                     versions and settings, for the record
    trainer(form, task)         a Trainer
    reconstructors(task)        ways from rows (an ndarray) to their reconstructions (an ndarray), by name;
                                the weights are those that training starts from
    DIFFERS                     if not empty: in what its work is not the others', which is then not checked

Importing a module imports its library. Nobody does but `worker.py`, in a process of its own for each.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from data import Array

LIBRARIES = ("diabolo", "numpy", "torch", "jax", "keras", "sklearn", "pyod")

LEARNING_RATE = 1e-3
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

Reconstruct = Callable[[Array], Array]


class Task(NamedTuple):
    """What a process is to do."""

    widths: tuple[int, ...]
    batch_size: int
    threads: int
    precision: str = "float32"
    isa: str | None = None  # the switches are in the environment; this is for those who have none there


class Trainer(Protocol):
    """A network in training, in one form."""

    def start(self, X: Array, *, shuffle: bool) -> None:
        """Begin anew with the initial weights and these rows, a whole number of batches."""

    def epoch(self) -> float:
        """Train one epoch, each row once; return the mean loss as the weights changed."""
