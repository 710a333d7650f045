"""scikit-learn's own checks, and its company: frames, pipelines, searches in threads and in processes."""

import concurrent.futures
import copy
import pickle
import subprocess
import sys
import threading
import warnings
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from diabolo import (
    AutoEncoder,
    AutoEncoderClassifier,
    AutoEncoderRegressor,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    ReconstructionOutlierDetector,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
    _running_fits,
)
from estimator_helpers import estimator

# Each estimator as the checks train it: briefly, on one thread of a machine that runs other tests. By SGD,
# for a weight of k is compared with k copies, to 1e-7: in float32 that is to the last bit, and Adam makes
# as large a step of a gradient's rounding error as of a gradient.
ESTIMATORS = [
    AutoEncoder(2, epochs=2, optimizer="sgd", random_state=0),
    ContractiveAutoEncoder(2, epochs=2, optimizer="sgd", random_state=0),
    DenoisingAutoEncoder(2, epochs=2, random_state=0),
    SparseAutoEncoder(2, epochs=2, optimizer="sgd", random_state=0),
    VariationalAutoEncoder(2, epochs=2, random_state=0),
    StackedAutoEncoder(
        2, hidden_layer_sizes=(3,), epochs=2, pretraining_epochs=1, optimizer="sgd", random_state=0
    ),
    ReconstructionOutlierDetector(AutoEncoder(2, epochs=2, random_state=0)),
    AutoEncoderClassifier(AutoEncoder(16, code_activation="relu", epochs=2), epochs=60, batch_size=8),
    AutoEncoderRegressor(AutoEncoder(16, code_activation="relu", epochs=2), epochs=60, batch_size=8),
]

# scikit-learn runs these on its own transformers; they are not among the checks for everyone.
CHECKS_OF_OUTPUTS = [
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_dataframe_column_names_consistency",
    "check_n_features_in_after_fitting",
]


