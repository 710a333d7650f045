"""Greedy layer-wise pretraining: each layer of an encoder as an autoencoder, or a machine, of its own.

What trains a layer is an estimator of its kind, or `_boltzmann.py`; here stands what each of them is given,
and how a network is put together of what they have learnt.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from diabolo import _boltzmann, _core
from diabolo._architecture import Architecture, output_activation
from diabolo._autoencoder import AutoEncoder
from diabolo._fitted import Scaler
from diabolo._fitting import SHUFFLES
from diabolo._inputs import Table
from diabolo._layers import CorruptionLayer, DenseLayer
from diabolo._memory import check_amount
from diabolo._types import Float32Array, Float64Array
from diabolo._validation import broken
from diabolo.exceptions import InvalidParameterError, TrainingDivergedError

RBM = "rbm"
_ESTIMATORS = {
    "autoencoder": ("_autoencoder", "AutoEncoder"),
    "denoising": ("_denoising", "DenoisingAutoEncoder"),
    "sparse": ("_sparse", "SparseAutoEncoder"),
    "contractive": ("_contractive", "ContractiveAutoEncoder"),
}
KINDS = (*_ESTIMATORS, RBM)

# What a layer may be told besides its kind's own hyper-parameters; the network decides on the others.
_OF_TRAINING = (
    "loss",
    "optimizer",
    "learning_rate",
    "schedule",
    "l1",
    "l2",
    "clip_norm",
    "batch_size",
    "shuffle",
    "initializer",
)
# What a layer takes over from the network, if it is not told otherwise.
_TAKEN_OVER = ("optimizer", "learning_rate", "batch_size", "shuffle", "initializer", "matmul_precision")

# Folded into the seed, so that every layer has random numbers of its own: 2^64 divided by the golden ratio.
_SEED_STEP = 0x9E3779B97F4A7C15

History = dict[str, tuple[float, ...]]


class LayerPlan(NamedTuple):
    """One layer's training: what it is, and the activations on its two sides."""

    kind: str
    epochs: int
    parameters: Mapping[str, Any]  # as the user gives them
    width: int
    visible: str  # "auto" in the first layer: the loss decides
    hidden: str
    loss: str
    takes_rows: bool  # it is the first: rows come in, and not another layer's codes

    @property
    def units(self) -> _boltzmann.Units:
        visible = "sigmoid" if self.visible == "auto" and self.loss == "binary_crossentropy" else self.visible
        return _boltzmann.Units("identity" if visible == "auto" else visible, self.hidden)


def layer_plans(owner: str, p: Any) -> list[LayerPlan]:
    """Return what (checked) hyper-parameters ask of each layer; raise InvalidParameterError, naming it.

    Layers above the first compare activities of hidden units: by cross-entropy if they are sigmoids and the
    network's loss is that, else by their squared difference.
    """
    widths = (*p.hidden_layer_sizes, p.n_components)
    count = len(widths)
    kinds = _of_each(owner, p, "pretraining", count)
    epochs = _of_each(owner, p, "pretraining_epochs", count)
    parameters = _of_each(owner, p, "pretraining_parameters", count)
    deeper = "binary_crossentropy" if p.loss == "binary_crossentropy" and p.activation == "sigmoid" else "mse"
    plans = [
        LayerPlan(
            kind,
            layer_epochs,
            given,
            width,
            p.output_activation if index == 0 else p.activation,
            p.code_activation if index == count - 1 else p.activation,
            p.loss if index == 0 else deeper,
            index == 0,
        )
        for index, (kind, layer_epochs, given, width) in enumerate(
            zip(kinds, epochs, parameters, widths, strict=True)
        )
    ]
    for index, plan in enumerate(plans):
        with _of_layer(owner, index):
            _check(owner, p, plan)
    return plans


def _of_each(owner: str, p: Any, name: str, count: int) -> list[Any]:
    """Return a hyper-parameter's value for every layer: its own, or that for all."""
    value = getattr(p, name)
    if not isinstance(value, tuple):
        return [value] * count
    if len(value) != count:
        raise broken(owner, name, f"for all layers, or of one entry for each of the {count}", value)
    return list(value)


def _check(owner: str, p: Any, plan: LayerPlan) -> None:
    if plan.kind != RBM:
        names = _names_for(plan.kind)
        _check_names(owner, plan, names)
        if plan.parameters.get("sparsity") == "top_k":
            raise broken(owner, "sparsity", "'l1' or 'kl': the network keeps dense layers alone", "top_k")
        _layer_estimator(p, plan, 0, 1)._checked_parameters()
        return
    _check_names(owner, plan, _boltzmann.RULES)
    rules = (
        ("loss", p.loss, ("mse", "mae", "huber", "binary_crossentropy")),
        ("activation", p.activation, ("sigmoid",)),
        ("code_activation", p.code_activation, ("sigmoid", "identity")),
        ("output_activation", output_activation(p), ("sigmoid", "identity")),
    )
    for name, value, allowed in rules:
        if value not in allowed:
            rule = f"{' or '.join(map(repr, allowed))} when pretraining='rbm'"
            raise broken(owner, name, rule, value)
    _boltzmann.machine_parameters(owner, plan.parameters, plan.units)


def _names_for(kind: str) -> tuple[str, ...]:
    own = _class_of(kind)._own_rules
    return (*_OF_TRAINING, *(name for name in own if name not in ("code_activation", "tied_weights")))


def _check_names(owner: str, plan: LayerPlan, known: Any) -> None:
    unknown = [name for name in plan.parameters if name not in known]
    if unknown:
        raise InvalidParameterError(
            f"{owner}: pretraining_parameters must be some of {', '.join(known)} "
            f"when pretraining={plan.kind!r}. Got {unknown[0]!r}."
        )


