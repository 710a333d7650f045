"""``diabolo info``: what a model file holds."""

import argparse
import json
import math
from pathlib import Path

import diabolo
from diabolo._base import Estimator
from diabolo._layers import DenseLayer, GaussianCodeLayer, described, label

SUMMARY = "show what a model file holds"
EXAMPLES = """\
examples:
  diabolo info model.safetensors
  diabolo info model.safetensors --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that `fit` has saved")
    parser.add_argument("--json", action="store_true", help="for programs; with the whole history")


def run(arguments: argparse.Namespace) -> int:
    """Print what the file holds; return the exit code."""
    estimator = diabolo.load(arguments.model)
    if arguments.json:
        print(json.dumps(_facts(estimator), allow_nan=False, indent=2))
        return 0
    fitted = estimator._require_fitted()
    layers = ", ".join(label(layer) for layer in fitted.architecture.layers)
    weights = sum(weight.size for weight in fitted.model.get_weights().values())
    names = fitted.fitting.feature_names
    last = {name: values[-1] for name, values in estimator.history_.items() if values and name != "seconds"}
    lines = {
        "model": repr(estimator),
        "network": shape_of(estimator).partition(" ")[2],
        "layers": layers,
        "weights": f"{weights:,}",
        "scaling": fitted.fitting.scale or "none",
        "features": "without names" if names is None else ", ".join(names),
        "epochs": f"{estimator.n_iter_:,} ({estimator.stop_reason_})",
        "last": ", ".join(f"{name} {value:.4g}" for name, value in last.items()),
    }
    for name, value in lines.items():
        print(f"{name:<10}{value}")
    return 0


def shape_of(estimator: Estimator) -> str:
    """Return a fitted estimator's kind and widths: "AutoEncoder 64-8-64"."""
    layers = estimator._require_fitted().architecture.layers
    widths = [layers[0].inputs]
    for layer in layers:
        if isinstance(layer, GaussianCodeLayer):  # of the moments that the layer below computes, a code
            widths[-1] = layer.outputs
        elif isinstance(layer, DenseLayer):
            widths.append(layer.outputs)
    return f"{type(estimator).__name__} {'-'.join(map(str, widths))}"


def _facts(estimator: Estimator) -> dict[str, object]:
    fitted = estimator._require_fitted()
    return {
        "class": type(estimator).__name__,
        "layers": [described(layer) for layer in fitted.architecture.layers],
        "weights": {name: list(weight.shape) for name, weight in fitted.model.get_weights().items()},
        "parameters": {name: _plain(value) for name, value in estimator.get_params().items()},
        "scaling": fitted.fitting.scale,
        "feature_names": fitted.fitting.feature_names,
        "stop_reason": estimator.stop_reason_,
        "history": {
            name: [None if math.isnan(value) else value for value in values]
            for name, values in estimator.history_.items()
        },
    }


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str, tuple)) else repr(value)
