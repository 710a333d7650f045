"""The oracle: a whole training step of a dense autoencoder in NumPy float64; no speed, masks or randomness.

Weights are a dict of arrays: `"encoder.0.kernel"` (inputs, outputs), `"encoder.0.bias"` (outputs,) and, where
the activation is prelu, `"encoder.0.slope"` (outputs,). The loss and its parts also accept complex weights,
so that a gradient can be checked by a complex step, df/dw = imag f(w + ih) / h; hence every choice of a
branch reads the real part.

Activations and losses are in reference_elements.py, optimisers and schedules in reference_updates.py; all of
them have their names here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reference_elements import (
    ACTIVATIONS,
    LOSSES,
    Array,
    Weights,
    binary_crossentropy,
    binary_crossentropy_derivative,
    branch_taken,
    erfc,
    is_kernel,
    sigmoid,
    softplus,
    widen,
)
from reference_updates import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    Schedule,
    clip_by_global_norm,
    constant,
    cosine_decay,
    exponential_decay,
    step_decay,
)

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "SGD",
    "Adam",
    "AdamW",
    "Array",
    "Branches",
    "Layer",
    "Optimizer",
    "RMSprop",
    "Result",
    "Schedule",
    "Trace",
    "Weights",
    "backward",
    "binary_crossentropy",
    "binary_crossentropy_derivative",
    "branch_taken",
    "branches_of",
    "clip_by_global_norm",
    "constant",
    "cosine_decay",
    "erfc",
    "exponential_decay",
    "forward",
    "is_kernel",
    "kernel_of",
    "kernel_penalty",
    "kernel_penalty_gradient",
    "loss_and_gradients",
    "reconstruction",
    "sigmoid",
    "softplus",
    "step_decay",
    "train",
    "widen",
]


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
