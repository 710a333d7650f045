"""Weights of rows: the core against the oracle on copies of the rows, and the estimators."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import reference
import reference_noise
import reference_softmax
import reference_variational
import test_softmax_losses
import test_sparse
import test_variational
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    LOSSES,
    completed_weights,
    data,
    digest,
    hourglass,
    relative_error,
    trainer,
)
from diabolo import (
    AutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    SparseAutoEncoder,
    _core,
)
from estimator_helpers import estimator

ROWS = 600  # three slabs
COUNTS = np.random.default_rng(5).integers(1, 6, ROWS)


def weighted(x: Any, weights: Any) -> _core.Rows:
    return _core.Rows(x).weighted(np.asarray(weights, dtype=np.float64))


def gradients(model: _core.Model, x: Any, weights: Any, **changes: Any) -> Any:
    """Return loss, reconstruction loss and gradients of one batch of weighted rows."""
    rows = weighted(x, weights)
    return trainer(model, rows, batch_size=len(x), **changes).gradients(rows)


def copies(x: Any) -> Any:
    """Return rows as many times as COUNTS says, in double precision."""
    return np.repeat(x, COUNTS, axis=0).astype(np.float64)


def assert_same(got: Any, loss: float, reconstruction: float, expected: Any) -> None:
    assert got[0] == pytest.approx(loss, rel=1e-6)
    assert got[1] == pytest.approx(reconstruction, rel=1e-6)
    for name, gradient in got[2].items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, loss: str) -> None:
    """A weight of k is k copies; and weights count relative to each other alone."""
    architecture = hourglass([37, 20, 5], "tanh", loss)
    model = architecture.trained_looking_model(isa)
    x = data(ROWS, 37)
    many = copies(x)
    expected = reference.loss_and_gradients(architecture.layers, model.get_weights(), many, many, loss, 1e-3)
    for weights in (COUNTS, COUNTS * 1e-3):
        got = gradients(model, x, weights, loss=loss, l1=1e-3)
        assert_same(got, expected.loss, expected.reconstruction_loss, expected.gradients)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "kl_divergence"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_softmax_losses(isa: str, loss: str) -> None:
    groups = test_softmax_losses.GROUPS["with numbers between"]
    architecture = test_softmax_losses.network()
    model = test_softmax_losses.softmax_model(architecture, groups, isa)
    x = test_softmax_losses.ROWS[loss](ROWS, 70, groups)
    many = copies(x)
    value, expected = reference_softmax.network_loss(
        architecture.layers, model.get_weights(), many, many, groups, loss
    )
    assert_same(gradients(model, x, COUNTS, loss=loss), value, value, expected)


@pytest.mark.parametrize("kind", ["l1", "kl", "both", "top_k"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_sparse_codes(isa: str, kind: str) -> None:
    model = test_sparse.core_model(kind, isa)
    x = data(ROWS, test_sparse.FEATURES)
    many = copies(x)
    mask = None
    if kind == "top_k":
        code = model.transform(_core.Rows(x), 1)
        assert code is not None
        mask = np.repeat(code != 0, COUNTS, axis=0)
    loss, reconstruction, expected, _ = test_sparse.oracle(kind, model.get_weights(), many, mask)
    got = gradients(model, x, COUNTS, loss="binary_crossentropy")
    assert_same(got, loss, reconstruction, expected)


@pytest.mark.parametrize("free_bits", [0.0, 0.4])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_a_bound(isa: str, likelihood: str, free_bits: float) -> None:
    """Copies have the noise of the row they are copies of."""
    model = test_variational.core_model(likelihood, isa, beta=0.5, free_bits=free_bits)
    x = data(ROWS, test_variational.FEATURES)
    noise = test_variational.noise(ROWS, reference_noise.TRAINING)
    loss, reconstruction, expected = reference_variational.negative_elbo(
        test_variational.ENCODER,
        test_variational.DECODER[likelihood],
        model.get_weights(),
        copies(x),
        copies(noise),
        likelihood,
        0.5,
        free_bits,
    )
    got = gradients(model, x, COUNTS, loss=test_variational.LOSS[likelihood], sum_features=True)
    assert_same(got, loss, reconstruction, expected)


@pytest.mark.parametrize("shuffle", ["rows", "blocks", "none"])
def test_epochs_of_several_batches(shuffle: str) -> None:
    """Each batch is weighed by its own rows; the epoch's loss is the weighted mean over all."""
    architecture = hourglass([9, 5])
    x, weights = data(700, 9), np.random.default_rng(1).random(700) * 10 + 0.1
    model = architecture.trained_looking_model()
    rule = _core.UpdateRule.sgd(0.0, False)
    settings: dict[str, Any] = {"rule": rule, "learning_rate": 0.2, "epochs": 2, "batch_size": 300}
    for epoch in range(1, 3):
        of = trainer(model, weighted(x, weights), weighted(x, weights), shuffle=shuffle, **settings)
        for _ in range(epoch):
            report = of.run_epoch(None)
    expected = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    if shuffle == "none":
        for _ in range(2):
            sum_of_losses = 0.0
            for begin in (0, 300, 600):
                batch, w = x[begin : begin + 300].astype(np.float64), weights[begin : begin + 300]
                result = reference.loss_and_gradients(
                    architecture.layers,
                    expected,
                    batch,
                    batch,
                    "mse",
                    element_weights=(w / w.mean())[:, None],
                )
                sum_of_losses += result.loss * w.sum()
                expected = reference.SGD().update(expected, result.gradients, 0.2)
        assert report.loss == pytest.approx(sum_of_losses / weights.sum(), rel=1e-6)
        for name, w in completed_weights(of).items():
            assert relative_error(w, expected[name]) < 1e-5, name
    after = of.completed_model()
    assert after is not None
    errors = after.row_errors(_core.Rows(x), "mse", 1)
    assert of.validation_losses()[0] == pytest.approx(np.average(errors, weights=weights), rel=1e-6)


