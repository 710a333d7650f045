"""scikit-learn as a peer: `MLPRegressor.partial_fit`, an epoch a call, with the settings that it has.

It knows neither a sigmoid at the output of a regressor nor binary cross-entropy: it does somewhat less work,
and its losses cannot be compared.
"""

import sklearn
from sklearn.neural_network import MLPRegressor

from data import SEED, Array
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Reconstruct, Task

DIFFERS = "squared error on linear outputs, its own initial weights"


class SklearnTrainer:
    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, X: Array, *, shuffle: bool) -> None:
        self.X = X
        self.network = _network(self.task, shuffle=shuffle)

    def epoch(self) -> float:
        self.network.partial_fit(self.X, self.X)
        return float(self.network.loss_)


def _network(task: Task, *, shuffle: bool) -> MLPRegressor:
    return MLPRegressor(
        hidden_layer_sizes=task.widths[1:-1],
        activation="relu",
        solver="adam",
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=LEARNING_RATE,
        shuffle=shuffle,
        random_state=SEED,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=EPSILON,
    )


def forms(precision: str) -> tuple[str, ...]:
    return ("partial_fit",) if precision == "float32" else ()


def facts() -> dict[str, str]:
    return {"scikit-learn": sklearn.__version__}


def trainer(form: str, task: Task) -> SklearnTrainer:
    del form  # there is one
    return SklearnTrainer(task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    import numpy as np

    network = _network(task, shuffle=False)
    X = np.random.default_rng(SEED).random((task.batch_size, task.widths[0]), dtype=np.float32)
    network.partial_fit(X, X)
    return {"predict": network.predict}