def _class_of(kind: str) -> type[AutoEncoder]:
    module, name = _ESTIMATORS[kind]
    found: type[AutoEncoder] = getattr(import_module(f"diabolo.{module}"), name)
    return found


def _layer_estimator(p: Any, plan: LayerPlan, seed: int, threads: int) -> AutoEncoder:
    taken_over = {name: getattr(p, name) for name in _TAKEN_OVER}
    return _class_of(plan.kind)(
        **{
            **taken_over,
            "loss": plan.loss,
            **plan.parameters,
            "n_components": plan.width,
            "code_activation": plan.hidden,
            "output_activation": plan.visible,
            "tied_weights": p.tied_weights,
            "epochs": plan.epochs,
            "scale": p.scale if plan.takes_rows else None,
            "missing": p.missing if plan.takes_rows else "error",  # codes never are
            "categorical_groups": p.categorical_groups if plan.takes_rows else None,
            "random_state": seed,
            "n_jobs": threads,
            "verbose": p.verbose,
        }
    )


def row_noise(p: Any, plan: LayerPlan, features: int) -> CorruptionLayer | None:
    """Return the noise that a layer's own training puts on what it takes; None: none."""
    if plan.kind == RBM:
        return None
    layer = _layer_estimator(p, plan, 0, 1)
    return layer._row_noise(features, layer._checked_parameters())


@contextlib.contextmanager
def _of_layer(owner: str, index: int) -> Iterator[None]:
    """Let errors say which layer they are about."""
    try:
        yield
    except InvalidParameterError as error:
        raise InvalidParameterError(_in_layer(owner, index, error)) from None
    except TrainingDivergedError as error:
        raise TrainingDivergedError(
            _in_layer(owner, index, error), weights=error.weights, epoch=error.epoch, step=error.step
        ) from None


def _in_layer(owner: str, index: int, error: Exception) -> str:
    return f"{owner}: pretraining of layer {index + 1}: {str(error).removeprefix(f'{owner}: ')}"


# ---- Training ----


def pretrain(
    estimator: Any,
    p: Any,
    network: Architecture,
    table: Table,
    scaler: Scaler | None,
    seed: int,
    threads: int,
) -> tuple[dict[str, Float32Array], tuple[History, ...]]:
    """Train layer after layer on rows; return the whole network's weights, and each layer's history.

    Between layers, the codes of all rows are kept in memory.
    """
    owner = type(estimator).__name__
    plans = layer_plans(owner, p)
    _check_memory_of_codes(owner, table, plans)
    weights: dict[str, Float32Array] = {}
    histories = []
    for index, plan in enumerate(plans):
        layer_seed = (seed + (index + 1) * _SEED_STEP) % 2**63  # as an int that users may give
        with _of_layer(owner, index):
            model, history = _train_layer(estimator, p, plan, table, scaler, layer_seed, threads)
        histories.append(history)
        last = index == len(plans) - 1
        weights.update(_weights_in_network(network, model.get_weights(), index, len(plans)))
        if not last:
            codes = model.transform(table.rows, threads)
            assert codes is not None  # no value was to be refused
            table = _table_of_codes(owner, codes, table.rows.weights())
            scaler = None
    return weights, tuple(histories)


def _table_of_codes(owner: str, codes: Float32Array, weights: Float64Array | None) -> Table:
    rows = _core.Rows(codes)
    return Table(owner, "X", rows if weights is None else rows.weighted(weights), None, codes)


def _train_layer(
    estimator: Any, p: Any, plan: LayerPlan, table: Table, scaler: Scaler | None, seed: int, threads: int
) -> tuple[_core.Model, History]:
    if plan.kind != RBM:
        layer = _layer_estimator(p, plan, seed, threads).fit(table)
        fitted = layer._require_fitted()
        return fitted.model, fitted.fitting.history
    return _boltzmann.train_machine(
        estimator,
        _boltzmann.machine_parameters(type(estimator).__name__, plan.parameters, plan.units),
        plan.units,
        table.rows,
        plan.width,
        epochs=plan.epochs,
        scaler=scaler,
        shuffle=SHUFFLES[p.shuffle],
        seed=seed,
        threads=threads,
        verbose=p.verbose,
    )


def _weights_in_network(
    network: Architecture, learnt: Mapping[str, Float32Array], index: int, count: int
) -> dict[str, Float32Array]:
    """Return a layer's weights under the names that they have in the whole network.

    A machine has one kernel for both directions; so has a tied network. Others get its transpose.
    """
    names = (("encoder.0", f"encoder.{index}"), ("decoder.0", f"decoder.{count - 1 - index}"))
    renamed = {
        there + name.removeprefix(here): array
        for here, there in names
        for name, array in learnt.items()
        if name.startswith(f"{here}.")
    }
    for layer in network.layers:
        if not isinstance(layer, DenseLayer):
            continue
        kernel = f"{layer.name}.kernel"
        if layer.name == names[1][1] and not layer.tied_to and kernel not in renamed:
            renamed[kernel] = np.ascontiguousarray(learnt["encoder.0.kernel"].T)
    return renamed


def _check_memory_of_codes(owner: str, table: Table, plans: Sequence[LayerPlan]) -> None:
    """Compare the codes of all rows, of a layer's input and its output, with the memory there is."""
    widths = [plan.width for plan in plans[:-1]]
    at_once = max((a + b for a, b in itertools.pairwise([*widths, 0])), default=0)
    what = "pretraining keeps the codes of all rows between layers, and"
    check_amount(owner, "hidden_layer_sizes", what, 4 * table.rows.count * at_once, tuple(widths))