@pytest.mark.parametrize("batch_size", [100, 600])
def test_same_bits_for_any_number_of_threads(batch_size: int) -> None:
    x = data(701, 70)
    weights = np.random.default_rng(1).random(701) + 0.01
    found = {}
    for isa, threads in itertools.product(ISAS, (1, 2, 7)):
        model = test_sparse.core_model("both", isa)
        rows = weighted(x, weights)
        of = trainer(model, rows, rows, threads=threads, batch_size=batch_size, loss="binary_crossentropy")
        report = of.run_epoch(None)
        found[isa, threads] = digest(completed_weights(of)), report.loss, of.validation_losses()
        assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


def test_weights_of_one_change_no_bit() -> None:
    x = data(300, 6)
    for kind in (AutoEncoder(2), SparseAutoEncoder(8, sparsity="kl")):
        kind.set_params(scale="standard", epochs=2, batch_size=64, random_state=0)
        plain, ones = clone(kind).fit(x), clone(kind).fit(x, sample_weight=np.full(300, 7))
        assert digest(plain.get_weights()) == digest(ones.get_weights())
        assert plain.history_["loss"] == ones.history_["loss"]


# ------------------------------------------------------------------------------------------------------------
# The estimators
# ------------------------------------------------------------------------------------------------------------


def test_moments_are_weighted(X: Any) -> None:
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    one = estimator(scale="standard", epochs=1).fit(X, sample_weight=weights)
    many = estimator(scale="standard", epochs=1).fit(np.repeat(X, weights, axis=0))
    (shift, scale), (expected_shift, expected_scale) = (e._fitted.model.scaler() for e in (one, many))
    np.testing.assert_allclose(shift, expected_shift, rtol=1e-12)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-12)


def test_rows_of_weight_0_are_not_there(X: Any) -> None:
    """Not even their values are looked at: batches, bits and messages are those of the others."""
    weights = (np.arange(len(X)) % 3 > 0).astype(float)
    with_garbage = np.where(weights[:, None] > 0, X, np.nan)
    for changes in ({}, {"validation_fraction": 0.2, "scale": "minmax"}, {"shuffle": "blocks"}):
        one = estimator(**changes).fit(with_garbage, sample_weight=weights)
        other = estimator(**changes).fit(X[weights > 0])
        assert digest(one.get_weights()) == digest(other.get_weights())
        assert {**one.history_, "seconds": 0} == {**other.history_, "seconds": 0}
    with_garbage[4] = np.inf
    with pytest.raises(InvalidDataError, match="Got inf at row 4, column 0"):
        estimator().fit(with_garbage, sample_weight=weights)


