"""JAX as a peer: a whole epoch in one compiled `lax.scan`, weights and moments donated, Adam written out.

The order of the rows comes from NumPy, whose shuffle is faster than `jax.random.permutation` on a CPU. XLA
flushes denormals by itself.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data import SEED, Array, Shuffler, initial_weights
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Reconstruct, Task

DIFFERS = ""

Weights = list[tuple[jax.Array, jax.Array]]  # kernel (inputs, outputs), bias (outputs,)

_FORMS = {"float32": ("scan", "scan, unrolled by 4"), "bfloat16": ("scan",)}


def _product(x: jax.Array, kernel: jax.Array, dtype: Any) -> jax.Array:
    if dtype == jnp.float32:
        return x @ kernel
    return jnp.matmul(x.astype(dtype), kernel.astype(dtype), preferred_element_type=jnp.float32)


def _logits(weights: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    for index, (kernel, bias) in enumerate(weights):
        x = _product(x, kernel, dtype) + bias
        if index < len(weights) - 1:
            x = jax.nn.relu(x)
    return x


def _loss(weights: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    z = _logits(weights, x, dtype)
    return jnp.mean(jax.nn.softplus(z) - x * z)


@functools.partial(jax.jit, static_argnums=(3, 4), donate_argnums=0)
def _epoch(state: Any, X: jax.Array, batches: jax.Array, dtype: Any, unroll: int) -> tuple[Any, jax.Array]:
    """Train on `batches` (steps, batch size) of row numbers; return the new state and the mean loss."""

    def step(carry: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
        weights, first, second, count = carry
        x = jnp.take(X, rows, axis=0, mode="clip")
        loss, gradient = jax.value_and_grad(_loss)(weights, x, dtype)
        count = count + 1
        first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradient)
        root = jnp.sqrt(1 - BETA_2**count)
        rate, epsilon = LEARNING_RATE * root / (1 - BETA_1**count), EPSILON * root
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + epsilon), weights, first, second)
        return (weights, first, second, count), loss

    state, losses = jax.lax.scan(step, state, batches, unroll=unroll)
    return state, jnp.mean(losses)


class JaxTrainer:
    def __init__(self, form: str, task: Task) -> None:
        self.task = task
        self.unroll = 4 if "unrolled" in form else 1
        self.dtype = jnp.bfloat16 if task.precision == "bfloat16" else jnp.float32

    def start(self, X: Array, *, shuffle: bool) -> None:
        weights = jax.tree.map(jnp.array, initial_weights(self.task.widths, SEED))
        zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
        self.state = (weights, *zeros, jnp.zeros((), jnp.float32))
        self.X, self.order = jnp.asarray(X), Shuffler(len(X), shuffle=shuffle)

    def epoch(self) -> float:
        batches = self.order().astype(np.int32).reshape(-1, self.task.batch_size)
        self.state, loss = _epoch(self.state, self.X, batches, self.dtype, self.unroll)
        jax.block_until_ready(self.state)
        return float(loss)


def forms(precision: str) -> tuple[str, ...]:
    return _FORMS.get(precision, ())


def facts() -> dict[str, str]:
    return {"jax": jax.__version__, "jaxlib": jax.lib.__version__, "device": str(jax.devices()[0])}


def trainer(form: str, task: Task) -> JaxTrainer:
    return JaxTrainer(form, task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    dtype = jnp.bfloat16 if task.precision == "bfloat16" else jnp.float32
    weights = jax.tree.map(jnp.asarray, initial_weights(task.widths, SEED))
    network: Callable[..., jax.Array] = jax.jit(lambda w, x: jax.nn.sigmoid(_logits(w, x, dtype)))

    def reconstruct(X: Array) -> Array:
        return np.asarray(network(weights, X))

    return {"jit": reconstruct}
