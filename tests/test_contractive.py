"""Contractive autoencoders: the penalty on the Jacobian against the oracle, and the estimator."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference_contractive
import reference_noise
from core_helpers import (
    ACTIVATIONS,
    AWKWARD_WIDTHS,
    FUSED_ISAS,
    ISAS,
    Architecture,
    completed_weights,
    data,
    digest,
    float32_branches,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import ContractiveAutoEncoder, InvalidParameterError, _core

SEED = 3  # of core_helpers.trainer
# By the number of widths: several layers of sigmoids, whose slopes are 1/4 at most, have small Jacobians.
WEIGHTS = {2: 0.03, 3: 0.3, 4: 3.0}


def network(widths: list[int], activation: str, *, tied: bool = False) -> Architecture:
    """Return an encoder of these widths and its mirror image."""
    layers = 2 * (len(widths) - 1)
    return Architecture([*widths, *widths[-2::-1]], [activation] * layers, tied)


def weight_of(architecture: Architecture) -> float:
    return WEIGHTS[architecture.code_layers + 1]


def core_model(architecture: Architecture, isa: str | None = None) -> _core.Model:
    """Return the network with the penalty after its encoder."""
    plain = architecture.trained_looking_model(isa)
    code, layers = architecture.code_layers, list(architecture.specs())
    penalty = _core.JacobianPenalty(architecture.widths[code], weight_of(architecture))
    with forced_isa(isa):
        return _core.Model([*layers[:code], penalty, *layers[code:]], code + 1, 1).with_weights(
            plain.get_weights()
        )


def signs(rows: int, architecture: Architecture, stream: int, step: int = 0) -> np.ndarray[Any, Any]:
    """Return the directions (rows, 1, features) in which the core takes the Jacobian of a deep encoder."""
    layer = architecture.code_layers
    word = reference_noise.words(rows, architecture.features, SEED, stream, step, layer)
    return np.where(word >> np.uint64(31), -1.0, 1.0)[:, None, :]


def oracle(architecture: Architecture, model: _core.Model, x: Any, directions: Any, branches: Any) -> Any:
    code = architecture.code_layers
    return reference_contractive.loss_and_gradients(
        architecture.layers[:code],
        architecture.layers[code:],
        dict(model.get_weights()),
        x.astype(np.float64),
        "mse",
        weight_of(architecture),
        directions,
        branches,
    )


@pytest.mark.parametrize("widths", [[5, 7], [5, 7, 4]], ids=["exact", "estimated"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_oracle_s_gradients(activation: str, widths: list[int]) -> None:
    """By a complex step along a random direction in all weights."""
    architecture = network(widths, activation, tied=activation == "tanh")
    weights = {n: w.astype(np.float64) for n, w in architecture.trained_looking_model().get_weights().items()}
    x = data(6, 5).astype(np.float64)
    along = None if len(widths) == 2 else signs(6, architecture, reference_noise.TRAINING)
    code = architecture.code_layers
    arguments = (x, "mse", 0.7, along)
    layers = architecture.layers[:code], architecture.layers[code:]
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=w.shape) for name, w in weights.items()}
    moved = {name: w + 1e-30j * direction[name] for name, w in weights.items()}
    loss = reference_contractive.loss_and_gradients(*layers, moved, *arguments)[0]
    gradients = reference_contractive.loss_and_gradients(*layers, weights, *arguments)[2]
    slope = sum(float(np.sum(gradients[name] * direction[name])) for name in weights)
    assert loss.imag / 1e-30 == pytest.approx(slope, rel=1e-11)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("widths", [[37, 50], [37, 50, 21], [37, 29, 50, 19]], ids=len)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, activation: str, widths: list[int], tied: bool) -> None:
    """Over three slabs of a batch; exact for one layer, along random signs for more."""
    architecture = network(widths, activation, tied=tied)
    model = core_model(architecture, isa)
    x = data(600, 37)
    loss, reconstruction, gradients = trainer(model, x, batch_size=600).gradients(_core.Rows(x))
    plain = architecture.model(isa).with_weights(model.get_weights())
    branches = float32_branches(architecture, plain, x, "mse", isa)
    along = None if len(widths) == 2 else signs(600, architecture, reference_noise.TRAINING)
    expected_loss, expected_reconstruction, expected = oracle(architecture, model, x, along, branches)
    assert expected_loss > 1.05 * expected_reconstruction  # or the penalty is not seen
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert reconstruction == pytest.approx(expected_reconstruction, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


@pytest.mark.parametrize("units", AWKWARD_WIDTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_codes_of_every_width(isa: str, units: int) -> None:
    """With two tails of panels and clipping, whose gradients are stored first."""
    for features in (1, 33):
        architecture = network([features, units], "tanh")
        model = core_model(architecture, isa)
        x = data(37, features)
        of = trainer(model, x, clip_norm=1e9)
        expected = oracle(architecture, model, x, None, None)[2]
        for name, gradient in of.gradients(_core.Rows(x))[2].items():
            assert relative_error(gradient, expected[name]) < 5e-6, name
        norms = model.squared_jacobian_norms(_core.Rows(x), 2)
        exact = reference_contractive.squared_norms(
            architecture.layers[:1], dict(model.get_weights()), x.astype(np.float64)
        )
        np.testing.assert_allclose(norms, exact, rtol=2e-6)


@pytest.mark.parametrize("widths", [[20, 33], [20, 40, 12], [20, 15, 33, 9]], ids=len)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_squared_jacobian_norms(isa: str, activation: str, widths: list[int]) -> None:
    """Exact for any depth, for any number of threads."""
    architecture = network(widths, activation)
    model = core_model(architecture, isa)
    x = data(301, 20)
    norms = model.squared_jacobian_norms(_core.Rows(x), 1)
    encoder = architecture.layers[: architecture.code_layers]
    exact = reference_contractive.squared_norms(encoder, dict(model.get_weights()), x.astype(np.float64))
    np.testing.assert_allclose(norms, exact, rtol=1e-5)
    np.testing.assert_array_equal(model.squared_jacobian_norms(_core.Rows(x), 3), norms)


@pytest.mark.parametrize("widths", [[30, 33], [30, 40, 12]], ids=["exact", "estimated"])
@pytest.mark.parametrize("isa", ISAS)
def test_validation_losses(isa: str, widths: list[int]) -> None:
    """With signs of their own, the same at every call."""
    architecture = network(widths, "gelu")
    model = core_model(architecture, isa)
    x = data(150, 30)
    of = trainer(model, x, x)
    along = None if len(widths) == 2 else signs(150, architecture, reference_noise.VALIDATION)
    loss, reconstruction, _ = oracle(architecture, model, x, along, None)
    assert of.validation_losses() == pytest.approx((loss, reconstruction), rel=1e-6)
    assert of.validation_losses() == of.validation_losses()


@pytest.mark.parametrize("widths", [[70, 83], [70, 45, 33]], ids=["exact", "estimated"])
@pytest.mark.parametrize("batch_size", [100, 600])
def test_same_bits_for_any_number_of_threads(widths: list[int], batch_size: int) -> None:
    x = data(701, 70)
    architecture = network(widths, "sigmoid", tied=True)
    found: dict[tuple[str, int], Any] = {}
    for isa in ISAS:
        model = core_model(architecture, isa)
        for threads in (1, 2, 3, 7):
            of = trainer(model, x, x[:300], threads=threads, batch_size=batch_size)
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


def contractive(**changes: Any) -> ContractiveAutoEncoder:
    settings: dict[str, Any] = {"n_components": 12, "epochs": 5, "batch_size": 32, "random_state": 0}
    return ContractiveAutoEncoder(**{**settings, **changes})


@pytest.mark.parametrize("hidden", [(), (10,)])
def test_norms_and_history(hidden: tuple[int, ...]) -> None:
    """At a learning rate of next to nothing, the epoch's norm is that of the model afterwards."""
    x = data(4000, 6)
    fitted = contractive(hidden_layer_sizes=hidden, learning_rate=1e-30, epochs=1).fit(x)
    squares = fitted.jacobian_norm(x).astype(np.float64) ** 2
    assert fitted.jacobian_norm(x).dtype == np.float32
    # An estimate along one direction a row has a relative deviation of about 1, its mean over 4000 of 1/60.
    tolerance = 0.07 if hidden else 1e-6
    history = fitted.history_
    assert history["squared_jacobian_norm"] == [pytest.approx(squares.mean(), rel=tolerance)]
    penalty = history["loss"][0] - history["reconstruction_loss"][0]
    assert penalty == pytest.approx(1e-3 * history["squared_jacobian_norm"][0], rel=1e-5)


