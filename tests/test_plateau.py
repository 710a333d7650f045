"""The schedule that looks at the losses: reduce on plateau."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from diabolo import InvalidParameterError, ReduceOnPlateau
from diabolo.schedules import Plateau
from estimator_helpers import estimator


def factors(losses: list[float], **settings: Any) -> list[float]:
    """Return the factor of each epoch's rate, before it is run."""
    plateau = Plateau(ReduceOnPlateau(**settings))
    result = []
    for loss in losses:
        result.append(plateau.factor)
        plateau.add(loss)
    return result


@pytest.mark.parametrize(
    ("losses", "settings", "expected"),
    [
        ([5, 4, 3, 2, 1], {"patience": 1}, [1, 1, 1, 1, 1]),
        ([5, 5, 5, 5, 5, 5], {"patience": 2}, [1, 1, 1, 0.5, 0.5, 0.25]),
        ([5, 6, 4, 6, 6, 3], {"patience": 2}, [1, 1, 1, 1, 1, 0.5]),
        ([5, 5, 5, 5, 5, 5], {"patience": 1, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.25]),
        ([5, 5, 5, 5, 5], {"patience": 1, "min_fraction": 0.3}, [1, 1, 0.5, 0.3, 0.3]),
        ([5, 4.95, 4.9, 4.0], {"patience": 2, "min_delta": 0.2, "factor": 0.1}, [1, 1, 1, 0.1]),
        ([-5, -6, -6], {"patience": 1}, [1, 1, 1]),
    ],
)
def test_when_the_rate_falls(losses: list[float], settings: dict[str, Any], expected: list[float]) -> None:
    assert factors(losses, **settings) == pytest.approx(expected)


@pytest.mark.parametrize("validates", [True, False])
def test_training_follows_the_losses(validates: bool, X: Any) -> None:
    schedule = ReduceOnPlateau(factor=0.3, patience=2)
    ae = estimator(schedule=schedule, epochs=40, learning_rate=0.1, optimizer="rmsprop")
    ae.set_params(validation_fraction=0.2 if validates else 0.0).fit(X)
    history = ae.history_
    followed = history["val_loss" if validates else "loss"]
    rates = [0.1 * factor for factor in factors(followed, factor=0.3, patience=2)]
    assert history["learning_rate"] == pytest.approx(rates)
    assert len(set(rates)) > 2


def test_saved_resumed_and_continued(X: Any, tmp_path: Path) -> None:
    settings = {"schedule": ReduceOnPlateau(patience=1), "learning_rate": 0.1, "epochs": 20}
    whole = estimator(**settings).fit(X)
    run = tmp_path / "run"
    stop = type("Stop", (), {"on_epoch_end": lambda self, state: len(state.history["loss"]) == 9})()
    estimator(**settings, checkpoint=run, callbacks=[stop]).fit(X)
    resumed = estimator(**settings).fit(X, resume_from=run)
    assert resumed.history_["learning_rate"] == whole.history_["learning_rate"]
    for name, weight in whole.get_weights().items():
        np.testing.assert_array_equal(resumed.get_weights()[name], weight)
    assert diabolo.load(run).schedule == settings["schedule"]
    assert len(set(whole.history_["learning_rate"])) > 1

    by_parts = estimator(**settings)
    for _ in range(20):
        by_parts.partial_fit(X)
    history = by_parts.history_
    rates = [0.1 * factor for factor in factors(history["loss"], patience=1)]
    assert history["learning_rate"] == pytest.approx(rates)
    blocks = estimator(**settings).fit_blocks([X[:100], X[100:]]).history_
    rates = [0.1 * factor for factor in factors(blocks["loss"], patience=1)]
    assert blocks["learning_rate"] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1.0}, r"factor must be a number in \(0, 1\). Got 1.0"),
        ({"factor": 0.0}, "factor must be"),
        ({"patience": 0}, "patience must be an int >= 1. Got 0"),
        ({"min_delta": -1.0}, "min_delta must be"),
        ({"cooldown": -1}, "cooldown must be an int >= 0"),
        ({"min_fraction": 2.0}, "min_fraction must be"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"ReduceOnPlateau: {message}"):
        ReduceOnPlateau(**settings)
