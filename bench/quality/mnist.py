"""What the MNIST scripts share: the images as float32 in [0, 1], runs over seeds, and their summary."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Estimator = TypeVar("Estimator")


class Digits(NamedTuple):
    train: Float32Array  # (60000, 784)
    test: Float32Array  # (10000, 784)


class Labels(NamedTuple):
    train: npt.NDArray[np.int64]  # (60000,)
    test: npt.NDArray[np.int64]  # (10000,)


class Run(NamedTuple):
    """One fit, and its error on the test images."""

    seed: int
    error: float
    seconds: float


def load(path: Path) -> Digits:
    """Read `mnist.npz` as Keras distributes it: arrays x_train and x_test of uint8 images, 28 by 28."""
    with np.load(path) as arrays:
        return Digits(*(_rows(arrays[name]) for name in ("x_train", "x_test")))


def load_labels(path: Path) -> Labels:
    """Read the digits that the images show: arrays y_train and y_test of the same file."""
    with np.load(path) as arrays:
        return Labels(*(arrays[name].astype(np.int64) for name in ("y_train", "y_test")))


def _rows(images: npt.NDArray[np.uint8]) -> Float32Array:
    return np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)


def parser(description: str, epochs: int | None) -> argparse.ArgumentParser:
    """Return a parser of what all the scripts take; epochs None: each case has its own."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("data", type=Path, help="mnist.npz: x_train and x_test, uint8")
    result.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    result.add_argument(
        "--epochs",
        type=int,
        default=epochs,
        help="default: the case's" if epochs is None else "default %(default)s",
    )
    result.add_argument("--n-jobs", type=int, default=None)
    result.add_argument("--verbose", type=int, default=0, choices=(0, 1, 2))
    return result


def run_seeds(
    name: str,
    make: Callable[[int], Estimator],
    digits: Digits,
    error: Callable[[Estimator, Float32Array], float],
    seeds: list[int],
    *,
    watch: bool = False,
    labels: Labels | None = None,
) -> list[Run]:
    """Train once per seed, to the end; the test images have no say in when it stops or what is kept.

    With `watch`, their loss is computed after each epoch, for `verbose` to show. With `labels`, the
    estimators are trained to tell them.
    """
    runs = []
    for seed in seeds:
        start = time.perf_counter()
        y = () if labels is None else (labels.train,)
        estimator: Any = make(seed)
        estimator.fit(digits.train, *y, X_val=digits.test if watch else None)
        seconds = time.perf_counter() - start
        runs.append(Run(seed, error(estimator, digits.test), seconds))
        print(f"{name}, seed {seed}: {runs[-1].error:.5f} after {seconds:.0f} s", flush=True)
    return runs


def summary(runs: list[Run], digits: int) -> str:
    """Return mean and range of the runs' errors."""
    errors = [run.error for run in runs]
    mean = f"{statistics.fmean(errors):.{digits}f}"
    if len(errors) == 1:
        return f"{mean} (seed {runs[0].seed} alone)"
    return f"{mean} ({min(errors):.{digits}f} to {max(errors):.{digits}f}, {len(errors)} seeds)"
