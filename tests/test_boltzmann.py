"""Restricted Boltzmann machines in the core: contrastive divergence against the oracle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import reference_boltzmann
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    Float32Array,
    completed_weights,
    data,
    digest,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import InvalidParameterError, _boltzmann, _core

SEED = 3  # of core_helpers.trainer
UNITS = [("sigmoid", "sigmoid"), ("identity", "sigmoid"), ("sigmoid", "identity"), ("identity", "identity")]


def machine(
    visible: int, hidden: int, units: tuple[str, str], k: int = 1, isa: str | None = None, scale: float = 1.0
) -> _core.Model:
    """Return a machine none of whose weights is special."""
    with forced_isa(isa):
        model = _core.Model(
            [
                _core.BoltzmannHidden("encoder.0", visible, hidden, units[1]),
                _core.BoltzmannVisible("decoder.0", hidden, visible, units[0], "encoder.0", units[1], k),
            ],
            1,
            1,
        )
    random = np.random.default_rng(0)
    return model.with_weights(
        {
            name: (scale * random.normal(size=shape) / np.sqrt(visible)).astype(np.float32)
            for name, shape in model.parameter_shapes().items()
        }
    )


def loss_of(units: tuple[str, str]) -> str:
    return _boltzmann.Units(*units).loss


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, units: tuple[str, str], k: int) -> None:
    """Over three slabs of a batch, whose rows keep the draws of their places in it."""
    model = machine(70, 33, units, k, isa)
    x = data(600, 70)
    got_loss, got_reconstruction, gradients = trainer(
        model, x, loss=loss_of(units), batch_size=600
    ).gradients(_core.Rows(x))
    loss, expected = reference_boltzmann.divergence(model.get_weights(), x, *units, k, SEED)
    assert got_loss == got_reconstruction == pytest.approx(loss, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 1e-5, name


@pytest.mark.parametrize("isa", ISAS)
def test_gradients_with_weights_of_rows(isa: str) -> None:
    units = UNITS[0]
    model = machine(70, 33, units, 2, isa)
    x = data(600, 70)
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=600)
    rows = _core.Rows(x).weighted(weights)
    of = trainer(model, rows, loss=loss_of(units), batch_size=600)
    loss, _, gradients = of.gradients(rows)
    expected_loss, expected = reference_boltzmann.divergence(
        model.get_weights(), x, *units, 2, SEED, row_weights=weights / weights.mean()
    )
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 1e-5, name


def test_gradients_are_of_the_likelihood() -> None:
    """Of machines so small that all states can be counted, CD-k for many rows and a large k comes near it.

    Not nearer than this: the chain takes the expectation of visible units for their states.
    """
    visible, hidden = 3, 2
    model = machine(visible, hidden, ("sigmoid", "sigmoid"), k=30)
    w = {name: value.astype(np.float64) for name, value in model.get_weights().items()}
    states = np.array([[i >> j & 1 for j in range(visible)] for i in range(2**visible)], dtype=np.float32)
    x = np.repeat(states[[0, 3, 5]], 30000, axis=0)

    def mean_log_likelihood(weights: dict[str, Any]) -> float:
        free = states @ weights["decoder.0.bias"] + np.sum(
            np.logaddexp(0.0, states @ weights["encoder.0.kernel"] + weights["encoder.0.bias"]), axis=1
        )
        return float(np.mean(free[[0, 3, 5]]) - np.logaddexp.reduce(free))

    of = trainer(model, x, loss="binary_crossentropy", batch_size=len(x))
    _, _, gradients = of.gradients(_core.Rows(x))
    for name, gradient in gradients.items():
        for at in np.ndindex(gradient.shape):
            ahead, behind = ({n: v.copy() for n, v in w.items()} for _ in range(2))
            ahead[name][at] += 1e-5
            behind[name][at] -= 1e-5
            slope = -(mean_log_likelihood(ahead) - mean_log_likelihood(behind)) / 2e-5
            assert gradient[at] == pytest.approx(slope, abs=0.02), (name, at)


@pytest.mark.parametrize("units", UNITS)
def test_training_with_momentum_and_decay(units: tuple[str, str]) -> None:
    model = machine(20, 12, units)
    x = data(300, 20)
    rule = _core.UpdateRule.sgd(0.8, False)
    of = trainer(
        model,
        x,
        loss=loss_of(units),
        batch_size=100,
        epochs=2,
        rule=rule,
        learning_rate=0.05,
        l2=0.01,
        shuffle="none",
    )
    for _ in range(2):
        assert of.run_epoch(None).outcome == "completed"
    batches = np.split(x, 3) * 2
    expected = reference_boltzmann.train(
        model.get_weights(), batches, *units, 1, SEED, 0.05, [0.8] * 6, decay=0.02
    )
    for name, weight in completed_weights(of).items():
        assert relative_error(weight, expected[name]) < 1e-5, name


def test_momentum_rises_after_five_epochs() -> None:
    """In one run: seven epochs of two batches each, and draws that go on."""
    x = data(100, 12)
    p = _boltzmann.machine_parameters(
        "Owner", {"learning_rate": 0.5, "batch_size": 50, "weight_decay": 0.1}, _boltzmann.Units(*UNITS[0])
    )
    model, history = trained(p, x, epochs=7)
    start = _boltzmann._new_machine(_boltzmann.Units(*UNITS[0]), 12, 6, 1, SEED)
    assert 0.008 < float(np.std(start.get_weights()["encoder.0.kernel"])) < 0.012
    momenta = [0.5] * 10 + [0.9] * 4
    expected = reference_boltzmann.train(
        start.get_weights(), np.split(x, 2) * 7, *UNITS[0], 1, SEED, 0.5, momenta, decay=0.1
    )
    for name, weight in model.get_weights().items():
        assert relative_error(weight, expected[name]) < 1e-4, name
    assert len(history["loss"]) == 7


def trained(p: Any, x: Float32Array, epochs: int, threads: int = 1) -> Any:
    return _boltzmann.train_machine(
        SimpleNamespace(),
        p,
        _boltzmann.Units(*UNITS[0]),
        _core.Rows(x),
        6,
        epochs=epochs,
        scaler=None,
        shuffle="none",
        seed=SEED,
        threads=threads,
        verbose=0,
    )


@pytest.mark.parametrize("batch_size", [100, 600])
@pytest.mark.parametrize("units", UNITS)
def test_same_bits_for_any_number_of_threads(units: tuple[str, str], batch_size: int) -> None:
    x = data(701, 137)
    digests = {}
    for isa in ISAS:
        model = machine(137, 250, units, 2, isa, scale=0.1)
        for threads in (1, 2, 3, 7):
            rule = _core.UpdateRule.sgd(0.5, False)
            of = trainer(
                model,
                x,
                threads=threads,
                batch_size=batch_size,
                loss=loss_of(units),
                rule=rule,
                learning_rate=0.001,
            )
            assert of.run_epoch(None).outcome == "completed"
            digests[isa, threads] = digest(completed_weights(of))
        assert len({digests[isa, threads] for threads in (1, 2, 3, 7)}) == 1, isa
    assert len({digests[isa, 1] for isa in FUSED_ISAS}) <= 1


@pytest.mark.parametrize("units", UNITS)
def test_inference_is_that_of_the_tied_network(units: tuple[str, str]) -> None:
    """Nothing is drawn: expectations go up and down."""
    model = machine(20, 12, units)
    tied = _core.Model(
        [
            _core.Dense("encoder.0", 20, 12, units[1], "normal"),
            _core.Dense("decoder.0", 12, 20, units[0], "normal", "encoder.0"),
        ],
        1,
        1,
    ).with_weights(model.get_weights())
    rows = _core.Rows(data(50, 20))
    np.testing.assert_array_equal(model.transform(rows, 1), tied.transform(rows, 1))
    np.testing.assert_array_equal(model.reconstruct(rows, 1), tied.reconstruct(rows, 1))
    loss = loss_of(units)
    np.testing.assert_array_equal(model.row_errors(rows, loss, 1), tied.row_errors(rows, loss, 1))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([("hidden", "relu", 4), ("visible", "sigmoid", 4)], "must be sigmoid or identity"),
        ([("hidden", "sigmoid", 4), ("visible", "tanh", 4)], "must be sigmoid or identity"),
        ([("hidden", "sigmoid", 4), ("visible", "sigmoid", 5)], "a kernel of one shape"),
        ([("hidden", "sigmoid", 4), ("visible", "sigmoid", 4, 0)], "at least one step"),
        ([("visible", "sigmoid", 4), ("visible", "sigmoid", 4)], "right above its hidden ones"),
    ],
)
def test_machines_that_make_no_sense(layers: list[Any], message: str) -> None:
    specs: list[Any] = []
    for kind, activation, hidden, *steps in layers:
        if kind == "hidden":
            specs.append(_core.BoltzmannHidden("encoder.0", 6, hidden, activation))
        else:
            specs.append(
                _core.BoltzmannVisible("decoder.0", hidden, 6, activation, "encoder.0", "sigmoid", *steps)
            )
    with pytest.raises(ValueError, match=message):
        _core.Model(specs, 1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "steps must be an int >= 1. Got 0"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\). Got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number >= 0. Got -1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be None or a finite number > 0. Got 0.0"),
    ],
)
def test_bad_parameters(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"Owner: {message}"):
        _boltzmann.machine_parameters("Owner", given, _boltzmann.Units("sigmoid", "sigmoid"))
