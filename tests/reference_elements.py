"""Of the oracle (reference.py) what works on single numbers: activations and losses, and their derivatives.

All take complex numbers as well, for complex steps; every choice of a branch reads the real part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]  # float64, or complex128 in complex-step tests
Weights: TypeAlias = dict[str, Array]


def widen(a: ArrayLike) -> Array:
    """Return `a` in float64, or in complex128 if it is complex."""
    array = np.asarray(a)
    return array.astype(np.result_type(array.dtype, np.float64), copy=False)


def is_kernel(name: str) -> bool:
    """Say whether the weight of this name is a kernel: only kernels are penalised and decayed."""
    return name.endswith(".kernel")


# ------------------------------------------------------------------------------------------------------------
# Activations: y = f(z)
# ------------------------------------------------------------------------------------------------------------


def magnitude(z: Array) -> Array:
    """|z|, continued analytically from each half of the real line: z where Re z >= 0, else -z."""
    return np.where(z.real >= 0, z, -z)


# erfc(a + ib) = erfc(a) - ib 2/sqrt(pi) exp(-a^2) + O(b^2): exact for the tiny b of a complex step.
def erfc(x: Array) -> Array:
    """Complementary error function, 1 - erf(x); a complex `x` may have only a tiny imaginary part."""
    a = x.real
    value = np.array([math.erfc(element) for element in a.flat]).reshape(a.shape)
    if not np.iscomplexobj(x):
        return value
    if np.any(np.abs(x.imag) > 1e-12):
        raise ValueError("erfc takes imaginary parts of at most 1e-12: it is meant for complex steps.")
    return value - 1j * x.imag * 2.0 / math.sqrt(math.pi) * np.exp(-a * a)


# sigma(z) = 1 / (1 + exp(-z)) = exp(z) / (1 + exp(z)): whichever form does not overflow.
def sigmoid(z: Array) -> Array:
    """Logistic function."""
    e = np.exp(-magnitude(z))
    return np.where(z.real >= 0, 1.0, e) / (1.0 + e)


# sigma'(z) = sigma(z) (1 - sigma(z)) = sigma(z) sigma(-z), the last without cancellation.
def sigmoid_derivative(z: Array) -> Array:
    """Derivative of the logistic function."""
    return sigmoid(z) * sigmoid(-z)


# tanh(z) = 2 sigma(2z) - 1, so tanh'(z) = 1 - tanh(z)^2 = 4 sigma'(2z), the last without cancellation.
def tanh_derivative(z: Array) -> Array:
    """Derivative of the hyperbolic tangent."""
    return 4.0 * sigmoid_derivative(2.0 * z)


# Phi(z) = (1 + erf(z / sqrt 2)) / 2 = erfc(-z / sqrt 2) / 2, the last without cancellation for z << 0.
def normal_cdf(z: Array) -> Array:
    """Cumulative distribution of the standard normal."""
    return 0.5 * erfc(-z / math.sqrt(2.0))


# phi(z) = Phi'(z) = exp(-z^2 / 2) / sqrt(2 pi)
def normal_density(z: Array) -> Array:
    """Density of the standard normal."""
    return np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


# gelu(z) = z Phi(z)
def gelu(z: Array) -> Array:
    """Gaussian error linear unit, exact."""
    return z * normal_cdf(z)


# gelu'(z) = Phi(z) + z phi(z)
def gelu_derivative(z: Array) -> Array:
    """Derivative of `gelu`."""
    return normal_cdf(z) + z * normal_density(z)


# silu(z) = z sigma(z)
def silu(z: Array) -> Array:
    """Sigmoid linear unit, also called swish."""
    return z * sigmoid(z)


# silu'(z) = sigma(z) + z sigma'(z)
def silu_derivative(z: Array) -> Array:
    """Derivative of `silu`."""
    return sigmoid(z) + z * sigmoid_derivative(z)


# softplus(z) = log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)); its derivative is sigma(z).
def softplus(z: Array) -> Array:
    """Smooth version of relu."""
    return np.where(z.real > 0, z, 0.0) + np.log1p(np.exp(-magnitude(z)))


@dataclass(frozen=True)
class Smooth:
    """An activation with one formula; its methods ignore `positive` and `slope`."""

    f: Callable[[Array], Array]
    f_derivative: Callable[[Array], Array]
    piecewise = False

    def value(self, z: Array, positive: Array | None = None, slope: Array | None = None) -> Array:
        """f(z)."""
        return self.f(z)

    def derivative(self, z: Array, positive: Array | None = None, slope: Array | None = None) -> Array:
        """df/dz."""
        return self.f_derivative(z)


@dataclass(frozen=True)
class Piecewise:
    """An activation with y = z where `positive` (by default z > 0) and y = below(z, slope) elsewhere."""

    below: Callable[[Array, Array | None], Array]
    below_derivative: Callable[[Array, Array | None], Array]
    piecewise = True

    def value(self, z: Array, positive: Array | None = None, slope: Array | None = None) -> Array:
        """f(z)."""
        positive = branch_taken(z, positive)
        return np.where(positive, z, self.below(np.where(positive, 0.0, z), slope))

    def derivative(self, z: Array, positive: Array | None = None, slope: Array | None = None) -> Array:
        """df/dz."""
        positive = branch_taken(z, positive)
        return np.where(positive, 1.0, self.below_derivative(np.where(positive, 0.0, z), slope))


def branch_taken(z: Array, positive: Array | None) -> Array:
    """Return the branch given or, if none is, z > 0."""
    return z.real > 0 if positive is None else positive


ACTIVATIONS: dict[str, Smooth | Piecewise] = {
    "identity": Smooth(lambda z: z, np.ones_like),
    "sigmoid": Smooth(sigmoid, sigmoid_derivative),
    "tanh": Smooth(np.tanh, tanh_derivative),
    "relu": Piecewise(lambda z, slope: np.zeros_like(z), lambda z, slope: np.zeros_like(z)),
    "leaky_relu": Piecewise(lambda z, slope: 0.01 * z, lambda z, slope: np.full_like(z, 0.01)),
    "elu": Piecewise(lambda z, slope: np.expm1(z), lambda z, slope: np.exp(z)),
    "prelu": Piecewise(lambda z, slope: slope * z, lambda z, slope: slope * np.ones_like(z)),
    "gelu": Smooth(gelu, gelu_derivative),
    "silu": Smooth(silu, silu_derivative),
    "softplus": Smooth(softplus, sigmoid),
}


# ------------------------------------------------------------------------------------------------------------
# Losses: per element; the mean over rows and features is taken in `reconstruction`
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """Value and derivative per element, each a function of (prediction, target, branch).

    The prediction is the network's output y or, where `reads_pre_activation`, the z before a final sigmoid.
    `branch_of(prediction, target)` says which piece of a piecewise loss each element is on.
    """

    value: Callable[[Array, Array, Any], Array]
    derivative: Callable[[Array, Array, Any], Array]
    branch_of: Callable[[Array, Array], Array] | None = None
    reads_pre_activation: bool = False


# Squared error: d^2 with d = y - t; derivative 2 d.
def squared_error(y: Array, t: Array, branch: Array | None) -> Array:
    """Squared error per element."""
    return (y - t) ** 2


def squared_error_derivative(y: Array, t: Array, branch: Array | None) -> Array:
    """Derivative of `squared_error` in y."""
    return 2.0 * (y - t)


# Absolute error: |d| = s d with s = sign(d) in {-1, 0, 1}; derivative s.
def absolute_error_branch(y: Array, t: Array) -> Array:
    """Sign of y - t."""
    return np.sign((y - t).real)


def absolute_error(y: Array, t: Array, sign: Array) -> Array:
    """Absolute error per element."""
    return sign * (y - t)


def absolute_error_derivative(y: Array, t: Array, sign: Array) -> Array:
    """Derivative of `absolute_error` in y."""
    return sign


# Huber: inside, |d| <= 1, side = 0: d^2 / 2, derivative d.
# Outside, side = sign(d): |d| - 1/2 = side d - 1/2, derivative side.
def huber_branch(y: Array, t: Array) -> Array:
    """-1 where y - t is below -1, 1 where it is above 1, 0 between."""
    d = (y - t).real
    return np.where(d > 1.0, 1, np.where(d < -1.0, -1, 0))


def huber(y: Array, t: Array, side: Array) -> Array:
    """Huber loss per element, with delta = 1."""
    d = y - t
    return np.where(side == 0, 0.5 * d * d, side * d - 0.5)


def huber_derivative(y: Array, t: Array, side: Array) -> Array:
    """Derivative of `huber` in y."""
    return np.where(side == 0, y - t, side)


# Hinge: max(0, 1 - t y); derivative -t where it is positive (branch 1), else 0.
def hinge_branch(y: Array, t: Array) -> Array:
    """1 where the margin t y is below 1, else 0."""
    return np.where((1.0 - t * y).real > 0.0, 1, 0)


def hinge(y: Array, t: Array, within: Array) -> Array:
    """Hinge loss per element, for targets -1 and 1."""
    return within * (1.0 - t * y)


def hinge_derivative(y: Array, t: Array, within: Array) -> Array:
    """Derivative of `hinge` in y."""
    return -within * t


# Cross-entropy: -t log sigma(z) - (1 - t) log(1 - sigma(z)) = softplus(z) - t z.
# Derivative in z: sigma(z) - t.
def binary_crossentropy(z: Array, t: Array, branch: Array | None) -> Array:
    """Binary cross-entropy per element, from the pre-activation of a sigmoid."""
    return softplus(z) - t * z


def binary_crossentropy_derivative(z: Array, t: Array, branch: Array | None) -> Array:
    """Derivative of `binary_crossentropy` in z."""
    return sigmoid(z) - t


LOSSES: dict[str, Loss] = {
    "mse": Loss(squared_error, squared_error_derivative),
    "mae": Loss(absolute_error, absolute_error_derivative, branch_of=absolute_error_branch),
    "huber": Loss(huber, huber_derivative, branch_of=huber_branch),
    "hinge": Loss(hinge, hinge_derivative, branch_of=hinge_branch),
    "binary_crossentropy": Loss(
        binary_crossentropy, binary_crossentropy_derivative, reads_pre_activation=True
    ),
}