def briefly(estimator: Any) -> Any:
    """Return a classifier or regressor that learns as little, by as small steps, as the autoencoders above.

    To learn something it needs hundreds of steps, whose rounding in float32 shows in the seventh digit.
    """
    autoencoder = clone(estimator.autoencoder).set_params(optimizer="sgd", epochs=2)
    return clone(estimator).set_params(autoencoder=autoencoder, optimizer="sgd", epochs=2, batch_size=256)


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return the checks that cannot pass, with the reason why."""
    if not isinstance(estimator, (DenoisingAutoEncoder, VariationalAutoEncoder)):
        return {}
    # The noise of a row depends on its place among the rows: k copies get k noises, a weight of k gets one.
    reason = "draws noise for each row"
    return {f"check_sample_weight_equivalence_on_{rows}_data": reason for rows in ("dense", "sparse")}


with warnings.catch_warnings():
    # Collecting the checks warns of classes without BaseEstimator, which ours do without on purpose.
    warnings.filterwarnings("ignore", ".*BaseEstimator")
    marker = parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
    # A list, which pytest wants: scikit-learn 1.6 hands it a generator.
    all_checks = pytest.mark.parametrize(marker.args[0], list(marker.args[1]), **marker.kwargs)


@all_checks
@pytest.mark.filterwarnings("error::sklearn.exceptions.SkipTestWarning")  # nothing is skipped
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    supervised = isinstance(estimator, (AutoEncoderClassifier, AutoEncoderRegressor))
    if supervised and "sample_weight_equivalence" in check.func.__name__:
        estimator = briefly(estimator)
    check(estimator)


@pytest.mark.parametrize("name", CHECKS_OF_OUTPUTS)
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")  # which they provoke
def test_checks_of_scikit_learns_transformers(name: str) -> None:
    ae = ESTIMATORS[0]
    getattr(estimator_checks, name)(type(ae).__name__, clone(ae))


def test_the_checks_would_notice() -> None:
    """Or a change of their machinery might let everything pass."""

    class Forgetful(AutoEncoder):
        def transform(self, X: Any) -> Any:
            return super().transform(X)[:-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = estimator_checks.check_estimator(Forgetful(2, epochs=1), on_fail=None, on_skip=None)
    assert [r["check_name"] for r in results if r["status"] == "failed"]


# ---- Inputs ----


def test_objects_that_are_numbers(X: Any) -> None:
    expected = estimator().fit(X.astype(np.float64))
    ae = estimator().fit(X.astype(object))
    np.testing.assert_array_equal(ae.transform(X.astype(object)), expected.transform(X.astype(np.float64)))
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].astype(object)})
    np.testing.assert_array_equal(
        estimator().fit(frame).transform(frame),
        estimator().fit(frame.astype(np.float64)).transform(frame.astype(np.float64)),
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"foo": "bar"}, "must be a string or a real number, not 'dict'"),
        (1j, "must be a string or a real number, not 'complex'"),
        ("many", "could not convert string to float: 'many'"),
        (10**400, "too large"),
        (None, "must not contain NaN or infinity"),
    ],
)
def test_objects_that_are_no_numbers(value: object, words: str, X: Any) -> None:
    objects = X.astype(object)
    objects[3, 2] = value
    with pytest.raises(InvalidDataError, match=words):
        estimator().fit(objects)
    with pytest.raises(InvalidDataError, match=f"in column 'b'.*{words}" if value is not None else words):
        estimator().fit(pd.DataFrame({"a": X[:, 0], "b": objects[:, 2]}))


# ---- Frames as outputs ----


def test_set_output(X: Any) -> None:
    ae = estimator().fit(X)
    codes = ae.transform(X)
    frame = pd.DataFrame(X, index=np.arange(200) + 1000, columns=[f"f{i}" for i in range(6)])
    with_names = estimator().fit(frame).set_output(transform="pandas")
    out = with_names.transform(frame)
    assert list(out.columns) == ["autoencoder0", "autoencoder1"] == list(with_names.get_feature_names_out())
    assert (out.index == frame.index).all()
    np.testing.assert_array_equal(out.to_numpy(), codes)
    out = ae.set_output(transform="polars").transform(X)
    assert isinstance(out, pl.DataFrame)
    np.testing.assert_array_equal(out.to_numpy(), codes)
    assert ae.set_output().transform(X).equals(out)
    for twin in (clone(ae).fit(X), pickle.loads(pickle.dumps(ae)), copy.deepcopy(ae)):
        assert isinstance(twin.transform(X), pl.DataFrame)
    assert isinstance(ae.set_output(transform="default").transform(X), np.ndarray)
    # The other results stay what they are.
    assert isinstance(with_names.reconstruct(frame), np.ndarray)
    np.testing.assert_array_equal(with_names.inverse_transform(codes), ae.reconstruct(X))


def test_set_output_refuses_others(X: Any) -> None:
    ae = estimator().set_output(transform="pandas")
    with pytest.raises(InvalidParameterError, match=r"transform must be one of .* Got 'arrow'"):
        ae.set_output(transform="arrow")  # type: ignore[arg-type]
    assert isinstance(ae.fit_transform(X), pd.DataFrame)


def test_get_feature_names_out_refuses_other_features(X: Any) -> None:
    ae = estimator().fit(X)
    assert list(ae.get_feature_names_out([f"f{i}" for i in range(6)])) == ["autoencoder0", "autoencoder1"]
    with pytest.raises(InvalidDataError, match=r"input_features should have length .*\(6\), got 2"):
        ae.get_feature_names_out(["a", "b"])


def test_in_a_column_transformer(X: Any) -> None:
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)])
    mixed = ColumnTransformer(
        [("codes", estimator(), ["f0", "f1", "f2"]), ("rest", "passthrough", ["f3"])],
    ).set_output(transform="pandas")
    out = mixed.fit_transform(frame)
    assert list(out.columns) == ["codes__autoencoder0", "codes__autoencoder1", "rest__f3"]


# ---- Notebooks ----


def test_html_of_a_pipeline(X: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), estimator())
    assert "AutoEncoder" in pipeline._repr_html_()
    bundle = estimator()._repr_mimebundle_()
    assert bundle["text/plain"].startswith("AutoEncoder(")
    assert "hidden_layer_sizes" in bundle["text/html"]
    assert estimator()._repr_html_().startswith("<style>")
    with sklearn.config_context(display="text"):
        assert "text/html" not in estimator()._repr_mimebundle_()
        assert not hasattr(estimator(), "_repr_html_")


def test_html_without_scikit_learn() -> None:
    code = """if True:
        import sys, diabolo
        text = diabolo.AutoEncoder(7, activation="<gelu>")._repr_mimebundle_()["text/html"]
        assert "n_components</td><td>7<" in text and "&lt;gelu&gt;" in text and "(not fitted)" in text
        assert "sklearn" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- Searches ----

