"""ReconstructionOutlierDetector: thresholds, contributions, files, and what it refuses."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import diabolo
from diabolo import AutoEncoder, InvalidDataError, InvalidParameterError, ReconstructionOutlierDetector
from diabolo._central_rows import central_rows
from diabolo._inputs import as_table
from diabolo._pareto_tail import fit_tail
from estimator_helpers import estimator


def detector(**changes: Any) -> ReconstructionOutlierDetector:
    return ReconstructionOutlierDetector(**{"autoencoder": estimator(), "random_state": 0, **changes})


@pytest.fixture
def with_outliers() -> tuple[Any, Any]:
    """Return 600 rows of 8 features near a plane, and 30 off it but no farther out; and which these are."""
    random = np.random.default_rng(1)
    mixing = random.normal(size=(2, 8))
    inliers = random.normal(size=(600, 2)) @ mixing + 0.1 * random.normal(size=(600, 8))
    outliers = random.normal(size=(30, 8)) * inliers.std(axis=0)
    return np.vstack([inliers, outliers]), np.arange(630) >= 600


# ---- Scores ----


def test_finds_outliers(with_outliers: Any) -> None:
    X, is_outlier = with_outliers
    found = ReconstructionOutlierDetector(contamination=30 / 630, support_fraction=0.9, random_state=0).fit(X)
    assert roc_auc_score(is_outlier, -found.score_samples(X)) > 0.97
    assert ((found.predict(X) == -1) == is_outlier).mean() > 0.96


def test_scores_are_errors_of_the_autoencoder(X: Any) -> None:
    for metric, power in (("mse", 2), ("mae", 1)):
        found = detector(metric=metric).fit(X)
        errors = np.abs(found.autoencoder_.reconstruct(X).astype(np.float64) - X) ** power
        np.testing.assert_allclose(found.score_samples(X), -errors.mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(found.explain(X), errors / 6, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(found.explain(X).sum(axis=1), -found.score_samples(X), rtol=1e-5)
        assert found.score_samples(X).dtype == found.explain(X).dtype == np.float64
        np.testing.assert_array_equal(found.decision_function(X), found.score_samples(X) - found.offset_)
        np.testing.assert_array_equal(found.predict(X), np.where(found.decision_function(X) < 0, -1, 1))


@pytest.mark.parametrize("metric", ["mae", "mse"])
def test_a_row_beyond_all_numbers_is_an_outlier(metric: Any, X: Any) -> None:
    """Values near the end of float32 make infinities of both signs inside the network."""
    found = ReconstructionOutlierDetector(
        AutoEncoder(3, hidden_layer_sizes=(8,), epochs=2, random_state=0), metric=metric
    ).fit(X)
    far = np.tile(X[:1], (3, 1))
    far[0], far[1, ::2] = 3e38, -3e38
    with np.errstate(all="raise"):
        assert found.predict(far).tolist()[:2] == [-1, -1]
        assert found.score_samples(far).tolist()[:2] == [-np.inf, -np.inf]
    assert not np.isnan(found.explain(far)).any()
    assert not np.isnan(found.autoencoder_.reconstruction_error(far, metric="loss")).any()


def test_explain_names_the_feature(with_outliers: Any) -> None:
    X, is_outlier = with_outliers
    found = ReconstructionOutlierDetector(random_state=0).fit(X)
    spoilt = X[~is_outlier][:50].copy()
    spoilt[:, 5] += 8 * X[:, 5].std()
    assert (found.explain(spoilt).argmax(axis=1) == 5).mean() > 0.9


def test_trains_on_the_central_rows() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(10_000, 3)) * [1, 10, 100]
    X[:2000] += [5, 50, 500]
    distances = (np.abs(X - np.median(X, axis=0)) / X.std(axis=0)).mean(axis=1)
    expected = np.sort(np.argsort(distances, kind="stable")[:7000])
    for table in (X, pd.DataFrame(X), pd.DataFrame({"a": X[:, 0], "b": X[:, 1].copy(), "c": X[:, 2]})):
        kept = central_rows(as_table(table, "Test", "X"), 0.7)
        np.testing.assert_array_equal(kept.selected, expected)
        assert kept.rows.count == 7000
    one = detector(support_fraction=0.5).fit(X)
    keep = np.sort(np.argsort(distances, kind="stable")[:5000])
    np.testing.assert_array_equal(one.score_samples(X), -np.float64(mae(estimator().fit(X[keep]), X)))
    two = detector(support_fraction=1).fit(X)
    np.testing.assert_array_equal(two.score_samples(X), -np.float64(mae(estimator().fit(X), X)))


def mae(ae: AutoEncoder, X: Any) -> Any:
    return ae._row_errors(as_table(X, "Test", "X"), "mae")


# ---- Thresholds ----


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_contamination_holds_on_the_training_rows(contamination: float, X: Any) -> None:
    assert (detector(contamination=contamination).fit_predict(X) == -1).sum() == round(200 * contamination)


def test_quantile_of_held_out_rows(X: Any) -> None:
    found = detector(threshold="quantile", contamination=0.1).fit(X[:100], X_held_out=X[100:119])
    # The conformal rank: ceil(20 * 0.9) = 18 of 19.
    assert found.offset_ == np.sort(found.score_samples(X[100:119]))[1]
    # Held-out rows are not trained on.
    same = detector().fit(X[:100])
    np.testing.assert_array_equal(found.score_samples(X), same.score_samples(X))
    drawn = detector(threshold="quantile").fit(X)
    assert drawn.offset_ != detector(threshold="quantile", random_state=1).fit(X).offset_
    assert drawn.offset_ == detector(threshold="quantile").fit(X).offset_


def test_false_alarms_of_quantile_and_pareto(with_outliers: Any) -> None:
    random = np.random.default_rng(5)
    mixing = random.normal(size=(2, 8))

    def draw(count: int) -> Any:
        return random.normal(size=(count, 2)) @ mixing + 0.1 * random.normal(size=(count, 8))

    X, new = draw(5000), draw(20_000)
    for threshold, contamination in (("quantile", 0.05), ("pareto", 0.05), ("pareto", 0.002)):
        found = detector(threshold=threshold, contamination=contamination, held_out_fraction=0.4).fit(X)
        alarms = (found.predict(new) == -1).mean()
        assert 0.5 < alarms / contamination < 2


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4])
def test_pareto_tail_against_scipy(shape: float) -> None:
    sample = stats.genpareto.rvs(shape, scale=2.0, size=20_000, random_state=3)
    tail = fit_tail(sample, 0.5)
    assert tail is not None
    excesses = np.sort(sample)[10_000:] - tail.start
    likelihood = stats.genpareto.logpdf(excesses, tail.shape, scale=tail.scale).sum()
    best = stats.genpareto.logpdf(excesses, *stats.genpareto.fit(excesses, floc=0)).sum()
    assert likelihood > best - 0.1  # nats
    for exceeded in (0.5, 1e-2, 1e-5):
        quantile = tail.start + stats.genpareto.isf(exceeded / 0.5, tail.shape, scale=tail.scale)
        assert math.isclose(tail.quantile(exceeded), quantile, rel_tol=1e-9)
    shuffled = np.random.default_rng(0).permutation(sample)
    assert fit_tail(shuffled, 0.5) == tail


def test_pareto_tail_of_shape_zero() -> None:
    from diabolo._pareto_tail import ParetoTail

    assert math.isclose(ParetoTail(1.0, 0.1, 0.0, 2.0).quantile(0.001), 1 + 2 * math.log(100))
    assert math.isclose(ParetoTail(1.0, 0.1, 1e-13, 2.0).quantile(0.001), 1 + 2 * math.log(100))


def test_a_tail_without_a_shape() -> None:
    assert fit_tail(np.arange(99.0), 0.1) is None
    assert fit_tail(np.arange(100.0), 0.1) is not None
    assert fit_tail(np.ones(1000), 0.1) is None


# ---- What is refused ----


@pytest.mark.parametrize("contamination", [0, -0.1, 0.51, math.nan, math.inf, "auto", None, True])
def test_contamination_out_of_range(contamination: Any, X: Any) -> None:
    message = r"ReconstructionOutlierDetector: contamination must be a number in \(0, 0\.5\]\. Got "
    found = detector().fit(X)
    before = found.offset_
    with pytest.raises(InvalidParameterError, match=message):
        found.set_params(contamination=contamination).fit(X)
    assert found.offset_ == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder": "relu"}, "autoencoder must be None or an autoencoder .* Got 'relu'"),
        ({"autoencoder": AutoEncoder}, "autoencoder must be None or an autoencoder"),
        ({"threshold": "best"}, "threshold must be one of 'contamination', 'quantile', 'pareto'. Got 'best'"),
        ({"held_out_fraction": 1.0}, r"held_out_fraction must be a number in \(0, 1\)"),
        ({"tail_fraction": 0.6}, r"tail_fraction must be a number in \(0, 0.5\]"),
        ({"support_fraction": 0}, r"support_fraction must be a number in \(0, 1\]"),
        ({"metric": "huber"}, "metric must be one of 'mse', 'mae'"),
        ({"random_state": -1}, "random_state must be"),
        ({"threshold": "pareto", "contamination": 0.2}, "contamination must be at most tail_fraction=0.1"),
        ({"autoencoder": AutoEncoder(0)}, "AutoEncoder: n_components must be an int >= 1"),
    ],
)
def test_parameters_that_break_their_rules(changes: Any, message: str, X: Any) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        detector(**changes).fit(X)


def test_too_few_rows_to_hold_out(X: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"at least 99 rows must be held out for contamination=0\.01"):
        detector(threshold="quantile", contamination=0.01).fit(X)
    with pytest.raises(InvalidDataError, match=r"at least 100 rows, .*tail_fraction=0\.1.* Got 40"):
        detector(threshold="pareto", contamination=0.01).fit(X)
    with pytest.raises(InvalidDataError, match="at least two rows"):
        detector(threshold="quantile").fit(X[:1])
    with pytest.raises(InvalidParameterError, match=r"threshold must be .* when X_held_out is given"):
        detector().fit(X, X_held_out=X)
    with pytest.raises(InvalidDataError, match="X_held_out has 5 features"):
        detector(threshold="quantile").fit(X, X_held_out=X[:, :5])


def test_bad_rows_are_refused_in_its_name(X: Any) -> None:
    found = detector().fit(X)
    before = found.score_samples(X)
    for call in (found.fit, found.predict, found.explain, found.score_samples):
        with pytest.raises(InvalidDataError, match=r"X must not contain NaN or infinity. Got nan at row 3"):
            call(np.where(np.arange(200)[:, None] == 3, np.nan, X))
    with pytest.raises(
        InvalidDataError, match="X has 5 features, but ReconstructionOutlierDetector is expecting"
    ):
        found.predict(X[:, :5])
    with pytest.raises(diabolo.TrainingDivergedError):
        found.set_params(autoencoder__optimizer="sgd", autoencoder__learning_rate=1e30).fit(X)
    np.testing.assert_array_equal(found.score_samples(X), before)
    with pytest.raises(diabolo.NotFittedError, match="This ReconstructionOutlierDetector instance"):
        detector().predict(X)


# ---- In company ----


def test_the_autoencoder_remains_as_it_was(X: Any) -> None:
    ae = estimator()
    found = ReconstructionOutlierDetector(ae).fit(X)
    assert not ae.__sklearn_is_fitted__()
    trained = found.autoencoder_
    scores = found.score_samples(X)
    trained.set_params(epochs=1).fit(X[:50])
    np.testing.assert_array_equal(found.score_samples(X), scores)
    assert found.autoencoder_.epochs == 3


def test_nested_parameters(X: Any) -> None:
    found = detector()
    assert found.get_params()["autoencoder__n_components"] == 2
    assert "autoencoder__n_components" not in found.get_params(deep=False)
    found.set_params(autoencoder__epochs=1, contamination=0.2)
    assert (found.autoencoder.epochs, found.contamination) == (1, 0.2)
    fresh = clone(found)
    assert fresh.autoencoder is not found.autoencoder
    assert fresh.autoencoder.get_params() == found.autoencoder.get_params()
    with pytest.raises(InvalidParameterError, match=r"Invalid parameter 'autoencoder__depth'|'depth'"):
        found.set_params(autoencoder__depth=1)
    with pytest.raises(InvalidParameterError, match="Invalid parameter 'autoencoder__epochs'"):
        ReconstructionOutlierDetector().set_params(autoencoder__epochs=1)
    pipeline = make_pipeline(MinMaxScaler(), detector()).fit(X)
    assert set(pipeline.predict(X)) == {-1, 1}
    y = np.where(np.arange(200) % 10 == 0, -1, 1)
    grid = {"autoencoder__n_components": [1, 2], "support_fraction": [0.7, 1.0]}
    search = GridSearchCV(detector(), grid, scoring="roc_auc", cv=2, error_score="raise").fit(X, y)
    assert search.best_params_.keys() == grid.keys()


def test_files_pickles_and_copies(X: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    ae = estimator(scale="standard", optimizer=diabolo.SGD(momentum=0.5))
    found = detector(autoencoder=ae, threshold="quantile", metric="mse").fit(frame)
    default = ReconstructionOutlierDetector(random_state=1).fit(frame)
    for one in (found, default):
        one.save(tmp_path / "detector.safetensors")
        loaded = diabolo.load(tmp_path / "detector.safetensors")
        # What is set after fit is saved, and changes no result.
        for twin in (loaded, pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert type(twin) is ReconstructionOutlierDetector
            assert repr(twin) == repr(one)
            assert twin.offset_ == one.offset_
            assert twin.history_ == one.history_
            assert list(twin.feature_names_in_) == list("abcdef")
            assert repr(twin.autoencoder_) == repr(one.autoencoder_)
            np.testing.assert_array_equal(twin.score_samples(frame), one.score_samples(frame))
            np.testing.assert_array_equal(twin.explain(frame), one.explain(frame))
            assert twin.fit(frame).offset_ == one.offset_


def test_damaged_files(X: Any, tmp_path: Path) -> None:
    from diabolo import _core

    path = tmp_path / "detector.safetensors"
    detector().fit(X).save(path)
    metadata, tensors = _core.read_model_file(str(path))
    for damage in (
        lambda text: text.replace('"mae"', '"huber"'),
        lambda text: text.replace('"offset"', '"offsets"'),
        lambda text: text.replace('"AutoEncoder"', '"Adam"'),
        lambda text: text.replace('"AutoEncoder"', '"ReconstructionOutlierDetector"'),
        lambda text: "{}",
        lambda text: "[]",
    ):
        spoilt = {**metadata, "detector": damage(metadata["detector"])}
        assert spoilt != metadata
        _core.write_model_file(str(path), spoilt, tensors)
        with pytest.raises(diabolo.ModelFileError):
            diabolo.load(path)


def test_same_bits_for_any_number_of_threads(X: Any) -> None:
    many = np.tile(X, (20, 1))
    one, two = (detector(autoencoder=estimator(n_jobs=jobs)).fit(many) for jobs in (1, 2))
    assert one.offset_ == two.offset_
    np.testing.assert_array_equal(one.score_samples(many), two.score_samples(many))