def test_norms_are_those_of_differences() -> None:
    """By moving rows a little along each feature, scaled as the network sees them."""
    x = data(20, 4) * np.array([1.0, 10.0, 100.0, 0.1], np.float32)
    fitted = contractive(hidden_layer_sizes=(8,), activation="tanh", scale="standard", epochs=1).fit(x)
    scale = x.astype(np.float64).std(axis=0)
    total = np.zeros(20)
    for feature in range(4):
        step = np.zeros(4)
        step[feature] = 1e-2 * scale[feature]
        ends = (fitted.transform(x.astype(np.float64) + sign * step).astype(np.float64) for sign in (1, -1))
        total += np.sum(((next(ends) - next(ends)) / 2e-2) ** 2, axis=1)
    np.testing.assert_allclose(fitted.jacobian_norm(x), np.sqrt(total), rtol=1e-3)


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_codes_contract(hidden: tuple[int, ...]) -> None:
    x = data(1000, 10)
    free = contractive(contraction_weight=0.0, epochs=30, hidden_layer_sizes=hidden).fit(x)
    held = contractive(contraction_weight=0.3, epochs=30, hidden_layer_sizes=hidden).fit(x)
    assert held.jacobian_norm(x).mean() < 0.5 * free.jacobian_norm(x).mean()


