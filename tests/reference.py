"""The oracle: a whole training step of a dense autoencoder in NumPy float64; no speed, masks or randomness.

Weights are a dict of arrays: `"encoder.0.kernel"` (inputs, outputs), `"encoder.0.bias"` (outputs,) and, where
the activation is prelu, `"encoder.0.slope"` (outputs,). The loss and its parts also accept complex weights,
so that a gradient can be checked by a complex step, df/dw = imag f(w + ih) / h; hence every choice of a
branch reads the real part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]  # float64, or complex128 in complex-step tests
Weights: TypeAlias = dict[str, Array]


def widen(a: ArrayLike) -> Array:
    """Return `a` in float64, or in complex128 if it is complex."""
    array = np.asarray(a)
    return array.astype(np.result_type(array.dtype, np.float64), copy=False)


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


# ------------------------------------------------------------------------------------------------------------
# The network
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One dense layer, y = f(x W + b).

    Parameters
    ----------
    name : str
        Prefix of the layer's weights: `"encoder.0"`.
    activation : str
        A key of `ACTIVATIONS`.
    tied_to : str or None
        The layer whose kernel, transposed, is this layer's kernel; a tied layer has a bias (and slope) of its
        own.
    """

    name: str
    activation: str
    tied_to: str | None = None


@dataclass
class Branches:
    """Which pieces of the piecewise functions a run took; what is absent is decided from the numbers at hand.

    Near a kink float32 and float64 may disagree about the side, and then their gradients need not agree.
    """

    positive: dict[str, Array] = field(default_factory=dict)  # per layer name: bool (rows, outputs)
    loss: Array | None = None  # (rows, features): -1, 0 or 1


@dataclass
class Trace:
    """What a forward pass leaves, per layer name."""

    inputs: dict[str, Array] = field(default_factory=dict)  # x: (rows, inputs)
    z: dict[str, Array] = field(default_factory=dict)  # z = x W + b: (rows, outputs)
    y: dict[str, Array] = field(default_factory=dict)  # y = f(z): (rows, outputs)


@dataclass
class Result:
    """The loss of one batch, its two parts, and its gradient in every weight."""

    loss: Any  # float, or complex in complex-step tests; likewise the next two
    reconstruction_loss: Any
    penalty: Any
    gradients: Weights


def branches_of(
    layers: Sequence[Layer], activations_float32: dict[str, Array], targets: ArrayLike, loss: str
) -> Branches:
    """Read from a float32 run which branches it took.

    Parameters
    ----------
    layers : sequence of Layer
        The network.
    activations_float32 : dict
        The pre-activations z (rows, outputs) by layer name, needed where the activation is piecewise, and the
        network's output y (rows, features) as `"output"`, needed where the loss is piecewise.
    targets : array of shape (rows, features)
        What the output is compared with, in float32 as the run does.
    loss : str
        A key of `LOSSES`.

    Returns
    -------
    Branches
        To be handed to `forward` or `loss_and_gradients`.
    """
    branches = Branches()
    for layer in layers:
        if ACTIVATIONS[layer.activation].piecewise:
            branches.positive[layer.name] = activations_float32[layer.name] > 0
    branch_of = LOSSES[loss].branch_of
    if branch_of is not None:
        branches.loss = branch_of(activations_float32["output"], np.asarray(targets, dtype=np.float32))
    return branches


def is_kernel(name: str) -> bool:
    """Say whether the weight of this name is a kernel: only kernels are penalised and decayed."""
    return name.endswith(".kernel")


def kernel_of(layer: Layer, weights: Weights) -> Array:
    """Kernel (inputs, outputs) of a layer: its own, or the transpose of the one it is tied to."""
    if layer.tied_to is None:
        return weights[f"{layer.name}.kernel"]
    return weights[f"{layer.tied_to}.kernel"].T


# x_0 = x;  z_k = x_k W_k + b_k;  y_k = f_k(z_k);  x_{k+1} = y_k
def forward(
    layers: Sequence[Layer], weights: Weights, x: ArrayLike, branches: Branches | None = None
) -> Trace:
    """Run the network on the rows of `x`, (rows, inputs)."""
    branches = branches or Branches()
    weights = {name: widen(w) for name, w in weights.items()}
    trace = Trace()
    y = widen(x)
    for layer in layers:
        name = layer.name
        trace.inputs[name] = y
        z = y @ kernel_of(layer, weights) + weights[f"{name}.bias"]
        y = ACTIVATIONS[layer.activation].value(z, branches.positive.get(name), weights.get(f"{name}.slope"))
        trace.z[name] = z
        trace.y[name] = y
    return trace


