"""Variational autoencoders: loss, gradients and evidence against the oracle, and the estimator."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import diabolo
import reference
import reference_noise
import reference_variational
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    completed_weights,
    data,
    digest,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import InvalidDataError, InvalidParameterError, VariationalAutoEncoder, _core
from reference import Layer

SEED = 3  # of core_helpers.trainer
FEATURES, HIDDEN, UNITS = 70, 45, 19
CODE = 2  # the number of the layer that draws
ENCODER = [Layer("encoder.0", "tanh"), Layer("encoder.1", "identity")]
DECODER = {
    "bernoulli": [Layer("decoder.0", "tanh"), Layer("decoder.1", "sigmoid")],
    "gaussian": [Layer("decoder.0", "tanh"), Layer("decoder.1", "tanh")],
}
LOSS = {"bernoulli": "binary_crossentropy", "gaussian": "gaussian"}


def core_model(
    likelihood: str, isa: str | None = None, variance: str = "learned", **code: Any
) -> _core.Model:
    """Return a model none of whose weights is special."""
    output = DECODER[likelihood][1].activation
    more = (variance, 0.5) if likelihood == "gaussian" else ()
    layers = [
        _core.Dense("encoder.0", FEATURES, HIDDEN, "tanh", "glorot_uniform"),
        _core.Dense("encoder.1", HIDDEN, 2 * UNITS, "identity", "glorot_uniform"),
        _core.GaussianCode(UNITS, **code),
        _core.Dense("decoder.0", UNITS, HIDDEN, "tanh", "glorot_uniform"),
        _core.Dense("decoder.1", HIDDEN, FEATURES, output, "glorot_uniform", "", *more),
    ]
    with forced_isa(isa):
        model = _core.Model(layers, 3, 1)
    random = np.random.default_rng(0)
    weights = {
        name: w if name.endswith(".kernel") else w + 0.1 * random.normal(size=w.shape).astype(np.float32)
        for name, w in model.get_weights().items()
    }
    # Deviations of the codes from far below 1 to above.
    weights["encoder.1.bias"][UNITS:] = np.linspace(-6.0, 1.0, UNITS)
    return model.with_weights(weights)


def noise(rows: int, stream: int, step: int = 0, seed: int = SEED) -> np.ndarray[Any, Any]:
    return reference_noise.normal(reference_noise.words(rows, UNITS, seed, stream, step, CODE))


def vae(**changes: Any) -> VariationalAutoEncoder:
    settings: dict[str, Any] = {
        "n_components": 2,
        "hidden_layer_sizes": (16,),
        "epochs": 5,
        "batch_size": 32,
        "learning_rate": 1e-2,
        "random_state": 0,
    }
    return VariationalAutoEncoder(**{**settings, **changes})


# ------------------------------------------------------------------------------------------------------------
# Against the oracle
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", DECODER)
@pytest.mark.parametrize("free_bits", [0.0, 0.4])
def test_the_oracle_s_gradients(likelihood: str, free_bits: float) -> None:
    """By a complex step along a random direction in all weights."""
    weights = {name: w.astype(np.float64) for name, w in core_model(likelihood).get_weights().items()}
    x, e = data(13, FEATURES).astype(np.float64), noise(13, reference_noise.TRAINING)
    arguments = (x, e, likelihood, 0.7, free_bits)
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=w.shape) for name, w in weights.items()}
    moved = {name: w + 1e-30j * direction[name] for name, w in weights.items()}
    loss, _, _ = reference_variational.negative_elbo(ENCODER, DECODER[likelihood], moved, *arguments)
    _, _, gradients = reference_variational.negative_elbo(ENCODER, DECODER[likelihood], weights, *arguments)
    along = sum(float(np.sum(gradients[name] * direction[name])) for name in weights)
    assert loss.imag / 1e-30 == pytest.approx(along, rel=1e-12)


@pytest.mark.parametrize("free_bits", [0.0, 0.4])
@pytest.mark.parametrize("beta", [1.0, 0.25])
@pytest.mark.parametrize("likelihood", DECODER)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, likelihood: str, beta: float, free_bits: float) -> None:
    """Over three slabs of a batch, or with free bits over a batch as a whole."""
    model = core_model(likelihood, isa, beta=beta, free_bits=free_bits)
    x = data(600, FEATURES)
    loss, reconstruction, gradients = trainer(
        model, x, loss=LOSS[likelihood], sum_features=True, batch_size=600
    ).gradients(_core.Rows(x))
    expected_loss, expected_reconstruction, expected = reference_variational.negative_elbo(
        ENCODER,
        DECODER[likelihood],
        model.get_weights(),
        x.astype(np.float64),
        noise(600, reference_noise.TRAINING),
        likelihood,
        beta,
        free_bits,
    )
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert reconstruction == pytest.approx(expected_reconstruction, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


@pytest.mark.parametrize("units", [1, 2, 15, 16, 17, 33])
@pytest.mark.parametrize("isa", ISAS)
def test_codes_of_every_width(isa: str, units: int) -> None:
    """Log-variances begin at any column; neither they nor their gradients touch their neighbours."""
    layers = [
        _core.Dense("encoder.0", 5, 2 * units, "identity", "glorot_uniform"),
        _core.GaussianCode(units),
        _core.Dense("decoder.0", units, 5, "sigmoid", "glorot_uniform"),
    ]
    with forced_isa(isa):
        model = _core.Model(layers, 2, 1)
    x = data(37, 5)
    word = reference_noise.words(37, units, SEED, reference_noise.TRAINING, 0, 1)
    _, _, expected = reference_variational.negative_elbo(
        [Layer("encoder.0", "identity")],
        [Layer("decoder.0", "sigmoid")],
        model.get_weights(),
        x.astype(np.float64),
        reference_noise.normal(word),
        "bernoulli",
    )
    _, _, gradients = trainer(model, x, loss="binary_crossentropy", sum_features=True, threads=3).gradients(
        _core.Rows(x)
    )
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


def test_warm_up_and_fresh_noise() -> None:
    """Two epochs of three steps with SGD: the weight of the divergence grows, then stays."""
    model = core_model("gaussian", beta=0.8, warmup_epochs=1)
    x = data(300, FEATURES)
    rule = _core.UpdateRule.sgd(0.0, False)
    of = trainer(
        model,
        x,
        loss="gaussian",
        sum_features=True,
        batch_size=100,
        epochs=2,
        rule=rule,
        learning_rate=1e-3,
        shuffle="none",
    )
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    sgd = reference.SGD()
    for epoch in range(2):
        losses = []
        for step in range(3):
            number = 3 * epoch + step
            loss, _, gradients = reference_variational.negative_elbo(
                ENCODER,
                DECODER["gaussian"],
                weights,
                x[100 * step : 100 * step + 100].astype(np.float64),
                noise(100, reference_noise.TRAINING, number),
                "gaussian",
                0.8 * min(1.0, (number + 1) / 3),
            )
            weights = sgd.update(weights, gradients, 1e-3)
            losses.append(loss)
        report = of.run_epoch(None)
        assert report.loss == pytest.approx(np.mean(losses), rel=1e-6)
    for name, weight in completed_weights(of).items():
        assert relative_error(weight, weights[name]) < 1e-5, name


def test_a_fixed_variance_stays() -> None:
    model = core_model("gaussian", variance="fixed")
    of = trainer(model, data(100, FEATURES), loss="gaussian", sum_features=True)
    of.run_epoch(None)
    before, after = model.get_weights(), completed_weights(of)
    for name in before:
        assert np.array_equal(before[name], after[name]) == (name == "decoder.1.log_variance"), name


@pytest.mark.parametrize("likelihood", DECODER)
@pytest.mark.parametrize("isa", ISAS)
def test_evidence(isa: str, likelihood: str) -> None:
    """The lower bound and the importance-weighted estimate, against their formulas in float64."""
    model = core_model(likelihood, isa)
    x, samples = data(300, FEATURES), 4
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    moments = reference.forward(ENCODER, weights, x).y["encoder.1"]
    m, s = moments[:, :UNITS], reference_variational.bounded(moments[:, UNITS:])[0]
    log_p, log_ratio = [], []
    for sample in range(samples):
        e = noise(300, reference_noise.INFERENCE, sample, seed=11)
        z = m + np.exp(0.5 * s) * e
        down = reference.forward(DECODER[likelihood], weights, z)
        if likelihood == "bernoulli":
            value = reference.binary_crossentropy(down.z["decoder.1"], x, None)
        else:
            v = weights["decoder.1.log_variance"]
            value, _, _ = reference_variational.gaussian(down.y["decoder.1"], x, v)
        log_p.append(-np.sum(value, axis=1))
        log_ratio.append(np.sum(-0.5 * z * z + 0.5 * e * e + 0.5 * s, axis=1))
    kl = np.sum(reference_variational.divergence(m, s), axis=1)
    bound = np.mean(log_p, axis=0) - kl
    likelihoods = logsumexp(np.add(log_p, log_ratio), axis=0) - np.log(samples)
    for threads in (1, 3):
        got = model.evidence(_core.Rows(x), LOSS[likelihood], False, 11, samples, threads)
        np.testing.assert_allclose(got, bound, rtol=2e-6, atol=1e-5)
        got = model.evidence(_core.Rows(x), LOSS[likelihood], True, 11, samples, threads)
        np.testing.assert_allclose(got, likelihoods, rtol=2e-6, atol=1e-5)
    np.testing.assert_allclose(model.code_deviations(_core.Rows(x), 2), np.exp(0.5 * s), rtol=1e-6)
    np.testing.assert_allclose(model.transform(_core.Rows(x), 2), m, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [100, 600])
@pytest.mark.parametrize("free_bits", [0.0, 0.3])
@pytest.mark.parametrize("likelihood", DECODER)
def test_same_bits_for_any_number_of_threads(likelihood: str, free_bits: float, batch_size: int) -> None:
    x = data(701, FEATURES)
    found: dict[tuple[str, int], Any] = {}
    for isa in ISAS:
        model = core_model(likelihood, isa, free_bits=free_bits)
        for threads in (1, 2, 3, 7):
            of = trainer(
                model,
                x,
                x[:300],
                threads=threads,
                batch_size=batch_size,
                loss=LOSS[likelihood],
                sum_features=True,
            )
            report = of.run_epoch(None)
            assert report.outcome == "completed"
            losses = (report.loss, report.reconstruction_loss, report.measures, of.validation_losses())
            found[isa, threads] = digest(completed_weights(of)), losses
            assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


# ------------------------------------------------------------------------------------------------------------
# The estimator
# ------------------------------------------------------------------------------------------------------------


def rows_of_a_plane(rows: int = 500) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 2)) @ random.normal(size=(2, 6)) + 0.1 * random.normal(size=(rows, 6))


def test_history() -> None:
    x = data(200, 6)
    fitted = vae(likelihood="bernoulli", beta=0.5, validation_fraction=0.2, l2=1e-3).fit(x)
    names = ["loss", "reconstruction_loss", "kl", "active_units", "val_loss", "val_reconstruction_loss"]
    assert list(fitted.history_) == [*names, "learning_rate", "seconds"]
    assert all(len(values) == 5 for values in fitted.history_.values())
    plain = vae(likelihood="bernoulli", beta=0.5).fit(x).history_
    for epoch in range(5):
        expected = plain["reconstruction_loss"][epoch] + 0.5 * plain["kl"][epoch]
        assert plain["loss"][epoch] == pytest.approx(expected, rel=1e-9)


def test_validation_loss_is_minus_the_bound_of_those_rows() -> None:
    x = rows_of_a_plane()
    fitted = vae(epochs=30, scale="standard").fit(x[:400], X_val=x[400:])
    bound = fitted.elbo(x[400:], n_samples=200).mean()
    assert fitted.history_["val_loss"][-1] == pytest.approx(-bound, abs=0.5)


def test_it_finds_the_plane_and_its_likelihood() -> None:
    """The rows are normally distributed: their log-likelihood is known, and a linear decoder reaches it."""
    x = rows_of_a_plane(2000)
    fitted = vae(epochs=200, scale="standard", activation="identity", batch_size=100, learning_rate=5e-3).fit(
        x
    )
    assert fitted.history_["active_units"][-1] == 2.0
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    covariance = np.cov(scaled.T, bias=True)
    exact = -0.5 * (6 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + 6)
    estimate = fitted.log_likelihood(x, 100).mean()
    bound = fitted.elbo(x, n_samples=20).mean()
    assert bound <= estimate + 1e-3
    assert exact - 0.6 < estimate < exact + 0.1
    assert np.mean((fitted.reconstruct(x) - x) ** 2) < 0.05
    assert relative_error(np.cov(fitted.sample(4000).T), np.cov(x.T)) < 0.25


def test_codes_samples_and_ways() -> None:
    x = rows_of_a_plane()
    fitted = vae(epochs=20).fit(x)
    means, deviations = fitted.transform(x, return_std=True)
    np.testing.assert_array_equal(means, fitted.transform(x))
    assert deviations.shape == means.shape == (500, 2)
    assert deviations.dtype == np.float32
    assert (deviations > 0).all()
    np.testing.assert_array_equal(fitted.reconstruct(x), fitted.inverse_transform(means))
    way = fitted.interpolate(x[0], x[1], 5)
    ends = fitted.reconstruct(x[:2])
    np.testing.assert_allclose(way[[0, -1]], ends, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(fitted.sample(3), fitted.sample(3))
    np.testing.assert_array_equal(fitted.sample(3, random_state=7), fitted.sample(3, random_state=7))
    assert not np.array_equal(fitted.sample(3, random_state=7), fitted.sample(3, random_state=8))
    assert not np.array_equal(fitted.elbo(x), fitted.elbo(x, random_state=8))
    before = fitted.history_
    np.testing.assert_array_equal(fitted.elbo(x), fitted.set_params(n_jobs=3).elbo(x))
    assert fitted.history_ == before


def test_metric_loss_is_a_sum() -> None:
    """Minus the log-likelihood of a row given its mean code, in nats."""
    x = data(50, 6)
    fitted = vae(likelihood="bernoulli").fit(x)
    y = fitted.reconstruct(x).astype(np.float64)
    expected = -np.sum(x * np.log(y) + (1 - x) * np.log(1 - y), axis=1)
    np.testing.assert_allclose(fitted.reconstruction_error(x, metric="loss"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"likelihood": "bernoulli"}, {"output_variance": 0.1, "free_bits": 0.2, "beta": 0.5}]
)
def test_saved_pickled_and_loaded(changes: dict[str, Any], tmp_path: Path) -> None:
    x = data(100, 6)
    fitted = vae(scale="minmax", kl_warmup_epochs=2, **changes).fit(x)
    fitted.save(tmp_path / "vae.safetensors")
    for copy in (diabolo.load(tmp_path / "vae.safetensors"), pickle.loads(pickle.dumps(fitted))):
        assert isinstance(copy, VariationalAutoEncoder)
        assert copy.get_params() == fitted.get_params()
        assert copy.history_ == fitted.history_
        np.testing.assert_array_equal(copy.transform(x), fitted.transform(x))
        np.testing.assert_array_equal(copy.elbo(x), fitted.elbo(x))
        np.testing.assert_array_equal(copy.sample(2), fitted.sample(2))


def test_collapse_is_named() -> None:
    with pytest.warns(diabolo.PosteriorCollapseWarning, match="posterior collapse: 0 of 2 units"):
        vae(beta=1000.0, epochs=20).fit(data(200, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae(epochs=20).fit(rows_of_a_plane())


def test_huge_log_variances_stay_finite() -> None:
    fitted = vae().fit(rows_of_a_plane())
    weights = fitted.get_weights()
    weights["encoder.1.bias"][:] = [0.0, 0.0, 1e30, -1e30]
    fitted.set_weights(weights)
    _, deviations = fitted.transform(np.zeros((1, 6)), return_std=True)
    np.testing.assert_allclose(deviations, np.exp([[5.0, -5.0]]), rtol=1e-5)
    assert np.isfinite(fitted.elbo(np.zeros((1, 6)))).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"likelihood": "poisson"},
            "likelihood must be one of 'bernoulli', 'gaussian', 'categorical'. Got 'poisson'",
        ),
        (
            {"output_variance": 0.0},
            r"output_variance must be 'learned' or a number in \[0.0001, 10000\]",
        ),
        ({"output_variance": 0.5, "likelihood": "bernoulli"}, "output_variance must be 'learned'"),
        ({"beta": -1.0}, "beta must be a finite number >= 0. Got -1.0"),
        ({"free_bits": -1.0}, "free_bits must be a finite number >= 0. Got -1.0"),
        ({"kl_warmup_epochs": -1}, "kl_warmup_epochs must be an int >= 0. Got -1"),
        ({"kl_warmup_epochs": 6}, "kl_warmup_epochs must be at most epochs=5. Got 6"),
        ({"likelihood": "bernoulli", "scale": "standard"}, "scale must be 'minmax' or None when likelihood="),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"VariationalAutoEncoder: {message}"):
        vae(**changes).fit(data(10, 3))


def test_a_way_between_rows_of_a_frame() -> None:
    frame = pd.DataFrame(rows_of_a_plane()).add_prefix("f")
    fitted = vae().fit(frame)
    way = fitted.interpolate(frame.iloc[0], frame.iloc[1], 3)  # no warning that rows lack names
    np.testing.assert_allclose(way[[0, -1]], fitted.reconstruct(frame[:2]), rtol=1e-6, atol=1e-6)


def test_bad_arguments() -> None:
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\] when likelihood='bernoulli'"):
        vae(likelihood="bernoulli").fit(2.0 * data(10, 3))
    with pytest.raises(diabolo.NotFittedError):
        vae().sample(2)
    fitted = vae(likelihood="bernoulli").fit(data(100, 3))
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\] when likelihood='bernoulli'"):
        fitted.elbo(2.0 * data(10, 3))
    with pytest.raises(InvalidParameterError, match=r"n must be an int >= 1\. Got 0"):
        fitted.sample(0)
    with pytest.raises(InvalidParameterError, match=r"n must be an int >= 2\. Got 1"):
        fitted.interpolate(np.zeros(3), np.zeros(3), 1)
    with pytest.raises(InvalidDataError, match=r"b must be a single row, .* Got shape \(1, 3\)"):
        fitted.interpolate(np.zeros(3), np.zeros((1, 3)))
    with pytest.raises(
        InvalidDataError, match=r"^b has 4 features, but VariationalAutoEncoder is expecting 3"
    ):
        fitted.interpolate(np.zeros(3), np.zeros(4))
    with pytest.raises(
        InvalidDataError, match=r"a must not contain NaN or infinity\. Got nan at row 0, column 1"
    ):
        fitted.interpolate([0.0, np.nan, 0.0], np.zeros(3))
    with pytest.raises(InvalidParameterError, match=r"n_samples must be an int >= 1\. Got 0\.5"):
        fitted.log_likelihood(data(10, 3), 0.5)
    with pytest.raises(InvalidParameterError, match=r"return_std must be True or False\. Got 1"):
        fitted.transform(data(10, 3), return_std=1)  # type: ignore[call-overload]
    with pytest.raises(InvalidDataError, match="expecting 3 features"):
        fitted.elbo(data(10, 4))
