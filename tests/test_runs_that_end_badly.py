"""Training that ends badly: numbers that are not finite, divergence, a hook that stops it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from core_helpers import (
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    hourglass,
    trainer,
)
from diabolo import _core
from test_training_steps import RULES


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(
    ("loss", "value"),
    [("mse", np.nan), ("mse", np.inf), ("mse", 1e30), ("mae", np.nan), ("mae", -np.inf), ("huber", np.inf)],
)
def test_a_loss_that_is_not_finite(loss: str, value: float, threads: int) -> None:
    """Seen before the update: a row of batch 2 spoils the step, and nothing of it is published."""
    x = data(200, 150)
    x[2 * 32 + 5, 149] = value
    of = trainer(
        hourglass([150, 200, 40]).model(), x, loss=loss, batch_size=32, shuffle="none", threads=threads
    )
    report = of.run_epoch(None)
    assert (report.outcome, report.epoch, report.step) == ("loss_not_finite", 0, 2)
    assert of.completed_model() is None


@pytest.mark.parametrize("clip_norm", [0.0, 1e30], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("rule", RULES)
def test_a_weight_that_is_not_finite(rule: str, threads: int, clip_norm: float) -> None:
    """Seen by the update itself: the loss of that step was finite."""
    of = trainer(
        hourglass([150, 200, 40]).model(),
        data(200, 150),
        rule=RULES[rule][0],
        learning_rate=1e300,
        batch_size=32,
        clip_norm=clip_norm,
        threads=threads,
    )
    report = of.run_epoch(None)
    assert (report.outcome, report.epoch, report.step) == ("weight_not_finite", 0, 0)
    assert of.completed_model() is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bias_that_is_not_finite(threads: int) -> None:
    """The gradients of the kernels are zero, those of the biases are not."""
    architecture = Architecture([40, 20, 40], ["relu", "identity"])
    model = architecture.model()
    weights = {name: np.zeros(shape, np.float32) for name, shape in model.parameter_shapes().items()}
    of = trainer(
        model.with_weights(weights),
        np.ones((10, 40), np.float32),
        rule=RULES["sgd"][0],
        learning_rate=1e300,
        threads=threads,
    )
    report = of.run_epoch(None)
    assert (report.outcome, report.step) == ("weight_not_finite", 0)


def divergence(
    learning_rate: float = 50.0, **settings: Any
) -> tuple[_core.Trainer, _core.EpochReport, list[dict[str, Float32Array]]]:
    """Run a linear network at a rate at which it diverges, until it does."""
    architecture = Architecture([30, 20, 30], ["identity", "identity"])
    of = trainer(
        architecture.trained_looking_model(),
        data(64, 30),
        rule=RULES["sgd"][0],
        learning_rate=learning_rate,
        shuffle="none",
        **settings,
    )
    completed = []
    for _ in range(200):
        report = of.run_epoch(None)
        if report.outcome != "completed":
            return of, report, completed
        completed.append(completed_weights(of))
    raise AssertionError("it never diverged")


@pytest.mark.parametrize(
    "settings",
    [{}, {"clip_norm": math.inf}, {"threads": 1}, {"batch_size": 16, "learning_rate": 3.0}],
)
def test_the_last_completed_epoch_survives_a_divergence(settings: dict[str, Any]) -> None:
    of, report, completed = divergence(**settings)
    assert report.outcome in ("loss_not_finite", "weight_not_finite")
    assert report.epoch == len(completed) >= 1
    survivors = completed_weights(of)
    assert digest(survivors) == digest(completed[-1])
    assert all(np.isfinite(w).all() for w in survivors.values())
    model = of.completed_model()
    assert model is not None
    assert np.isfinite(model.transform(_core.Rows(np.zeros((1, 30), np.float32)), 1)).all()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_hook_that_stops_the_run(threads: int) -> None:
    """Its exception comes out, in the middle of an epoch, and the last completed epoch stands."""
    x = data(20_000, 300)
    seen: list[int] = []

    def poll(rows: int, mean_loss: float) -> None:
        assert math.isfinite(mean_loss)
        seen.append(rows)
        if len(seen) == 3:
            raise KeyError("enough")

    of = trainer(hourglass([300, 400, 100]).model(), x, batch_size=64, threads=threads)
    of.run_epoch(None)
    first = digest(completed_weights(of))
    with pytest.raises(KeyError, match="enough"):
        of.run_epoch(poll)
    assert seen == sorted(seen)
    assert len(seen) == 3
    assert seen[-1] < len(x)
    assert digest(completed_weights(of)) == first
