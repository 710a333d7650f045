"""What classifiers and regressors refuse, and what a failed or interrupted fit leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_helpers import digest
from diabolo import (
    InvalidDataError,
    InvalidParameterError,
    NotFittedError,
    TrainingDivergedError,
)
from supervised_helpers import blobs, classifier, linear, regressor


def test_before_fit() -> None:
    X, _ = blobs()
    for method in ("predict", "transform", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(classifier(), method)(X)


@pytest.mark.parametrize(
    ("y", "changes", "message"),
    [
        (None, {}, "fit requires y to be passed, but the target y is None"),
        (np.zeros(3, dtype=int), {}, "y must have an entry for each of the 300 rows. Got 3 entries"),
        (np.zeros(300, dtype=int), {}, "y must have at least two classes. Got one class, .*0"),
        (
            np.full(300, -1),
            {"unlabelled": -1},
            "y must have at least one labelled row. Got unlabelled=-1 in all",
        ),
        (
            np.arange(300) % 2 * 2 - 1,
            {"unlabelled": -1},
            "y must have at least two classes. Got one class, .*1.*, and unlabelled=-1, which means",
        ),
        (np.linspace(0, 1, 300), {}, "y must hold classes. .*Unknown label type: continuous"),
        (np.where(np.arange(300) == 7, np.nan, 1.0), {}, "y must not contain NaN.* at row 7"),
        (np.zeros((300, 2), dtype=int), {}, "y must be 1-D"),
        (np.zeros(300, dtype=complex), {}, "y must hold integers, bools or strings. Got dtype complex128"),
        (np.array(["a", 1, None] * 100, dtype=object), {}, "y must hold labels of one type"),
    ],
)
def test_labels_that_cannot_be_used(y: Any, changes: dict[str, Any], message: str) -> None:
    X, good = blobs()
    fitted = classifier(epochs=1).fit(X, good)
    before = digest(fitted.get_weights())
    with pytest.raises(InvalidDataError, match=f"AutoEncoderClassifier: {message}"):
        fitted.set_params(**changes).fit(X, y)
    assert digest(fitted.get_weights()) == before


@pytest.mark.parametrize(
    ("y", "changes", "message"),
    [
        (
            np.full(300, np.nan),
            {"allow_unlabelled": True},
            "y must have at least one labelled row. Got NaN in all",
        ),
        (np.full(300, np.inf), {"allow_unlabelled": True}, "y must not contain NaN, infinity"),
        (np.full(300, 1e39), {}, "y must not contain NaN, infinity or what overflows float32"),
        (np.zeros((300, 2, 2)), {}, r"y must be 1-D, \(rows,\), or 2-D"),
        (np.zeros((300, 0)), {}, r"y must be 1-D, \(rows,\), or 2-D"),
        (np.zeros(2), {}, "y must have an entry for each of the 300 rows"),
        (["a"] * 300, {}, "y must hold real numbers"),
    ],
)
def test_values_that_cannot_be_used(y: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=f"AutoEncoderRegressor: {message}"):
        regressor(**changes).fit(linear()[0], y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder": 3}, "autoencoder must be None or an autoencoder such as diabolo.AutoEncoder. Got 3"),
        ({"loss": "mae"}, "loss must be one of 'categorical_crossentropy', 'hinge', 'mse'. Got 'mae'"),
        ({"unlabelled": 1.5}, "unlabelled must be None, an int or a str. Got 1.5"),
        ({"head_layer_sizes": 3}, "head_layer_sizes must be a sequence of ints"),
        ({"epochs": 0}, "epochs must be an int >= 1. Got 0"),
        ({"early_stopping": True}, "early_stopping must be False unless validation_fraction > 0"),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"AutoEncoderClassifier: {message}"):
        classifier(**changes).fit(*blobs())


def test_bad_rows_are_found_before_the_pretraining() -> None:
    X, y = blobs()
    X[4, 2] = np.nan
    with pytest.raises(
        InvalidDataError, match=r"AutoEncoderClassifier: X must not contain NaN.* row 4, column 2"
    ):
        classifier().fit(X, y)


def test_divergence_leaves_it_as_it_was() -> None:
    X, y = blobs()
    fitted = classifier(epochs=1).fit(X, y)
    before = digest(fitted.get_weights())
    fitted.set_params(learning_rate=1e38, optimizer="sgd", epochs=5)
    with pytest.raises(TrainingDivergedError, match="AutoEncoderClassifier: training diverged"):
        fitted.fit(X, y)
    assert digest(fitted.get_weights()) == before


def test_interrupted_fine_tuning_keeps_the_last_epoch() -> None:
    X, y = blobs()

    class Interrupting:
        def on_epoch_end(self, state: Any) -> None:
            if len(state.history["loss"]) == 2:
                raise KeyboardInterrupt

    fitted = classifier(callbacks=[Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, y)
    assert fitted.stop_reason_ == "interrupted"
    assert fitted.n_iter_ == 2
    assert fitted.predict(X).shape == (300,)