GRID = {
    "autoencoder__n_components": [1, 2, 3],
    "autoencoder__activation": ["relu", "tanh"],
    "autoencoder__learning_rate": [1e-3, 1e-2],
    "autoencoder__batch_size": [32, 64],
}


def search(X: Any, **changes: Any) -> Any:
    pipeline = make_pipeline(StandardScaler(), AutoEncoder(epochs=2, random_state=0))
    return GridSearchCV(pipeline, GRID, cv=2, error_score="raise", **changes).fit(X)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_parallel_search_gives_the_same_result(backend: str, X: Any) -> None:
    expected = search(X)
    assert len(expected.cv_results_["params"]) == 24
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = search(X)
    assert found.best_params_ == expected.best_params_
    scores, expected_scores = (s.cv_results_["mean_test_score"] for s in (found, expected))
    np.testing.assert_array_equal(scores, expected_scores)
    best, other = found.best_estimator_[-1].get_weights(), expected.best_estimator_[-1].get_weights()
    assert all(np.array_equal(best[name], other[name]) for name in best)


def test_fits_in_threads_share_the_processors(X: Any, monkeypatch: Any) -> None:
    from diabolo import _core, _network_estimator

    monkeypatch.setattr(_core, "usable_threads", lambda: 8)
    together = threading.Barrier(4)
    chosen: list[int] = []
    original = _network_estimator.new_trainer

    def spy(p: Any, model: Any, rows: Any, validation: Any, seed: int, threads: int, **options: Any) -> Any:
        chosen.append(threads)
        return original(p, model, rows, validation, seed, threads, **options)

    monkeypatch.setattr(_network_estimator, "new_trainer", spy)
    monkeypatch.setattr(_running_fits, "fair_share", waiting_for(together, _running_fits.fair_share))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: estimator().fit(X), range(4)))
    assert chosen == [2, 2, 2, 2]
    monkeypatch.undo()
    monkeypatch.setattr(_core, "usable_threads", lambda: 8)
    monkeypatch.setattr(_network_estimator, "new_trainer", spy)
    estimator().fit(X)
    estimator(n_jobs=3).fit(X)  # what the user says is done
    assert chosen[4:] == [8, 3]


def waiting_for(barrier: threading.Barrier, original: Any) -> Any:
    def fair_share(threads: int) -> int:
        barrier.wait(30)  # until all are running
        share = original(threads)
        barrier.wait(30)
        return share

    return fair_share


def test_processes_of_joblib_share_the_processors(monkeypatch: Any) -> None:
    from diabolo import _core

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = 3  # other processes than the last test's, which keep their environment
    with joblib.parallel_config(backend="loky", n_jobs=jobs):
        threads = joblib.Parallel()(joblib.delayed(_core.usable_threads)() for _ in range(jobs))
    assert set(threads) == {max(1, joblib.cpu_count() // jobs)}


# ---- Several threads, one estimator ----


def test_two_threads_cannot_fit_one_estimator(X: Any, monkeypatch: Any) -> None:
    from diabolo import _network_estimator

    entered, leave = threading.Event(), threading.Event()
    original = _network_estimator.new_trainer

    def slow(*arguments: Any, **options: Any) -> Any:
        entered.set()
        assert leave.wait(30)
        return original(*arguments, **options)

    monkeypatch.setattr(_network_estimator, "new_trainer", slow)
    ae = estimator()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(ae.fit, X)
        assert entered.wait(30)
        with pytest.raises(RuntimeError, match="AutoEncoder: fit must not be called while this"):
            ae.fit(X)
        assert not pickle.loads(pickle.dumps(ae)).__sklearn_is_fitted__()
        leave.set()
        assert fitting.result(60) is ae
    monkeypatch.undo()
    np.testing.assert_array_equal(ae.transform(X), estimator().fit(X).transform(X))
    with pytest.raises(InvalidDataError):
        ae.fit(X * np.nan)
    ae.fit(X)  # a fit that failed is over as well
    assert not _running_fits._running


def test_many_threads_predict_the_same_bits(X: Any) -> None:
    ae = estimator(n_components=3, hidden_layer_sizes=(64,)).fit(X)
    many = np.tile(X, (20, 1))
    expected = ae.transform(many), ae.reconstruct(many), ae.score_samples(many)

    def predict(_: int) -> bool:
        results = ae.transform(many), ae.reconstruct(many), ae.score_samples(many)
        return all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(predict, range(64)))
