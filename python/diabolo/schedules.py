"""Learning-rate schedules as users name them. The rate of each step is computed in the C++ core.

In all formulas lr_0 is the estimator's `learning_rate` and epochs are counted from 0.
"""

from typing import ClassVar

from diabolo import _core
from diabolo._settings import Settings
from diabolo._validation import Integer, Real, Rule

__all__ = ["ConstantRate", "CosineDecay", "ExponentialDecay", "Schedule", "StepDecay"]

_FACTOR = Real(0.0, 1.0, above_low=True)


class Schedule(Settings):
    """Base of all schedules; not to be used itself. They are immutable and compare by value."""

    def _core_schedule(self) -> _core.Schedule:
        raise NotImplementedError


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


BY_NAME: dict[str, type[Schedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": CosineDecay,
}
