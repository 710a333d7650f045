"""What all sides share: the rows and the weights they start from."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Layer = tuple[Array, Array]  # kernel (inputs, outputs), bias (outputs,)

SEED = 0
IMAGE_FEATURES = 784


def load_rows(features: int, rows: int, batch_size: int, data: Path | None) -> Array:
    """Return rows in [0, 1], in whole batches: MNIST's training images if the network fits them, else noise.

    `data` is `mnist.npz` as Keras distributes it; without it, and for other widths, the numbers are uniform
    and random. Images are repeated if more are asked for than there are.
    """
    if data is None or features != IMAGE_FEATURES:
        return np.random.default_rng(SEED).random((rows, features), dtype=np.float32)
    with np.load(data) as arrays:
        images = arrays["x_train"]
    images = images.reshape(len(images), -1)
    count = min(rows, len(images)) // batch_size * batch_size if rows <= 2 * len(images) else rows
    chosen = np.resize(np.arange(len(images)), count)
    X: Array = np.divide(images[chosen], np.float32(255), dtype=np.float32)
    return X


def initial_weights(widths: Sequence[int], seed: int) -> list[Layer]:
    """Return kernels drawn as He et al. do, and zero biases."""
    random = np.random.default_rng(seed)
    weights = []
    for inputs, outputs in itertools.pairwise(widths):
        limit = np.float32(np.sqrt(6.0 / inputs))
        kernel = (random.random((inputs, outputs), dtype=np.float32) * 2 - 1) * limit
        weights.append((kernel, np.zeros(outputs, dtype=np.float32)))
    return weights


def reconstruction(weights: Sequence[Layer], X: Array) -> Array:
    """Return what the network makes of X: relu in the hidden layers, sigmoid at the output."""
    for index, (kernel, bias) in enumerate(weights):
        X = X @ kernel + bias
        if index < len(weights) - 1:
            X = np.maximum(X, 0)
    return np.asarray(1 / (1 + np.exp(-X)), dtype=np.float32)


class Shuffler:
    """The order of an epoch's rows: a new permutation each time, or always as they stand."""

    def __init__(self, rows: int, *, shuffle: bool) -> None:
        self._order = np.arange(rows)
        self._random = np.random.default_rng(SEED) if shuffle else None

    def __call__(self) -> npt.NDArray[np.int64]:
        if self._random is not None:
            self._random.shuffle(self._order)
        return self._order
