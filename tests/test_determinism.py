"""The same seed gives the same bits: for any number of threads, and on every CPU with fused multiply-add."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import numpy as np
import pytest

from core_helpers import (
    FUSED_ISAS,
    ISAS,
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    trainer,
)
from diabolo import _core

RULES = {
    "sgd": lambda: _core.UpdateRule.sgd(0.0, False),
    "momentum": lambda: _core.UpdateRule.sgd(0.9, False),
    "nesterov": lambda: _core.UpdateRule.sgd(0.9, True),
    "adam": lambda: _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0),
    "adamw": lambda: _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.01),
    "rmsprop": lambda: _core.UpdateRule.rmsprop(0.9, 1e-7),
}
# Nine take two blocks of 256 rows at once.
THREADS = [1, 2, 3, 7, 9]
EPOCHS = 2

# A step costs enough operations that all nine threads get some (a smaller network would get fewer threads),
# and no width is a multiple of a panel's.
WIDTHS = [137, 250, 33, 250, 137]
MIXED = Architecture(WIDTHS, ["gelu", "prelu", "tanh", "sigmoid"], initializer="orthogonal")
TIED = Architecture(WIDTHS, ["elu", "prelu", "softplus", "sigmoid"], tied=True, initializer="he_normal")
# The last batch of 100 has one row, the last one of 600 has 101.
X = data(701, 137)


@functools.cache
def start(architecture: Architecture, isa: str, seed: int) -> _core.Model:
    return architecture.model(isa, seed)


def outcome(
    architecture: Architecture, x: Float32Array, isa: str, seed: int = 1, **settings: Any
) -> tuple[str, list[tuple[float, float, float]], tuple[float, float]]:
    """Train a little; return the weights' digest, the epochs' losses and rates, and the validation losses."""
    of = trainer(start(architecture, isa, seed), x, x[:300], epochs=EPOCHS, **settings)
    history = []
    for _ in range(EPOCHS):
        report = of.run_epoch(None)
        assert report.outcome == "completed"
        history.append((report.loss, report.reconstruction_loss, report.learning_rate))
    return digest(completed_weights(of)), history, of.validation_losses()


def assert_one_outcome(architecture: Architecture, threads: list[int] = THREADS, **settings: Any) -> None:
    """Compare all numbers of threads on each instruction set, and the fused ones with each other."""
    fused = None
    for isa in ISAS:
        first = outcome(architecture, X, isa, threads=threads[0], **settings)
        for count in threads[1:]:
            assert outcome(architecture, X, isa, threads=count, **settings) == first, (isa, count)
        if isa in FUSED_ISAS:
            fused = fused or first
            assert first == fused, isa


@pytest.mark.parametrize("batch_size", [100, 600])
@pytest.mark.parametrize("clip_norm", [0.0, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("rule", RULES)
def test_every_optimizer(rule: str, clip_norm: float, batch_size: int) -> None:
    assert_one_outcome(
        MIXED,
        loss="binary_crossentropy",
        rule=RULES[rule](),
        clip_norm=clip_norm,
        batch_size=batch_size,
        l1=1e-6,
        l2=1e-5,
    )


@pytest.mark.parametrize("clip_norm", [0.0, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("batch_size", [100, 600])
def test_tied_weights(batch_size: int, clip_norm: float) -> None:
    assert_one_outcome(TIED, batch_size=batch_size, clip_norm=clip_norm, l1=1e-6, l2=1e-5)


@pytest.mark.parametrize("shuffle", ["rows", "blocks", "none"])
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_every_shuffle(shuffle: str, loss: str) -> None:
    assert_one_outcome(MIXED, threads=[1, 3, 9], shuffle=shuffle, loss=loss, batch_size=300)


@pytest.mark.parametrize(
    "initializer", ["glorot_normal", "he_uniform", "fan_in_uniform", "normal", "orthogonal"]
)
def test_initial_weights(initializer: str) -> None:
    """No instruction set has a say in them, not even the baseline."""
    architecture = Architecture([65, 130, 17, 65], ["relu", "prelu", "identity"], initializer=initializer)
    assert len({digest(architecture.model(isa, 5).get_weights()) for isa in ISAS}) == 1
    assert digest(architecture.model(None, 5).get_weights()) != digest(
        architecture.model(None, 6).get_weights()
    )


def test_fan_in_uniform_draws_kernels_and_biases() -> None:
    """Uniformly within 1 / sqrt(inputs) of 0, each from numbers of its own; others' biases are 0."""
    architecture = Architecture([400, 900, 300, 400], ["relu", "tanh", "identity"])
    zeros = architecture.model(None, 5).get_weights()
    architecture = dataclasses.replace(architecture, initializer="fan_in_uniform")
    weights = architecture.model(None, 5).get_weights()
    drawn = []
    for name, values in weights.items():
        layer = name.rpartition(".")[0]
        scaled = values.ravel() * np.sqrt(len(weights[f"{layer}.kernel"]))
        assert 0.98 < np.abs(scaled).max() <= 1.0
        assert scaled.mean() == pytest.approx(0.0, abs=4 / np.sqrt(3 * scaled.size))
        assert scaled.var() == pytest.approx(1 / 3, rel=8 / np.sqrt(scaled.size))
        drawn.append(scaled[:300])
        if name.endswith(".bias"):
            assert not zeros[name].any()
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 0.25


