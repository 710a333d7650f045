"""Of the oracle (reference.py) what follows the gradients: clipping, optimisers, schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from reference_elements import Weights, is_kernel, widen


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
