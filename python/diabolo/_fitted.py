"""What `fit` leaves behind: one immutable object, which an estimator publishes by a single assignment."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from diabolo._architecture import Architecture
from diabolo._core import Model
from diabolo._layers import DenseLayer, described, layer_from
from diabolo._types import Float32Array, Float64Array

Scaler = tuple[Float64Array, Float64Array]  # shift and scale, each (features,)


class Fitting(NamedTuple):
    """The facts of a finished fit that are not numbers of the network."""

    loss: str
    scale: str | None
    feature_names: tuple[str, ...] | None
    history: dict[str, tuple[float, ...]]
    stop_reason: str
    pretraining: tuple[dict[str, tuple[float, ...]], ...] = ()  # the history of each layer's own training
    zeros: str = "values"  # files of version 0.1 may lack it


class OptimizerState(NamedTuple):
    """Where a training is, beside its weights: what `partial_fit` goes on from."""

    optimizer: Any
    moments: tuple[dict[str, Float32Array], ...]  # as many as the optimiser has; none before its first step
    updates: int
    passes: int  # over blocks of rows, each of which is shuffled in its own order
    epochs: int
    kept: dict[str, Float32Array] | None = None  # by layers, from step to step; None before the first


class Fitted:
    """A trained network and the facts of its training. Nothing in it is ever changed."""

    __slots__ = ("architecture", "features", "fitting", "model", "optimizer_state")

    def __init__(
        self,
        architecture: Architecture,
        model: Model,
        fitting: Fitting,
        optimizer_state: OptimizerState | None = None,
    ) -> None:
        self.architecture = architecture
        self.features = architecture.features  # looked at by every prediction
        self.model = model
        self.fitting = fitting
        self.optimizer_state = optimizer_state

    # The model lives in C++; pickle and deepcopy get its numbers, in plain containers that outlive our
    # classes.
    def __reduce__(self) -> tuple[Any, ...]:
        layers, code_layers = self.architecture
        return restored, (
            [described(layer) for layer in layers],
            code_layers,
            self.model.get_weights(),
            self.model.scaler(),
            self.fitting._asdict(),
            self.optimizer_state,
        )

    def with_weights(self, weights: Mapping[str, Float32Array]) -> "Fitted":
        """Return the same with other weights, whose names and shapes must be right."""
        return Fitted(self.architecture, self.model.with_weights(weights), self.fitting)


def restored(
    layers: list[Any],
    code_layers: int,
    weights: Mapping[str, Float32Array],
    scaler: Scaler | None,
    fitting: dict[str, Any],
    optimizer_state: OptimizerState | None = None,
) -> Fitted:
    """Return what was taken apart for a pickle or a file."""
    # Pickles of version 0.1 have tuples, of dense layers alone.
    made = (DenseLayer(*layer) if isinstance(layer, tuple) else layer_from(layer) for layer in layers)
    architecture = Architecture(tuple(made), code_layers)
    model = model_of(architecture, weights, scaler)
    return Fitted(architecture, model, Fitting(**fitting), optimizer_state)


def model_of(architecture: Architecture, weights: Mapping[str, Float32Array], scaler: Scaler | None) -> Model:
    """Return a model with these weights, whose names and shapes must be right."""
    # The weights drawn here are replaced at once.
    layers = [layer.cheaply_initialized().core() for layer in architecture.layers]
    model = Model(layers, architecture.code_layers, 0)
    if scaler is not None:
        model.set_scaler(*scaler)
    return model.with_weights(weights)