def test_validation_rows_keep_their_weights(X: Any) -> None:
    weights = np.arange(len(X)) + 1.0
    ae = estimator(validation_fraction=0.1, shuffle=False, epochs=2).fit(X, sample_weight=weights)
    expected = np.average(ae.reconstruction_error(X[-20:]), weights=weights[-20:])
    assert ae.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-6)


def test_score_and_partial_fit_and_fit_transform(X: Any) -> None:
    weights = np.random.default_rng(0).random(len(X))
    ae = estimator().fit(X, sample_weight=weights)
    expected = np.average(ae.score_samples(X).astype(np.float64), weights=weights)
    assert ae.score(X, None, weights) == pytest.approx(expected, rel=1e-12)
    assert ae.score(X) == pytest.approx(ae.score_samples(X).astype(np.float64).mean(), rel=1e-12)
    codes = estimator().fit_transform(X, sample_weight=weights)
    np.testing.assert_array_equal(codes, ae.transform(X))
    one = estimator().partial_fit(X, sample_weight=weights)
    other = estimator(epochs=1).fit(X, sample_weight=weights)
    assert digest(one.get_weights()) == digest(other.get_weights())


def test_weights_of_any_kind(X: Any) -> None:
    weights = np.arange(len(X)) % 5
    expected = digest(estimator().fit(X, sample_weight=weights).get_weights())
    for same in (
        weights.tolist(),
        weights.astype(np.float16),
        weights.astype(object),
        pd.Series(weights, index=weights[::-1]),
        np.repeat(weights, 2)[::2],
        weights * 1e300 / 4,
    ):
        before = np.array(same, copy=True)
        assert digest(estimator().fit(X, sample_weight=same).get_weights()) == expected
        np.testing.assert_array_equal(np.asarray(same), before)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(199), r"have one weight for each row, shape \(200,\). Got shape \(199,\)"),
        (np.ones((200, 1)), r"Got shape \(200, 1\)"),
        (3.0, r"Got shape \(\)"),
        (np.r_[np.ones(7), -1.0, np.ones(192)], "not be negative. Got -1.0 for row 7"),
        (np.r_[np.ones(7), np.nan, np.ones(192)], "be finite. Got nan for row 7"),
        (np.r_[np.ones(7), np.inf, np.ones(192)], "be finite. Got inf for row 7"),
        (np.zeros(200), "not be 0 for all rows. Got 200 zeros"),
        (["a"] * 200, "hold real numbers"),
        (np.ones(200, dtype=complex), "hold real numbers. Got dtype complex128"),
    ],
)
def test_bad_weights(weights: Any, message: str, X: Any) -> None:
    ae = estimator().fit(X)
    before = digest(ae.get_weights())
    for method in (ae.fit, ae.partial_fit, ae.score, ae.fit_transform):
        with pytest.raises(InvalidDataError, match=f"AutoEncoder: sample_weight must .*{message}"):
            method(X, sample_weight=weights)
    assert digest(ae.get_weights()) == before


def test_a_checkpoint_knows_the_weights(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    weights = np.arange(len(X)) % 5 + 1
    whole = estimator(checkpoint=path).fit(X, sample_weight=weights)
    again = estimator().fit(X, sample_weight=weights, resume_from=path)
    assert digest(again.get_weights()) == digest(whole.get_weights())
    for other in (None, weights + 1):
        with pytest.raises(InvalidDataError, match=r"X must be as in the checkpoint .* Got other values"):
            estimator().fit(X, sample_weight=other, resume_from=path)


def test_metadata_routing(X: Any) -> None:
    weights = np.arange(len(X)) % 5
    expected = digest(estimator().fit(X, sample_weight=weights).get_weights())
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(FunctionTransformer(), estimator())
        with pytest.raises(ValueError, match=r"sample_weight.* not explicitly set as requested"):
            pipeline.fit(X, sample_weight=weights)
        asking = estimator().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = clone(make_pipeline(FunctionTransformer(), asking)).fit(X, sample_weight=weights)
        assert digest(pipeline[-1].get_weights()) == expected
        assert pipeline.score(X, sample_weight=weights) == pipeline[-1].score(X, None, weights)
    with pytest.raises(InvalidParameterError, match="sample_weight must be True, False, None or a name"):
        estimator().set_partial_fit_request(sample_weight=1)  # type: ignore[arg-type]
