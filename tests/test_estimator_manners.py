"""AutoEncoder with scikit-learn's manners: parameters, copies, pipelines, what a fit leaves alone."""

import copy
import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import diabolo
from diabolo import Adam, AutoEncoder
from estimator_helpers import estimator, same_weights

FITTED = ["history_", "n_iter_", "n_features_in_", "feature_names_in_", "stop_reason_"]


def test_init_only_stores() -> None:
    ae = AutoEncoder(0, hidden_layer_sizes=[0], activation=3, optimizer=object)  # type: ignore[arg-type]
    parameters = inspect.signature(AutoEncoder).parameters
    assert vars(ae).keys() == parameters.keys() == ae.get_params().keys()
    assert ae.activation == 3


def test_get_and_set_params() -> None:
    ae = AutoEncoder().set_params(n_components=5, loss="mae")
    assert ae.get_params(deep=False)["n_components"] == 5
    with pytest.raises(
        ValueError, match=r"(?s)Invalid parameter 'foo' for estimator AutoEncoder\(.*Valid parameters"
    ):
        ae.set_params(epochs=1, foo=2)
    assert ae.epochs == 50


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(AutoEncoder()) == "AutoEncoder()"
    ae = AutoEncoder(5, hidden_layer_sizes=(3,), optimizer=diabolo.SGD(), n_jobs=2)
    optimizer = "SGD(momentum=0.0, nesterov=False)"
    assert (
        repr(ae) == f"AutoEncoder(n_components=5, hidden_layer_sizes=(3,), optimizer={optimizer}, n_jobs=2)"
    )
    ae = AutoEncoder(hidden_layer_sizes=np.array([1, 2]))
    assert repr(ae) == "AutoEncoder(hidden_layer_sizes=array([1, 2]))"


def test_before_fit(X: Any) -> None:
    ae = estimator()
    for name in FITTED:
        assert not hasattr(ae, name)
    import sklearn.exceptions

    for call in (
        lambda: ae.transform(X),
        lambda: ae.inverse_transform(X),
        lambda: ae.reconstruct(X),
        lambda: ae.reconstruction_error(X),
        lambda: ae.score_samples(X),
        lambda: ae.score(X),
        ae.get_weights,
        lambda: ae.set_weights({}),
        lambda: ae.save("/nowhere/model.safetensors"),
        lambda: ae.history_,
    ):
        with pytest.raises(
            diabolo.NotFittedError, match="This AutoEncoder instance is not fitted yet"
        ) as error:
            call()
        assert isinstance(error.value, sklearn.exceptions.NotFittedError)
        assert isinstance(pickle.loads(pickle.dumps(error.value)), diabolo.NotFittedError)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(ae)
    check_is_fitted(ae.fit(X))


def test_not_fitted_without_scikit_learn() -> None:
    code = """if True:
        import sys, diabolo
        try:
            diabolo.AutoEncoder().get_weights()
        except diabolo.NotFittedError as error:
            assert type(error) is diabolo.NotFittedError and isinstance(error, (ValueError, AttributeError))
        assert not {"sklearn", "scipy", "pandas", "polars", "tqdm", "numpy.ma"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_clone_pickle_and_copy(X: Any) -> None:
    ae = estimator(optimizer=Adam(beta_1=0.8), hidden_layer_sizes=[5], scale="minmax").fit(X)
    fresh = clone(ae)
    assert fresh.get_params() == ae.get_params()
    assert not fresh.__sklearn_is_fitted__()
    assert same_weights(fresh.fit(X), ae)
    for twin in (pickle.loads(pickle.dumps(ae)), copy.deepcopy(ae), copy.copy(ae)):
        assert twin.get_params() == ae.get_params()
        assert twin.history_ == ae.history_
        assert twin.stop_reason_ == ae.stop_reason_
        np.testing.assert_array_equal(twin.reconstruct(X), ae.reconstruct(X))
        twin.set_params(epochs=1).fit(X)
        assert ae.n_iter_ == 3
    assert not pickle.loads(pickle.dumps(estimator())).__sklearn_is_fitted__()


def test_prediction_changes_nothing(X: Any) -> None:
    ae = estimator().fit(X)
    before = dict(vars(ae))
    ae.transform(X), ae.score(X), ae.reconstruct(X), ae.get_weights()
    assert vars(ae) == before


def test_refit_starts_afresh(X: Any) -> None:
    ae = estimator().fit(X[:, :3])
    assert same_weights(ae.fit(X), estimator().fit(X))
    assert ae.n_features_in_ == 6


def test_parameters_set_after_fit_change_no_result(X: Any) -> None:
    ae = estimator(loss="mae", scale="minmax").fit(X)
    errors = ae.reconstruction_error(X, metric="loss")
    ae.set_params(loss="mse", scale=None, n_components=1, epochs=0)
    np.testing.assert_array_equal(ae.reconstruction_error(X, metric="loss"), errors)


def test_pipeline(X: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), estimator())
    codes = pipeline.fit_transform(X, np.zeros(200))
    np.testing.assert_array_equal(pipeline.transform(X), codes)
    assert pipeline.inverse_transform(codes).shape == X.shape
    assert pipeline.score(X) < 0