# With n = rows features, p the prediction the loss reads: L = sum l(p, t) / n and dL/dp = l'(p, t) / n.
def reconstruction(
    last: Layer,
    trace: Trace,
    target: Array,
    loss: str,
    branch: Array | None,
    element_weights: ArrayLike = 1.0,
) -> tuple[Any, Array]:
    """Return the mean loss, and its gradient in y (in z where the loss reads the pre-activation).

    Each element's loss counts `element_weights` times, and the mean is over all elements. (Weights of rows
    are such factors, divided by their mean.)
    """
    terms = LOSSES[loss]
    if terms.reads_pre_activation and last.activation != "sigmoid":
        raise ValueError(f"{loss} needs a sigmoid output layer. Got {last.activation!r}.")
    prediction = (trace.z if terms.reads_pre_activation else trace.y)[last.name]
    if prediction.shape != target.shape:
        raise ValueError(f"target must have the output's shape {prediction.shape}. Got {target.shape}.")
    if branch is None and terms.branch_of is not None:
        branch = terms.branch_of(prediction, target)
    if branch is not None:
        branch = widen(branch)
    value = np.mean(element_weights * terms.value(prediction, target, branch))
    return value, element_weights * terms.derivative(prediction, target, branch) / target.size


# P = l1 sum |w| + l2 sum w^2 over all w of all stored kernels, a shared one once
def kernel_penalty(weights: Weights, l1: float, l2: float) -> Any:
    """Penalty on the kernels."""
    kernels = [w for name, w in weights.items() if is_kernel(name)]
    return sum(l1 * np.sum(np.sign(w.real) * w) + l2 * np.sum(w * w) for w in kernels)


# dP/dw = l1 sign(w) + 2 l2 w, with sign(0) = 0
def kernel_penalty_gradient(w: Array, l1: float, l2: float) -> Array:
    """Gradient of the penalty in one kernel."""
    return l1 * np.sign(w.real) + 2.0 * l2 * w


# From the last layer to the first, y = f(z), z = x W + b:
#   dL/dz = dL/dy f'(z)     dL/dW = x^T dL/dz     dL/db = sum over rows of dL/dz     dL/dx = dL/dz W^T
# prelu, y = slope z below:     dL/dslope = sum over rows of dL/dy z, where not positive
# A layer tied to a kernel W uses W^T, and adds (x^T dL/dz)^T to dL/dW.
def backward(
    layers: Sequence[Layer],
    weights: Weights,
    trace: Trace,
    dy: Array,
    branches: Branches | None = None,
    from_z: bool = False,
) -> tuple[Weights, Array]:
    """Return the gradient in every weight, 0 in those of other layers, and in the input.

    `dy` is the gradient in the last layer's output, or with `from_z` in its pre-activation.
    """
    branches = branches or Branches()
    gradients = {name: np.zeros_like(w) for name, w in weights.items()}
    for layer in reversed(layers):
        name = layer.name
        z = trace.z[name]  # (rows, outputs), like dy and dz
        positive = branches.positive.get(name)
        slope = weights.get(f"{name}.slope")
        if layer is layers[-1] and from_z:
            dz = dy  # differentiated in z already
        else:
            dz = dy * ACTIVATIONS[layer.activation].derivative(z, positive, slope)
        if layer.activation == "prelu":
            gradients[f"{name}.slope"] = np.sum(np.where(branch_taken(z, positive), 0.0, dy * z), axis=0)
        gradients[f"{name}.bias"] = np.sum(dz, axis=0)
        dkernel = trace.inputs[name].T @ dz  # (inputs, outputs)
        owner, term = (name, dkernel) if layer.tied_to is None else (layer.tied_to, dkernel.T)
        gradients[f"{owner}.kernel"] = gradients[f"{owner}.kernel"] + term
        dy = dz @ kernel_of(layer, weights).T  # (rows, inputs): dL/dy of the layer before
    return gradients, dy


