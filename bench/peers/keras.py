"""Keras as a peer: `Model.fit` on the JAX backend, which compiles its train step, fed with arrays.

The loss is computed from logits, which spares Keras a clipping and two logarithms; a second model with the
same layers and a sigmoid reconstructs.
"""

from typing import Any

import keras

from data import SEED, Array, initial_weights
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Reconstruct, Task

DIFFERS = ""

# Steps an execution: between the calls of callbacks, of which there are none here but Keras's own.
_FORMS = {"fit": 1, "fit, 32 steps an execution": 32}


def _network(task: Task) -> Any:
    inputs = x = keras.Input((task.widths[0],))
    for width in task.widths[1:-1]:
        x = keras.layers.Dense(width, activation="relu")(x)
    network = keras.Model(inputs, keras.layers.Dense(task.widths[-1])(x))
    network.set_weights([part for layer in initial_weights(task.widths, SEED) for part in layer])
    return network


class KerasTrainer:
    def __init__(self, form: str, task: Task) -> None:
        self.task = task
        self.steps = _FORMS[form]

    def start(self, X: Array, *, shuffle: bool) -> None:
        self.X, self.shuffle = X, shuffle
        self.network = _network(self.task)
        self.network.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=True,
            steps_per_execution=self.steps,
        )

    def epoch(self) -> float:
        history = self.network.fit(
            self.X, self.X, batch_size=self.task.batch_size, epochs=1, verbose=0, shuffle=self.shuffle
        )
        return float(history.history["loss"][0])


def forms(precision: str) -> tuple[str, ...]:
    return tuple(_FORMS) if precision == "float32" else ()


def facts() -> dict[str, str]:
    return {"keras": keras.__version__, "backend": keras.backend.backend()}


def trainer(form: str, task: Task) -> KerasTrainer:
    return KerasTrainer(form, task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    network = _network(task)
    network = keras.Model(network.inputs, keras.activations.sigmoid(network.outputs[0]))
    network.compile(jit_compile=True)
    return {"predict_on_batch": network.predict_on_batch}