def test_no_penalty_is_the_plain_network() -> None:
    x = data(200, 6)
    settings: dict[str, Any] = {
        "code_activation": "sigmoid",
        "tied_weights": True,
        "epochs": 3,
        "batch_size": 32,
        "random_state": 0,
    }
    plain = diabolo.AutoEncoder(24, **settings).fit(x)
    fitted = ContractiveAutoEncoder(24, contraction_weight=0.0, **settings).fit(x)
    assert digest(fitted.get_weights()) == digest(plain.get_weights())
    np.testing.assert_array_equal(fitted.reconstruct(x), plain.reconstruct(x))


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_saved_pickled_and_loaded(hidden: tuple[int, ...], tmp_path: Path) -> None:
    x = data(100, 6)
    fitted = contractive(scale="standard", hidden_layer_sizes=hidden).fit(x)
    fitted.save(tmp_path / "contractive.safetensors")
    for copy in (diabolo.load(tmp_path / "contractive.safetensors"), pickle.loads(pickle.dumps(fitted))):
        assert isinstance(copy, ContractiveAutoEncoder)
        assert copy.get_params() == fitted.get_params()
        assert copy.history_ == fitted.history_
        np.testing.assert_array_equal(copy.transform(x), fitted.transform(x))
        np.testing.assert_array_equal(copy.jacobian_norm(x), fitted.jacobian_norm(x))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "much"])
def test_bad_weights(weight: Any) -> None:
    with pytest.raises(InvalidParameterError, match="ContractiveAutoEncoder: contraction_weight must be a"):
        contractive(contraction_weight=weight).fit(data(10, 3))


@pytest.mark.parametrize("changes", [{"missing": "mask"}, {"batch_norm": True}, {"dropout": 0.5}])
def test_layers_that_have_no_jacobian(changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(InvalidParameterError, match=f"{name} must be .* dense layers alone"):
        contractive(hidden_layer_sizes=(4,), **changes).fit(data(10, 3))


def test_bad_rows() -> None:
    with pytest.raises(diabolo.NotFittedError):
        contractive().jacobian_norm(data(10, 3))
    fitted = contractive().fit(data(10, 3))
    with pytest.raises(diabolo.InvalidDataError, match="X has 4 features"):
        fitted.jacobian_norm(data(10, 4))
    x = data(10, 3)
    x[2, 1] = np.nan
    with pytest.raises(diabolo.InvalidDataError, match="NaN"):
        fitted.jacobian_norm(x)


def test_only_dense_layers_have_a_jacobian() -> None:
    layers = [
        _core.Corruption(3, "gaussian", 0.1),
        _core.Dense("encoder.0", 3, 2, "tanh", "normal"),
        _core.JacobianPenalty(2, 0.1),
        _core.Dense("decoder.0", 2, 3, "identity", "normal"),
    ]
    with pytest.raises(ValueError, match="only dense layers"):
        _core.Model(layers, 3, 1)


def test_a_divergence_is_seen() -> None:
    with pytest.raises(diabolo.TrainingDivergedError):
        contractive(learning_rate=1e30, optimizer="sgd", code_activation="softplus").fit(data(100, 6))