def loss_and_gradients(
    layers: Sequence[Layer],
    weights: Weights,
    x: ArrayLike,
    target: ArrayLike,
    loss: str,
    l1: float = 0.0,
    l2: float = 0.0,
    branches: Branches | None = None,
    element_weights: ArrayLike = 1.0,
) -> Result:
    """Return the loss of one batch and its gradient in every weight.

    Parameters
    ----------
    layers : sequence of Layer
        The network, input to output.
    weights : dict of arrays
        Its weights by name.
    x, target : arrays of shape (rows, inputs) and (rows, features)
        The batch.
    loss : str
        A key of `LOSSES`.
    l1, l2 : float
        Coefficients of the penalty l1 sum |w| + l2 sum w^2 over the kernels.
    branches : Branches or None
        Branches to take instead of those the float64 numbers would.
    element_weights : array broadcastable to the target's shape
        How often each element's loss counts.

    Returns
    -------
    Result
        The gradients have the names and shapes of `weights`.
    """
    branches = branches or Branches()
    weights = {name: widen(w) for name, w in weights.items()}
    trace = forward(layers, weights, x, branches)
    value, dy = reconstruction(layers[-1], trace, widen(target), loss, branches.loss, element_weights)

    gradients, _ = backward(layers, weights, trace, dy, branches, from_z=LOSSES[loss].reads_pre_activation)
    for name, w in weights.items():
        if is_kernel(name):
            gradients[name] = gradients[name] + kernel_penalty_gradient(w, l1, l2)
    penalty = kernel_penalty(weights, l1, l2)
    return Result(value + penalty, value, penalty, gradients)


# norm = sqrt(sum of squares over all elements of all tensors);  g <- g min(1, clip_norm / norm)
def clip_by_global_norm(gradients: Weights, clip_norm: float) -> tuple[Weights, float]:
    """Scale all gradients together to a norm of at most `clip_norm`; return them and their norm before."""
    norm = math.sqrt(sum(float(np.sum(widen(g) ** 2)) for g in gradients.values()))
    scale = clip_norm / norm if norm > clip_norm else 1.0
    return {name: widen(g) * scale for name, g in gradients.items()}, norm


# ------------------------------------------------------------------------------------------------------------
# Optimisers: new weights from weights, gradients and the learning rate; state per weight name, at first 0
# ------------------------------------------------------------------------------------------------------------


class Optimizer(Protocol):
    """What `train` asks of an optimiser."""

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        ...


# m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2
# w <- w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon),   t = 1, 2, ...
class Adam:
    """Kingma & Ba (2015), Algorithm 1: epsilon stands outside the root, after the correction."""

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m: Weights = {}
        self.v: Weights = {}
        self.t = 0

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        self.t += 1
        updated = {}
        for name, w in weights.items():
            g = widen(gradients[name])
            self.m[name] = self.beta_1 * self.m.get(name, np.zeros_like(g)) + (1.0 - self.beta_1) * g
            self.v[name] = self.beta_2 * self.v.get(name, np.zeros_like(g)) + (1.0 - self.beta_2) * g * g
            m_corrected = self.m[name] / (1.0 - self.beta_1**self.t)
            v_corrected = self.v[name] / (1.0 - self.beta_2**self.t)
            updated[name] = widen(w) - rate * m_corrected / (np.sqrt(v_corrected) + self.epsilon)
        return updated


