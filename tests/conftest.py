"""Data that several tests share."""

import os

import numpy as np
import numpy.typing as npt
import pytest

# Read by SciPy when it is imported: without it scikit-learn skips one of its checks.
os.environ.setdefault("SCIPY_ARRAY_API", "1")


@pytest.fixture
def X() -> npt.NDArray[np.float32]:
    """Return 200 rows of 6 features in [0, 1] that depend on two hidden numbers, and some noise."""
    random = np.random.default_rng(7)
    hidden = random.normal(size=(200, 2))
    mixed = np.tanh(hidden @ random.normal(size=(2, 6))) + 0.05 * random.normal(size=(200, 6))
    low, high = mixed.min(axis=0), mixed.max(axis=0)
    return ((mixed - low) / (high - low)).astype(np.float32)
