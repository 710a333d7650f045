"""NumPy as a peer: a dense autoencoder's training step as fast as NumPy lets it be.

Relu in the hidden layers, sigmoid and binary cross-entropy at the output, Adam. All in float32; no array is
allocated while training. Matrix products are OpenBLAS's (or whatever NumPy was built with) and use its
threads; the elementwise passes use one, for NumPy has no others.

How each piece is written was chosen by timing (NumPy 2.4): `np.maximum` against an array takes a third of the
time of one against a scalar, `ones @ a` half of what `a.sum(axis=0)` takes and `ones . a` half of `a.sum()`;
and `np.take` buffers its output unless mode is "clip" or "wrap".
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data import SEED, Array, Layer, Shuffler, initial_weights
from peers import Reconstruct, Task

DIFFERS = ""

# Adam passes ten times over its arrays. In pieces of this many floats they stay in the second-level cache,
# while the cost of the calls themselves does not count yet.
ADAM_PIECE = 65536


class Batch:
    """The arrays that a step needs for batches of `rows` rows."""

    def __init__(self, rows: int, widths: Sequence[int]) -> None:
        def per_layer(layer_widths: Sequence[int]) -> list[Array]:
            return [np.empty((rows, width), dtype=np.float32) for width in layer_widths]

        self.outputs = per_layer(widths)  # the first is the input
        self.deltas = per_layer(widths[1:])  # gradients with respect to the layers' values before activation
        self.masks = per_layer(widths[1:-1])  # derivatives of relu
        self.zeros = [np.zeros((rows, width), dtype=np.float32) for width in widths[1:-1]]
        self.ones = np.ones(rows, dtype=np.float32)
        self.logs = np.empty((rows, widths[-1]), dtype=np.float32)
        self.all_ones = np.ones(rows * widths[-1], dtype=np.float32)
        self.scale = 1.0 / (rows * widths[-1])  # the loss is a mean over rows and features


class NumpyAutoEncoder:
    """Trains `weights` (copied) by Adam, in batches."""

    def __init__(
        self,
        weights: Sequence[Layer],
        *,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.widths = [weights[0][0].shape[0], *(kernel.shape[1] for kernel, _ in weights)]
        self.batch_size = batch_size
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.steps = 0
        # All parameters in one array, and so their gradients and moments: Adam then is a few calls, whatever
        # the number of layers.
        self.parameters = np.concatenate([part.ravel() for layer in weights for part in layer])
        self.gradients = np.empty_like(self.parameters)
        self.first_moments = np.zeros_like(self.parameters)
        self.second_moments = np.zeros_like(self.parameters)
        self.scratch = np.empty(min(ADAM_PIECE, self.parameters.size), dtype=np.float32)
        self.layers = self._by_layer(self.parameters)
        self.layer_gradients = self._by_layer(self.gradients)
        self.batches: dict[int, Batch] = {}

    def run_epoch(self, X: Array, order: npt.NDArray[np.int64]) -> float:
        """Train on the rows of X in this order; return the mean of their losses as the weights changed."""
        total = 0.0
        # A logit above 88 would overflow exp. Rather an error than a clipping pass in every step.
        with np.errstate(over="raise", under="ignore"):
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                total += self.step(X, rows) * len(rows)
        return total / len(order)

    def step(self, X: Array, rows: npt.NDArray[np.int64]) -> float:
        """Take one step on these rows of X and return their loss before it."""
        batch = self.batches.get(len(rows))
        if batch is None:
            batch = self.batches[len(rows)] = Batch(len(rows), self.widths)
        np.take(X, rows, axis=0, out=batch.outputs[0], mode="clip")
        self._forward(batch)
        loss = self._loss_and_delta(batch)
        self._backward(batch)
        self._adam()
        return loss

    def _forward(self, batch: Batch) -> None:
        """Compute all layers' outputs; the last one's are left before the sigmoid."""
        for index, (kernel, bias) in enumerate(self.layers):
            output = batch.outputs[index + 1]
            np.matmul(batch.outputs[index], kernel, out=output)
            np.add(output, bias, out=output)
            if index < len(self.layers) - 1:
                np.maximum(output, batch.zeros[index], out=output)

    def _loss_and_delta(self, batch: Batch) -> float:
        """Return the mean cross-entropy and leave its gradient in the last delta.

        With logits z and targets x: loss = log(1 + e^z) - x z, dloss/dz = e^z / (1 + e^z) - x.
        """
        x, z, delta, logs = batch.outputs[0], batch.outputs[-1], batch.deltas[-1], batch.logs
        cross_term = np.dot(x.reshape(-1), z.reshape(-1))
        np.exp(z, out=z)
        np.add(z, 1.0, out=delta)
        np.log(delta, out=logs)
        np.divide(z, delta, out=delta)
        np.subtract(delta, x, out=delta)
        np.multiply(delta, batch.scale, out=delta)
        return float(np.dot(logs.reshape(-1), batch.all_ones) - cross_term) * batch.scale

    def _backward(self, batch: Batch) -> None:
        """Compute all gradients from the last delta down."""
        for index in reversed(range(len(self.layers))):
            below, delta = batch.outputs[index], batch.deltas[index]
            kernel_gradient, bias_gradient = self.layer_gradients[index]
            np.matmul(below.T, delta, out=kernel_gradient)
            np.matmul(batch.ones, delta, out=bias_gradient)
            if index > 0:
                delta_below, mask = batch.deltas[index - 1], batch.masks[index - 1]
                np.matmul(delta, self.layers[index][0].T, out=delta_below)
                np.greater(below, 0.0, out=mask)
                np.multiply(delta_below, mask, out=delta_below)

    def _adam(self) -> None:
        """Update all parameters.

        The moments are kept without their factors 1 - beta: M = m / (1 - beta_1), V = v / (1 - beta_2). Then
        Adam's formula is  w -= rate * M / (sqrt(V) + epsilon')  with those factors in the constants.
        """
        self.steps += 1
        root = np.sqrt((1.0 - self.beta_2) / (1.0 - self.beta_2**self.steps))
        rate = self.learning_rate * (1.0 - self.beta_1) / (1.0 - self.beta_1**self.steps) / root
        epsilon = self.epsilon / root
        for start in range(0, self.parameters.size, ADAM_PIECE):
            piece = slice(start, start + ADAM_PIECE)
            w, g = self.parameters[piece], self.gradients[piece]
            m, v = self.first_moments[piece], self.second_moments[piece]
            scratch = self.scratch[: w.size]
            np.multiply(m, self.beta_1, out=m)
            np.add(m, g, out=m)
            np.square(g, out=g)
            np.multiply(v, self.beta_2, out=v)
            np.add(v, g, out=v)
            np.sqrt(v, out=scratch)
            np.add(scratch, float(epsilon), out=scratch)
            np.divide(m, scratch, out=scratch)
            np.multiply(scratch, float(rate), out=scratch)
            np.subtract(w, scratch, out=w)

    def _by_layer(self, flat: Array) -> list[Layer]:
        """Return views of a flat array, shaped as the layers' kernels and biases."""
        views, start = [], 0
        for inputs, outputs in itertools.pairwise(self.widths):
            middle = start + inputs * outputs
            kernel = flat[start:middle].reshape(inputs, outputs)
            start = middle + outputs
            views.append((kernel, flat[middle:start]))
        return views


class NumpyTrainer:
    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, X: Array, *, shuffle: bool) -> None:
        self.model = NumpyAutoEncoder(
            initial_weights(self.task.widths, SEED), batch_size=self.task.batch_size
        )
        self.X, self.order = X, Shuffler(len(X), shuffle=shuffle)

    def epoch(self) -> float:
        return self.model.run_epoch(self.X, self.order())


def forms(precision: str) -> tuple[str, ...]:
    return ("in place",) if precision == "float32" else ()


def facts() -> dict[str, str]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}"}


def trainer(form: str, task: Task) -> NumpyTrainer:
    del form  # there is one
    return NumpyTrainer(task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    weights = initial_weights(task.widths, SEED)
    last = len(weights) - 1

    def reconstruct(X: Array) -> Array:
        y = X
        for index, (kernel, bias) in enumerate(weights):
            y = y @ kernel
            y += bias
            if index < last:
                np.maximum(y, 0.0, out=y)
        np.negative(y, out=y)
        np.exp(y, out=y)
        y += 1.0
        return np.reciprocal(y, out=y)

    return {"in place": reconstruct}
