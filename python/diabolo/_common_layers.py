"""Layers that every kind may have beside its own: for missing values, regularisation, and a softmax."""

from collections.abc import Sequence
from typing import Any

from diabolo._architecture import Architecture
from diabolo._column_groups import loss_groups
from diabolo._layers import (
    BatchNormLayer,
    DenseLayer,
    DropoutLayer,
    Layer,
    MissingValuesLayer,
    SoftmaxLayer,
)
from diabolo._validation import broken

# Of the running statistics, and against a variance of 0: the values of Ioffe and Szegedy's successors.
_MOMENTUM, _EPSILON = 0.9, 1e-5


def with_common_layers(
    owner: str, plan: Architecture, parameters: Any, *, sums_features: bool
) -> Architecture:
    """Return the network with the layers that hyper-parameters ask for around those of its kind."""
    p = parameters
    features = plan.features
    encoder, decoder = list(plan.layers[: plan.code_layers]), list(plan.layers[plan.code_layers :])
    rates = _rates(owner, p, _hidden(encoder) + _hidden(decoder))
    encoder_rates, decoder_rates = rates[: _hidden(encoder)], rates[_hidden(encoder) :]
    encoder = _regularized(encoder, encoder_rates, batch_norm=p.batch_norm)
    decoder = _regularized(decoder, decoder_rates, batch_norm=p.batch_norm)
    groups = loss_groups(features, p)
    if p.missing == "mask":
        encoder.insert(0, MissingValuesLayer(features, not sums_features, groups))
    if groups:
        decoder.append(SoftmaxLayer(features, groups))
    return Architecture((*encoder, *decoder), len(encoder))


def takes_missing(plan: Architecture) -> bool:
    """Return whether the network takes NaN for values that nobody observed."""
    return isinstance(plan.layers[0], MissingValuesLayer)


def _hidden(part: Sequence[Layer]) -> int:
    """Return the number of hidden layers of an encoder, which ends in the code, or of a decoder."""
    return sum(isinstance(layer, DenseLayer) for layer in part) - 1


def _rates(owner: str, p: Any, hidden: int) -> tuple[float, ...]:
    """Return the rate of dropout of each hidden layer."""
    rates: tuple[float, ...] = (p.dropout,) * hidden if isinstance(p.dropout, float) else p.dropout
    if p.batch_norm and hidden == 0:
        raise broken(owner, "batch_norm", "False when there are no hidden layers", p.batch_norm)
    if hidden == 0 and p.dropout not in (0.0, ()):
        raise broken(owner, "dropout", "0 when there are no hidden layers", p.dropout)
    if len(rates) != hidden:
        rule = f"one rate, or one for each of the {hidden} hidden layers of encoder and decoder"
        raise broken(owner, "dropout", rule, p.dropout)
    return rates


def _regularized(part: Sequence[Layer], rates: Sequence[float], *, batch_norm: bool) -> list[Layer]:
    """Return the layers of an encoder or decoder with batch normalisation and dropout of the hidden ones."""
    dense = [layer for layer in part if isinstance(layer, DenseLayer)]
    rate_of = dict(zip((layer.name for layer in dense[:-1]), rates, strict=True))
    layers: list[Layer] = []
    for layer in part:
        rate = rate_of.get(layer.name) if isinstance(layer, DenseLayer) else None
        if rate is None:
            layers.append(layer)
            continue
        assert isinstance(layer, DenseLayer)
        if batch_norm:
            name = f"{layer.name}.norm"
            layers.append(layer._replace(activation="identity", trains_bias=False))
            layers.append(BatchNormLayer(name, layer.outputs, layer.activation, _MOMENTUM, _EPSILON))
        else:
            layers.append(layer)
        if rate > 0.0:
            layers.append(DropoutLayer(layer.outputs, rate))
    return layers
