"""The hyper-parameters that kinds share, with their rules, and the rules that join several of them."""

import numbers
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from diabolo import optimizers, schedules
from diabolo._architecture import decoder_layer_sizes, output_activation
from diabolo._callbacks import Callbacks
from diabolo._column_groups import SOFTMAX_LOSSES, ColumnGroups
from diabolo._layers import ACTIVATIONS, INITIALIZERS
from diabolo._precision import MATMUL_PRECISIONS
from diabolo._random import RandomState
from diabolo._validation import (
    Choice,
    Each,
    Either,
    FileName,
    Flag,
    Integer,
    Named,
    OrNone,
    Real,
    Rule,
    Verbosity,
    Widths,
    broken,
    checked,
)

LOSSES = (
    "mse",
    "mae",
    "huber",
    "hinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "kl_divergence",
)
METRICS = ("mse", "loss")
ZEROS = ("values", "missing")


class _Jobs(Integer):
    """How many threads; -1 means all, as in scikit-learn, but there is no -2."""

    def __init__(self) -> None:
        super().__init__(1)
        self.description = "None, -1 or an int >= 1"

    def convert(self, value: object) -> Any:
        if value is None or (isinstance(value, numbers.Integral) and value == -1):
            return None
        return super().convert(value)


_RATE = Real(0.0, 1.0, below_high=True)

RULES: dict[str, Rule] = {
    "n_components": Integer(1),
    "hidden_layer_sizes": Widths(),
    "decoder_layer_sizes": OrNone(Widths()),
    "activation": Choice(ACTIVATIONS),
    "code_activation": Choice(ACTIVATIONS),
    "output_activation": Choice(("auto", *ACTIVATIONS)),
    "tied_weights": Flag(),
    "initializer": Choice(("auto", *INITIALIZERS)),
    "loss": Choice(LOSSES),
    "categorical_groups": OrNone(ColumnGroups()),
    "optimizer": Named(optimizers.Optimizer, optimizers.BY_NAME),
    "learning_rate": Real(0.0, above_low=True),
    "schedule": Named(schedules.Schedule, schedules.BY_NAME),
    "l1": Real(0.0),
    "l2": Real(0.0),
    "clip_norm": OrNone(Real(0.0, above_low=True, infinite=True)),
    "epochs": Integer(1),
    "batch_size": Integer(1),
    "shuffle": Either(Flag(), Choice(("blocks",))),
    "validation_fraction": Real(0.0, 1.0, below_high=True),
    "early_stopping": Flag(),
    "patience": Integer(1),
    "min_delta": Real(0.0),
    "warm_start": Flag(),
    "max_seconds": OrNone(Real(0.0, above_low=True, infinite=True)),
    "callbacks": Callbacks(),
    "missing": Choice(("error", "mask")),
    "dropout": Either(_RATE, Each(_RATE)),
    "batch_norm": Flag(),
    "scale": OrNone(Choice(("standard", "minmax"))),
    "zeros": Choice(ZEROS),
    "random_state": RandomState(),
    "n_jobs": _Jobs(),
    "matmul_precision": Choice(MATMUL_PRECISIONS),
    "verbose": Verbosity(),
    "checkpoint": OrNone(FileName()),
    "checkpoint_every": Integer(1),
}


def checked_parameters(
    owner: str, values: dict[str, object], rules: Mapping[str, Rule] = RULES
) -> SimpleNamespace:
    """Return the hyper-parameters as plain Python values and objects; raise InvalidParameterError."""
    return SimpleNamespace(
        **{name: checked(owner, name, rules[name], value) for name, value in values.items()}
    )


def check_combinations(owner: str, parameters: Any) -> None:
    """Check what hyper-parameters demand of each other."""
    _check_loss(owner, parameters)
    _check_tied_weights(owner, parameters)
    check_schedule(owner, parameters)
    if parameters.batch_norm and parameters.batch_size == 1:
        raise broken(owner, "batch_size", ">= 2 when batch_norm=True", 1)


def _check_loss(owner: str, p: Any) -> None:
    if p.loss == "hinge" and p.scale is not None:
        raise broken(owner, "scale", "None when loss='hinge', which takes values in [-1, 1]", p.scale)
    if p.loss in SOFTMAX_LOSSES:
        _check_softmax_loss(owner, p)
    elif getattr(p, "categorical_groups", None) is not None:
        rule = "None unless loss='categorical_crossentropy'"
        raise broken(owner, "categorical_groups", rule, p.categorical_groups)
    if p.loss != "binary_crossentropy":
        return
    if output_activation(p) != "sigmoid":
        raise broken(
            owner,
            "output_activation",
            "'auto' or 'sigmoid' when loss='binary_crossentropy'",
            p.output_activation,
        )
    if p.scale == "standard":
        raise broken(
            owner,
            "scale",
            "'minmax' or None when loss='binary_crossentropy', which takes values in [0, 1]",
            p.scale,
        )


def _check_softmax_loss(owner: str, p: Any) -> None:
    if p.output_activation != "auto":
        rule = f"'auto' when loss={p.loss!r}, which comes with a softmax"
        raise broken(owner, "output_activation", rule, p.output_activation)
    if p.loss == "kl_divergence" and p.categorical_groups is not None:
        rule = "None when loss='kl_divergence', which takes each row as one distribution"
        raise broken(owner, "categorical_groups", rule, p.categorical_groups)
    if p.categorical_groups is None and p.scale is not None:
        rule = f"None when loss={p.loss!r} and all columns are probabilities"
        raise broken(owner, "scale", rule, p.scale)


def _check_tied_weights(owner: str, p: Any) -> None:
    mirror = tuple(reversed(p.hidden_layer_sizes))
    if p.tied_weights and decoder_layer_sizes(p) != mirror:
        raise broken(
            owner,
            "decoder_layer_sizes",
            f"None or the mirror of hidden_layer_sizes, {mirror}, when tied_weights=True",
            p.decoder_layer_sizes,
        )


def check_schedule(owner: str, p: Any) -> None:
    """Check that a warm-up leaves epochs after it."""
    if isinstance(p.schedule, schedules.CosineDecay) and p.schedule.warmup_epochs >= p.epochs:
        raise broken(
            owner, "schedule", f"one whose warmup_epochs are fewer than epochs={p.epochs}", p.schedule
        )


def check_validation(owner: str, p: Any, has_validation_rows: bool) -> None:
    """Check that validation data come from one place, and that they come if they are needed."""
    if has_validation_rows and p.validation_fraction > 0:
        raise broken(owner, "validation_fraction", "0 when X_val is given", p.validation_fraction)
    if p.early_stopping and not has_validation_rows and p.validation_fraction == 0:
        raise broken(
            owner,
            "early_stopping",
            "False unless validation_fraction > 0 or X_val is given",
            p.early_stopping,
        )
