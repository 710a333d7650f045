"""Weights of rows of classifiers and regressors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core_helpers import digest
from diabolo import AutoEncoderClassifier, InvalidDataError
from supervised_helpers import blobs, classifier, encoder, linear, regressor

COUNTS = np.random.default_rng(3).integers(0, 4, 300)
STEADY: dict[str, Any] = {"optimizer": "sgd", "batch_size": 1024, "learning_rate": 0.1, "epochs": 10}


def of_both_kinds(labelled: str, **changes: Any) -> list[tuple[Any, Any, Any]]:
    """Return classifier and regressor, each with rows and their y, a third of it unknown on demand."""
    unknown = np.arange(300) % 3 == 0 if labelled == "two thirds" else np.zeros(300, dtype=bool)
    (X, classes), (_, values) = blobs(), linear()
    return [
        (classifier(unlabelled=-1, **changes), X, np.where(unknown, -1, classes)),
        (regressor(allow_unlabelled=True, **changes), X, np.where(unknown, np.nan, values)),
    ]


@pytest.mark.parametrize("labelled", ["all", "two thirds"])
def test_a_weight_of_k_is_k_copies(labelled: str) -> None:
    """Of scaling, pretraining, the scale of y and fine-tuning; rows of weight 0 may hold anything."""
    copies = np.repeat(np.arange(300), COUNTS)
    steady = encoder(scale="standard", optimizer="sgd", batch_size=1024)
    for one, X, y in of_both_kinds(labelled, autoencoder=steady, **STEADY):
        expected = clone(one).fit(X[copies], y[copies])
        unweighted = clone(one).fit(X, y)
        spoilt, odd = X.copy(), y.copy()
        spoilt[COUNTS == 0] = np.nan
        odd[COUNTS == 0] = 77 if isinstance(one, AutoEncoderClassifier) else np.inf
        for scale in (1, 0.01):
            got = clone(one).fit(spoilt, odd, sample_weight=COUNTS * scale)
            for name, weights in got.get_weights().items():
                np.testing.assert_allclose(weights, expected.get_weights()[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(got.history_["loss"], expected.history_["loss"], rtol=1e-5)
            assert abs(got.history_["loss"][-1] / unweighted.history_["loss"][-1] - 1) > 1e-3
        if isinstance(one, AutoEncoderClassifier):
            np.testing.assert_array_equal(got.classes_, [0, 1, 2])
        transformed = clone(one).fit_transform(X, y, sample_weight=COUNTS)
        np.testing.assert_array_equal(transformed, got.transform(X))


def test_equal_weights_change_no_bit() -> None:
    for one, X, y in of_both_kinds("two thirds", epochs=3):
        expected = clone(one).fit(X, y)
        got = clone(one).fit(X, y, sample_weight=np.full(300, 0.25))
        assert digest(got.get_weights()) == digest(expected.get_weights())
        np.testing.assert_array_equal(got.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(299), r"have one weight for each row, shape \(300,\). Got shape \(299,\)"),
        (np.full(300, -1.0), "not be negative. Got -1.0 for row 0"),
        (np.full(300, np.nan), "be finite. Got nan for row 0"),
        (np.zeros(300), "not be 0 for all rows"),
    ],
)
def test_weights_that_cannot_be_used(weights: Any, message: str) -> None:
    for one, X, y in of_both_kinds("all", epochs=1):
        fitted = clone(one).fit(X, y)
        before = digest(fitted.get_weights())
        name = type(one).__name__
        for method in (fitted.fit, fitted.score):
            with pytest.raises(InvalidDataError, match=f"{name}: sample_weight must {message}"):
                method(X, y, sample_weight=weights)
        assert digest(fitted.get_weights()) == before


def test_weights_leave_too_few_classes() -> None:
    X, y = blobs()
    with pytest.raises(InvalidDataError, match=r"y must have at least two classes\. Got one class, np.int64"):
        classifier().fit(X, y, sample_weight=y == 1)


def test_weights_are_routed() -> None:
    """Also to no one: pipelines with routing refuse to score what cannot be asked for weights."""
    with sklearn.config_context(enable_metadata_routing=True):
        unweighted = StandardScaler().set_fit_request(sample_weight=False)
        for one, X, y in of_both_kinds("all", epochs=2):
            plain = make_pipeline(clone(unweighted), clone(one)).fit(X, y)
            scaled = plain[0].transform(X)
            assert plain.score(X, y) == plain[-1].score(scaled, y)
            with pytest.raises(ValueError, match=r"sample_weight.* not explicitly set as requested"):
                plain.fit(X, y, sample_weight=COUNTS)
            expected = clone(one).fit(scaled, y, sample_weight=COUNTS)
            asking = clone(one).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            pipeline = make_pipeline(clone(unweighted), asking).fit(X, y, sample_weight=COUNTS)
            assert digest(pipeline[-1].get_weights()) == digest(expected.get_weights())
            weighted = expected.score(scaled, y, COUNTS)
            assert pipeline.score(X, y, sample_weight=COUNTS) == weighted != expected.score(scaled, y)
            search = GridSearchCV(clone(asking), {"epochs": [2]}, cv=2, error_score="raise")
            found = search.fit(scaled, y, sample_weight=COUNTS).best_estimator_
            assert digest(found.get_weights()) == digest(expected.get_weights())
            assert not hasattr(one, "set_partial_fit_request")
