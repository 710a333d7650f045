"""Restricted Boltzmann machines as the layers of a network: the training of one, by contrastive divergence.

The arithmetic is the core's (`cpp/model/boltzmann.h`); what an epoch's momentum is, is decided here.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from diabolo import _core
from diabolo._fitted import Scaler
from diabolo._fitting import EpochReport, TrainingRun
from diabolo._progress import progress_for
from diabolo._types import Float32Array, Poll
from diabolo._validation import Integer, OrNone, Real, Rule, checked
from diabolo.schedules import ConstantRate

# Hinton's "practical guide": small weights, so that hidden units begin with little to say, and little
# momentum as long as the gradient is large.
_INITIAL_DEVIATION = 0.01
_EPOCHS_OF_INITIAL_MOMENTUM = 5

# Learning rates of Hinton and Salakhutdinov's program: units with real values bear no greater one.
_BINARY_RATE, _REAL_RATE = 0.1, 0.001

RULES: dict[str, tuple[Rule, Any]] = {  # with the defaults
    "learning_rate": (OrNone(Real(0.0, above_low=True)), None),
    "steps": (Integer(1), 1),
    "momentum": (Real(0.0, 1.0, below_high=True), 0.9),
    "initial_momentum": (Real(0.0, 1.0, below_high=True), 0.5),
    "weight_decay": (Real(0.0), 2e-4),
    "batch_size": (Integer(1), 100),
}


class Units:
    """The activations of one machine's two kinds of units: "sigmoid" (binary) or "identity" (normal)."""

    def __init__(self, visible: str, hidden: str) -> None:
        self.visible = visible
        self.hidden = hidden

    @property
    def loss(self) -> str:
        """What compares visible units with their reconstruction, in the history."""
        return "binary_crossentropy" if self.visible == "sigmoid" else "mse"


def machine_parameters(owner: str, given: Mapping[str, object], units: Units) -> SimpleNamespace:
    """Return the (known) hyper-parameters of a machine, checked; raise InvalidParameterError."""
    p = SimpleNamespace(
        **{name: checked(owner, name, rule, given.get(name, value)) for name, (rule, value) in RULES.items()}
    )
    if p.learning_rate is None:
        binary = units.visible == units.hidden == "sigmoid"
        p.learning_rate = _BINARY_RATE if binary else _REAL_RATE
    return p


def train_machine(
    estimator: Any,
    p: SimpleNamespace,
    units: Units,
    rows: _core.Rows,
    hidden: int,
    *,
    epochs: int,
    scaler: Scaler | None,
    shuffle: Any,
    seed: int,
    threads: int,
    verbose: int,
) -> tuple[_core.Model, dict[str, tuple[float, ...]]]:
    """Train a machine of `hidden` units on rows; return it as a model, and its history.

    The model's weights are those of a tied autoencoder of one layer: "encoder.0.kernel" and ".bias", and
    "decoder.0.bias". KeyboardInterrupt and TrainingDivergedError come through.
    """
    model = _new_machine(units, rows.features, hidden, p.steps, seed)
    if scaler is not None:
        model.set_scaler(*scaler)

    def new_trainer(momentum: float) -> _core.Trainer:
        return _core.Trainer(
            model,
            rows,
            None,
            loss=units.loss,
            batch_size=min(p.batch_size, rows.count),
            epochs=epochs,
            learning_rate=p.learning_rate,
            schedule=_core.Schedule.constant(),
            rule=_core.UpdateRule.sgd(momentum, False),
            l1=0.0,
            l2=0.5 * p.weight_decay,  # the penalty's gradient is 2 l2 w
            clip_norm=0.0,
            shuffle=shuffle,
            seed=seed,
            threads=threads,
        )

    run = TrainingRun(
        estimator,
        SimpleNamespace(
            epochs=epochs,
            early_stopping=False,
            max_seconds=None,
            callbacks=None,
            learning_rate=p.learning_rate,
            schedule=ConstantRate(),
            clip_norm=0.0,
            scale="none",  # neither is advised when a machine diverges
        ),
        _RisingMomentum(new_trainer, p.initial_momentum, p.momentum),
        lambda outcome: outcome,
        validates=False,
        progress=progress_for(verbose, epochs, rows.count),
    )
    outcome = run.run()
    return outcome.model, outcome.history


def _new_machine(units: Units, visible: int, hidden: int, steps: int, seed: int) -> _core.Model:
    layers: list[_core.Layer] = [
        _core.BoltzmannHidden("encoder.0", visible, hidden, units.hidden),
        _core.BoltzmannVisible("decoder.0", hidden, visible, units.visible, "encoder.0", units.hidden, steps),
    ]
    tied: list[_core.Layer] = [
        _core.Dense("encoder.0", visible, hidden, units.hidden, "normal"),
        _core.Dense("decoder.0", hidden, visible, units.visible, "normal", "encoder.0"),
    ]
    weights = _core.Model(tied, 1, seed).get_weights()
    kernel: Float32Array = weights["encoder.0.kernel"]
    kernel *= np.float32(_INITIAL_DEVIATION / 0.05)  # which is the deviation of "normal"
    return _core.Model(layers, 1, seed).with_weights(weights)


class _RisingMomentum:
    """A trainer whose momentum is another after the first epochs; the run is one all the same."""

    def __init__(self, new_trainer: Callable[[float], _core.Trainer], initial: float, later: float) -> None:
        self.new_trainer = new_trainer
        self.later = later
        self.trainer = new_trainer(initial)

    def run_epoch(self, poll: Poll | None) -> EpochReport:
        last = self.trainer.completed_report()
        if last is not None and last.epoch + 1 == _EPOCHS_OF_INITIAL_MOMENTUM:
            before = self.trainer
            model = before.completed_model()
            assert model is not None  # that of the report
            self.trainer = self.new_trainer(self.later)
            self.trainer.resume(last, model.get_weights(), None, before.moments(), before.kept_states())
        return self.trainer.run_epoch(poll)

    def measure_names(self) -> list[str]:
        return self.trainer.measure_names()

    def validation_losses(self) -> tuple[float, float]:
        return self.trainer.validation_losses()

    def set_learning_rate(self, rate: float) -> None:
        self.trainer.set_learning_rate(rate)

    def keep_best(self) -> None:
        self.trainer.keep_best()

    def best_model(self) -> _core.Model:
        return self.trainer.best_model()

    def completed_model(self) -> _core.Model | None:
        return self.trainer.completed_model()

    def completed_report(self) -> _core.EpochReport | None:
        return self.trainer.completed_report()
