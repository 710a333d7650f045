"""Optimizers as users name them: hyper-parameters and formulas. The arithmetic is in the C++ core.

In all formulas w is a weight, g the gradient of the loss with respect to it (penalties included, clipped if
`clip_norm` is set), lr the learning rate of this step and t the number of the step, counted from 1. The state
(m, v, u) starts at zero. Operations are elementwise and in float32.
"""

from abc import abstractmethod
from typing import ClassVar

from diabolo import _core
from diabolo._settings import Settings
from diabolo._validation import Flag, Real, Rule

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop"]

_FRACTION = Real(0.0, 1.0, below_high=True)
_EPSILON = Real(0.0, above_low=True)


class Optimizer(Settings):
    """Base of all optimizers; not to be used itself. They are immutable and compare by value."""

    @abstractmethod
    def _update_rule(self) -> _core.UpdateRule:
        """Return the formula and its numbers as the core wants them."""


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    ::

        m  = beta_1 m + (1 - beta_1) g
        v  = beta_2 v + (1 - beta_2) g^2
        w -= lr * m_hat / (sqrt(v_hat) + epsilon)
        m_hat = m / (1 - beta_1^t),  v_hat = v / (1 - beta_2^t)

    Epsilon stands outside the square root and is added after the correction of the bias, as in the paper's
    Algorithm 1.

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Decay of the running means of the gradient and of its square.
    epsilon : float > 0, default 1e-8
        Added to the denominator.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from diabolo import Adam, AutoEncoder
    >>> AutoEncoder(optimizer=Adam(beta_1=0.95))
    AutoEncoder(optimizer=Adam(beta_1=0.95, beta_2=0.999, epsilon=1e-08))
    """

    _rules: ClassVar[dict[str, Rule]] = {"beta_1": _FRACTION, "beta_2": _FRACTION, "epsilon": _EPSILON}

    beta_1: float
    beta_2: float
    epsilon: float

    def __init__(self, *, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        self._store(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    def _update_rule(self) -> _core.UpdateRule:
        return _core.UpdateRule.adam(self.beta_1, self.beta_2, self.epsilon, 0.0)


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    As `Adam`, and in the same step ``w -= lr * weight_decay * w`` with w as it was before the step. The decay
    acts on kernels only, not on biases or slopes, and does not pass through m and v.

    Parameters
    ----------
    weight_decay : float >= 0, default 0.01
        Rate of the decay, in units of the learning rate.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Decay of the running means of the gradient and of its square.
    epsilon : float > 0, default 1e-8
        Added to the denominator, as in `Adam`.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    _rules: ClassVar[dict[str, Rule]] = {
        "weight_decay": Real(0.0),
        "beta_1": _FRACTION,
        "beta_2": _FRACTION,
        "epsilon": _EPSILON,
    }

    weight_decay: float
    beta_1: float
    beta_2: float
    epsilon: float

    def __init__(
        self, *, weight_decay: float = 0.01, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self._store(weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    def _update_rule(self) -> _core.UpdateRule:
        return _core.UpdateRule.adam(self.beta_1, self.beta_2, self.epsilon, self.weight_decay)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    ::

        u  = momentum u - lr g
        w += u                      # nesterov=False
        w += momentum u - lr g      # nesterov=True, with the new u

    With ``momentum=0`` both are ``w -= lr g``. There is no epsilon.

    Parameters
    ----------
    momentum : float in [0, 1), default 0
        Part of the last step that is taken again.
    nesterov : bool, default False
        Whether to look ahead along the momentum.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013.
    """

    _rules: ClassVar[dict[str, Rule]] = {"momentum": _FRACTION, "nesterov": Flag()}

    momentum: float
    nesterov: bool

    def __init__(self, *, momentum: float = 0.0, nesterov: bool = False) -> None:
        self._store(momentum=momentum, nesterov=nesterov)

    def _update_rule(self) -> _core.UpdateRule:
        return _core.UpdateRule.sgd(self.momentum, self.nesterov)


class RMSprop(Optimizer):
    """RMSprop: steps divided by a running root mean square of the gradient.

    ::

        v  = rho v + (1 - rho) g^2
        w -= lr * g / (sqrt(v) + epsilon)

    Epsilon stands outside the square root; v is not corrected for its bias.

    Parameters
    ----------
    rho : float in [0, 1), default 0.9
        Decay of the running mean of the squared gradient.
    epsilon : float > 0, default 1e-7
        Added to the denominator.

    References
    ----------
    T. Tieleman and G. Hinton, "Lecture 6.5 - rmsprop", COURSERA: Neural networks for machine learning, 2012.
    """

    _rules: ClassVar[dict[str, Rule]] = {"rho": _FRACTION, "epsilon": _EPSILON}

    rho: float
    epsilon: float

    def __init__(self, *, rho: float = 0.9, epsilon: float = 1e-7) -> None:
        self._store(rho=rho, epsilon=epsilon)

    def _update_rule(self) -> _core.UpdateRule:
        return _core.UpdateRule.rmsprop(self.rho, self.epsilon)


BY_NAME: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD, "rmsprop": RMSprop}
