"""Small classifiers and regressors that several tests train, and rows for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from diabolo import (
    AutoEncoder,
    AutoEncoderClassifier,
    AutoEncoderRegressor,
)


def blobs(rows: int = 300, classes: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Return rows around as many centres as classes, and their classes."""
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, size=rows)
    centres = 2.5 * np.random.default_rng(1).normal(size=(classes, 6))
    return (centres[y] + random.normal(size=(rows, 6))).astype(np.float32), y


def encoder(**changes: Any) -> AutoEncoder:
    return AutoEncoder(8, **{"code_activation": "relu", "epochs": 3, "random_state": 0, **changes})


def classifier(**changes: Any) -> AutoEncoderClassifier:
    settings = {"epochs": 30, "batch_size": 16, "learning_rate": 5e-3, "random_state": 0}
    return AutoEncoderClassifier(**{"autoencoder": encoder(), **settings, **changes})


def regressor(**changes: Any) -> AutoEncoderRegressor:
    settings = {"epochs": 60, "batch_size": 16, "learning_rate": 5e-3, "random_state": 0}
    return AutoEncoderRegressor(**{"autoencoder": encoder(), **settings, **changes})


def linear(rows: int = 300, seed: int = 0) -> tuple[Any, Any]:
    X, _ = blobs(rows, seed=seed)
    return X, 1000.0 + 50.0 * X[:, 0] - 30.0 * X[:, 3]
