"""This library as one of the peers: the trainer that `AutoEncoder.fit` drives, and the public `reconstruct`.

What `fit` does once, such as checking X, is not part of an epoch.
"""

from collections.abc import Sequence

import numpy as np

import diabolo
from data import SEED, Array, Layer, initial_weights
from diabolo import _core
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Reconstruct, Task

DIFFERS = ""


def core_model(weights: Sequence[Layer], precision: str) -> _core.Model:
    """Return the core's model of a network with these weights."""
    described: list[_core.Dense] = []
    named: dict[str, Array] = {}
    for index, (kernel, bias) in enumerate(weights):
        name, activation = f"dense.{index}", "relu" if index < len(weights) - 1 else "sigmoid"
        inputs, outputs = kernel.shape
        described.append(_core.Dense(name, inputs, outputs, activation, "he_uniform", products=precision))
        named |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
    return _core.Model(described, code_layers=len(weights) // 2, seed=SEED).with_weights(named)


class DiaboloTrainer:
    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, X: Array, *, shuffle: bool) -> None:
        self.rows = _core.Rows(X)
        self.trainer = _core.Trainer(
            core_model(initial_weights(self.task.widths, SEED), self.task.precision),
            self.rows,
            None,
            loss="binary_crossentropy",
            batch_size=self.task.batch_size,
            epochs=1,  # matters to schedules only
            learning_rate=LEARNING_RATE,
            schedule=_core.Schedule.constant(),
            rule=_core.UpdateRule.adam(BETA_1, BETA_2, EPSILON, 0.0),
            l1=0.0,
            l2=0.0,
            clip_norm=0.0,
            shuffle="rows" if shuffle else "none",
            seed=SEED,
            threads=self.task.threads,
        )

    def epoch(self) -> float:
        report = self.trainer.run_epoch(None)
        if report.outcome != "completed":
            raise RuntimeError(f"training ended: {report.outcome}")
        return report.loss


def forms(precision: str) -> tuple[str, ...]:
    """Return the one form there is, if this machine computes such products faster than those of float32."""
    wide = core_model(initial_weights((256, 64, 256), SEED), precision)
    return ("trainer",) if set(wide.products()) == {precision} else ()


def facts() -> dict[str, str]:
    return {"diabolo": diabolo.__version__, "isa": _core.selected_isa()}


def trainer(form: str, task: Task) -> DiaboloTrainer:
    del form  # there is one
    return DiaboloTrainer(task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    weights = initial_weights(task.widths, SEED)
    middle = len(weights) // 2
    estimator = diabolo.AutoEncoder(
        n_components=task.widths[middle],
        hidden_layer_sizes=task.widths[1:middle],
        activation="relu",
        code_activation="relu",
        loss="binary_crossentropy",
        epochs=1,
        matmul_precision=task.precision,
        n_jobs=task.threads,
    )
    estimator.fit(np.zeros((task.batch_size, task.widths[0]), dtype=np.float32))
    named: dict[str, Array] = {}
    for index, (kernel, bias) in enumerate(weights):
        name = f"encoder.{index}" if index < middle else f"decoder.{index - middle}"
        named |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
    estimator.set_weights(named)
    return {"AutoEncoder.reconstruct": estimator.reconstruct}