# w <- w - rate weight_decay w for kernels;   then Adam, whose gradient knows nothing of the decay
class AdamW(Adam):
    """Loshchilov & Hutter (2019): Adam with decoupled decay, of kernels only."""

    def __init__(
        self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
    ) -> None:
        super().__init__(beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        decayed = {}
        for name, w in weights.items():
            w = widen(w)
            decayed[name] = w - rate * self.weight_decay * w if is_kernel(name) else w
        return super().update(decayed, gradients, rate)


# u <- momentum u - rate g;   w <- w + u,   or with nesterov   w <- w + momentum u - rate g
class SGD:
    """Stochastic gradient descent with classical or Nesterov momentum, Sutskever et al. (2013)."""

    def __init__(self, momentum: float = 0.0, nesterov: bool = False) -> None:
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity: Weights = {}

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        updated = {}
        for name, w in weights.items():
            g = widen(gradients[name])
            velocity = self.momentum * self.velocity.get(name, np.zeros_like(g)) - rate * g
            self.velocity[name] = velocity
            updated[name] = widen(w) + (self.momentum * velocity - rate * g if self.nesterov else velocity)
        return updated


# v <- rho v + (1 - rho) g^2;   w <- w - rate g / (sqrt(v) + epsilon)
class RMSprop:
    """Tieleman & Hinton (2012), neither centred nor with momentum."""

    def __init__(self, rho: float = 0.9, epsilon: float = 1e-7) -> None:
        self.rho, self.epsilon = rho, epsilon
        self.v: Weights = {}

    def update(self, weights: Weights, gradients: Weights, rate: float) -> Weights:
        """Return the weights after one step."""
        updated = {}
        for name, w in weights.items():
            g = widen(gradients[name])
            self.v[name] = self.rho * self.v.get(name, np.zeros_like(g)) + (1.0 - self.rho) * g * g
            updated[name] = widen(w) - rate * g / (np.sqrt(self.v[name]) + self.epsilon)
        return updated


# ------------------------------------------------------------------------------------------------------------
# Schedules: (base_rate, step, steps_per_epoch, epochs) -> rate; step from 0, epoch = step // steps_per_epoch
# ------------------------------------------------------------------------------------------------------------

Schedule: TypeAlias = Callable[[float, int, int, int], float]


def constant(base_rate: float, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Keep the base rate: itself a schedule, where the others return one."""
    return base_rate


# rate = base_rate factor^(epoch // step_epochs)
def step_decay(step_epochs: int, factor: float) -> Schedule:
    """Multiply the rate by `factor` every `step_epochs` epochs."""

    def schedule(base_rate: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        epoch = step // steps_per_epoch
        return base_rate * factor ** (epoch // step_epochs)

    return schedule


# rate = base_rate factor^epoch
def exponential_decay(factor: float) -> Schedule:
    """Multiply the rate by `factor` every epoch."""

    def schedule(base_rate: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        epoch = step // steps_per_epoch
        return base_rate * factor**epoch

    return schedule


# With W warm-up steps of T in all:   step < W: rate = base_rate (step + 1) / W;   else, with
# p = (step - W) / (T - W), at most 1:   rate = base_rate (final + (1 - final) (1 + cos(pi p)) / 2)
def cosine_decay(warmup_epochs: int, final_fraction: float) -> Schedule:
    """Raise the rate linearly to the base rate, then lower it along half a cosine to a fraction of that."""

    def schedule(base_rate: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        warmup_steps = warmup_epochs * steps_per_epoch
        steps = epochs * steps_per_epoch
        if step < warmup_steps:
            return base_rate * (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return base_rate * (
            final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))
        )

    return schedule


# ------------------------------------------------------------------------------------------------------------
# Training
# ------------------------------------------------------------------------------------------------------------


def train(
    layers: Sequence[Layer],
    weights: Weights,
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    loss: str,
    optimizer: Optimizer,
    rate: float | Callable[[int], float],
    l1: float = 0.0,
    l2: float = 0.0,
    clip_norm: float = math.inf,
) -> tuple[Weights, list[float]]:
    """Take one step per batch: loss and gradients, clipping, update.

    Parameters
    ----------
    layers, weights, loss, l1, l2
        As in `loss_and_gradients`.
    batches : iterable of (x, target)
        In the order of the steps.
    optimizer : Optimizer
        Keeps its state, so that a second call goes on where the first ended.
    rate : float or callable
        The learning rate, or a function from the step, counted from 0 in this call, to it.
    clip_norm : float
        Largest global norm of the gradients, penalty included; infinity does not clip.

    Returns
    -------
    weights : dict of arrays
        The weights after the last step; those given are left alone.
    losses : list of float
        The loss of each step, penalty included, before its update.
    """
    losses = []
    for step, (x, target) in enumerate(batches):
        result = loss_and_gradients(layers, weights, x, target, loss, l1, l2)
        gradients, _ = clip_by_global_norm(result.gradients, clip_norm)
        weights = optimizer.update(weights, gradients, rate(step) if callable(rate) else rate)
        losses.append(float(result.loss))
    return weights, losses
