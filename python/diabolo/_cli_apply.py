"""``diabolo transform``, ``reconstruct`` and ``score``: what a saved model makes of rows, as a table."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import diabolo
from diabolo._base import Estimator
from diabolo._cli_data import add_data_options, read_rows
from diabolo._cli_errors import CommandError
from diabolo._cli_output import add_output_option, check_output, write_table
from diabolo._common_layers import takes_missing
from diabolo._network_estimator import NetworkEstimator
from diabolo._types import AnyArray

Columns = tuple[AnyArray, Sequence[str]]  # a table, (rows, columns), and the names of its columns

# What an estimator must have for a command.
_METHODS = {"transform": "transform", "reconstruct": "reconstruct", "score": "score_samples"}


class Apply:
    """A command that reads a model and rows and writes a table."""

    def __init__(
        self,
        name: str,
        summary: str,
        table: Callable[[Any, object, argparse.Namespace], Columns],
    ) -> None:
        self.SUMMARY = summary
        self.EXAMPLES = (
            "examples:\n"
            f"  diabolo {name} model.safetensors rows.csv | head\n"
            f"  diabolo {name} model.safetensors rows.npy -o results.npy\n"
        )
        self.table = table
        self.method = _METHODS[name]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", type=Path, metavar="MODEL", help="a file that `fit` has saved")
        add_data_options(parser)
        add_output_option(parser)
        if self.table is _scores:
            parser.add_argument(
                "--per-feature", action="store_true", help="the squared error of each feature instead"
            )

    def run(self, arguments: argparse.Namespace) -> int:
        check_output(arguments.output)
        estimator = diabolo.load(arguments.model)
        if not hasattr(estimator, self.method):
            fitting = [f"`{name}`" for name, method in _METHODS.items() if hasattr(estimator, method)]
            kind = type(estimator).__name__
            raise CommandError(f"{arguments.model}: {kind} is there for {' and '.join(fitting)}")
        missing = takes_missing(estimator._require_fitted().architecture)
        rows = read_rows(arguments.data, arguments, missing=missing)
        table, names = self.table(estimator, rows, arguments)
        write_table(table, names, arguments.output)
        return 0


def _codes(estimator: NetworkEstimator, rows: object, _: argparse.Namespace) -> Columns:
    codes = estimator.transform(rows)
    return codes, [f"code_{number}" for number in range(codes.shape[1])]


def _reconstructions(estimator: NetworkEstimator, rows: object, _: argparse.Namespace) -> Columns:
    return estimator.reconstruct(rows), feature_names(estimator)


def _scores(estimator: Any, rows: object, arguments: argparse.Namespace) -> Columns:
    if arguments.per_feature:
        if not isinstance(estimator, NetworkEstimator):
            raise CommandError(f"--per-feature means nothing for {type(estimator).__name__}")
        return estimator.reconstruction_error(rows, per_feature=True), feature_names(estimator)
    return np.asarray(estimator.score_samples(rows))[:, None], ["score"]


def feature_names(estimator: Estimator) -> Sequence[str]:
    """Return the names of the columns that were fitted, or some."""
    names = estimator._require_fitted().fitting.feature_names
    return names or [f"x{number}" for number in range(estimator.n_features_in_)]


TRANSFORM = Apply("transform", "turn rows into codes", _codes)
RECONSTRUCT = Apply(
    "reconstruct", "pass rows through the model, which gives cleaned copies", _reconstructions
)
SCORE = Apply("score", "score rows: minus the mean squared error, the higher the more normal", _scores)