@pytest.mark.parametrize(
    "schedule",
    [
        _core.Schedule.step(1, 0.3),
        _core.Schedule.exponential(0.7),
        _core.Schedule.cosine(1, 0.1),
    ],
    ids=["step", "exponential", "cosine"],
)
def test_every_schedule(schedule: _core.Schedule) -> None:
    assert_one_outcome(MIXED, threads=[1, 3], schedule=schedule)


@pytest.mark.parametrize("architecture", [MIXED, TIED], ids=["free", "tied"])
@pytest.mark.parametrize("batch_size", [3, 32, 100, 600])
def test_many_threads(architecture: Architecture, batch_size: int) -> None:
    """So few rows for each that layers are shared out by units too; the network is worth all the threads."""
    x = X if batch_size > 32 else X[:97]
    for clip_norm in (0.0, 0.05):
        settings: dict[str, Any] = {"batch_size": batch_size, "clip_norm": clip_norm, "loss": "huber"}
        outcomes = [outcome(architecture, x, ISAS[-1], threads=n, **settings) for n in (1, 5, 16, 33, 64)]
        assert outcomes[1:] == outcomes[:1] * 4


def test_two_runs() -> None:
    first, second = (outcome(MIXED, X, ISAS[-1], threads=2) for _ in range(2))
    assert first == second


def test_outputs_and_errors() -> None:
    """What a fitted model computes is the same on every fused instruction set as well."""
    rows = _core.Rows(X)
    for architecture in (MIXED, TIED):
        results = {
            isa: (
                model.transform(rows, 2).tobytes(),
                model.reconstruct(rows, 3).tobytes(),
                model.feature_errors(rows, 1).tobytes(),
                *(model.row_errors(rows, loss, 2).tobytes() for loss in ("mse", "mae", "huber")),
                model.row_errors(rows, "binary_crossentropy", 2).tobytes(),
            )
            for isa in FUSED_ISAS
            for model in [architecture.trained_looking_model(isa)]
        }
        for one, other in itertools.pairwise(results):
            assert results[one] == results[other], (one, other)


def test_the_seeds_matter() -> None:
    """Or equal bits would prove nothing: the model's seed, and the trainer's where rows are shuffled."""
    isa = ISAS[-1]
    here = outcome(MIXED, X, isa, seed=1)[0]
    assert outcome(MIXED, X, isa, seed=2)[0] != here
    for shuffle in ("rows", "blocks", "none"):
        digests = {outcome(MIXED, X, isa, shuffle=shuffle, **{"seed": 1})[0] for _ in range(2)}
        assert len(digests) == 1
    for shuffle, different in (("rows", 2), ("blocks", 2), ("none", 1)):
        digests = set()
        for seed in (3, 4):
            of = trainer(MIXED.model(isa), X, shuffle=shuffle, seed=seed)
            of.run_epoch(None)
            digests.add(digest(completed_weights(of)))
        assert len(digests) == different, shuffle
