"""Learning-rate schedules as users name them. The rate of each step is computed in the C++ core.

In all formulas lr_0 is the estimator's `learning_rate` and epochs are counted from 0.
"""

import math
from abc import abstractmethod
from typing import ClassVar

from diabolo import _core
from diabolo._settings import Settings
from diabolo._validation import Integer, Real, Rule

__all__ = ["ConstantRate", "CosineDecay", "ExponentialDecay", "ReduceOnPlateau", "Schedule", "StepDecay"]

_FACTOR = Real(0.0, 1.0, above_low=True)


class Schedule(Settings):
    """Base of all schedules; not to be used itself. They are immutable and compare by value."""

    @abstractmethod
    def _core_schedule(self) -> _core.Schedule:
        """Return the formula and its numbers as the core wants them."""

    def _follower(self) -> "Plateau | None":
        """Return what makes factors of the rate of the losses of epochs, if the schedule looks at them."""
        return None


class ConstantRate(Schedule):
    """The learning rate stays what it is: lr = lr_0."""

    def _core_schedule(self) -> _core.Schedule:
        return _core.Schedule.constant()


class StepDecay(Schedule):
    """The learning rate falls by a factor every few epochs: lr = lr_0 factor^floor(epoch / epochs).

    Parameters
    ----------
    epochs : int >= 1, default 10
        Epochs between two falls.
    factor : float in (0, 1], default 0.5
        What the rate is multiplied by.
    """

    _rules: ClassVar[dict[str, Rule]] = {"epochs": Integer(1), "factor": _FACTOR}

    epochs: int
    factor: float

    def __init__(self, epochs: int = 10, factor: float = 0.5) -> None:
        self._store(epochs=epochs, factor=factor)

    def _core_schedule(self) -> _core.Schedule:
        return _core.Schedule.step(self.epochs, self.factor)


class ExponentialDecay(Schedule):
    """The learning rate falls by a factor every epoch: lr = lr_0 factor^epoch.

    Parameters
    ----------
    factor : float in (0, 1], default 0.95
        What the rate is multiplied by.
    """

    _rules: ClassVar[dict[str, Rule]] = {"factor": _FACTOR}

    factor: float

    def __init__(self, factor: float = 0.95) -> None:
        self._store(factor=factor)

    def _core_schedule(self) -> _core.Schedule:
        return _core.Schedule.exponential(self.factor)


class CosineDecay(Schedule):
    """The learning rate falls along half a cosine, after a linear rise if wanted, changing with every step.

    Over the steps of the first `warmup_epochs` epochs the rate rises linearly to lr_0; over the remaining
    ones it is ``lr_0 (final_fraction + (1 - final_fraction) (1 + cos(pi p)) / 2)``, p going from 0 to 1.

    Parameters
    ----------
    warmup_epochs : int >= 0, default 0
        Epochs of the rise; fewer than the estimator's `epochs`.
    final_fraction : float in [0, 1], default 0
        What remains of the rate at the end.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017 (the
    cosine, here without restarts).
    """

    _rules: ClassVar[dict[str, Rule]] = {"warmup_epochs": Integer(0), "final_fraction": Real(0.0, 1.0)}

    warmup_epochs: int
    final_fraction: float

    def __init__(self, warmup_epochs: int = 0, final_fraction: float = 0.0) -> None:
        self._store(warmup_epochs=warmup_epochs, final_fraction=final_fraction)

    def _core_schedule(self) -> _core.Schedule:
        return _core.Schedule.cosine(self.warmup_epochs, self.final_fraction)


class ReduceOnPlateau(Schedule):
    """The learning rate falls by a factor when the loss has not fallen for some epochs.

    The loss is that of the validation rows; without any, that of training.

    Parameters
    ----------
    factor : float in (0, 1), default 0.5
        What the rate is multiplied by.
    patience : int >= 1, default 5
        Epochs to wait for a better loss.
    min_delta : float >= 0, default 0
        By how much a loss must be below the best to count as better.
    cooldown : int >= 0, default 0
        Epochs after a fall before waiting begins again.
    min_fraction : float in [0, 1], default 0
        The part of lr_0 below which the rate does not fall.
    """

    _rules: ClassVar[dict[str, Rule]] = {
        "factor": Real(0.0, 1.0, above_low=True, below_high=True),
        "patience": Integer(1),
        "min_delta": Real(0.0),
        "cooldown": Integer(0),
        "min_fraction": Real(0.0, 1.0),
    }

    factor: float
    patience: int
    min_delta: float
    cooldown: int
    min_fraction: float

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 5,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_fraction: float = 0.0,
    ) -> None:
        self._store(
            factor=factor,
            patience=patience,
            min_delta=min_delta,
            cooldown=cooldown,
            min_fraction=min_fraction,
        )

    def _core_schedule(self) -> _core.Schedule:
        return _core.Schedule.constant()  # the rate changes between epochs, from outside

    def _follower(self) -> "Plateau":
        return Plateau(self)


class Plateau:
    """Follows the losses of a run, epoch by epoch; all it knows is a function of them."""

    def __init__(self, schedule: ReduceOnPlateau) -> None:
        self.schedule = schedule
        self.factor = 1.0
        self.best = math.inf
        self.epochs_waited = 0
        self.epochs_to_rest = 0

    def add(self, loss: float) -> None:
        """Take the loss of another epoch into account."""
        s = self.schedule
        if loss < self.best - s.min_delta or self.best == math.inf:
            self.best, self.epochs_waited = loss, 0
        elif self.epochs_to_rest == 0:
            self.epochs_waited += 1
        self.epochs_to_rest = max(0, self.epochs_to_rest - 1)
        if self.epochs_waited >= s.patience:
            self.factor = max(self.factor * s.factor, s.min_fraction)
            self.epochs_waited, self.epochs_to_rest = 0, s.cooldown


BY_NAME: dict[str, type[Schedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": CosineDecay,
    "plateau": ReduceOnPlateau,
}
