"""``diabolo fit``: a model from a file of rows."""

import argparse
import sys
from pathlib import Path

from diabolo._cli_data import add_data_options, read_rows
from diabolo._cli_info import shape_of
from diabolo._cli_options import add_kind_options, chosen_estimator
from diabolo._cli_output import check_folder
from diabolo._network_estimator import NetworkEstimator

SUMMARY = "train a model on rows of numbers and save it"
EXAMPLES = """\
examples:
  diabolo fit train.csv -o model.safetensors --n-components 8 --scale standard
  diabolo fit train.npy -o model.safetensors --hidden-layer-sizes 128,64 --activation gelu \\
      --validation-fraction 0.1 --early-stopping true --epochs 500 --seed 0

  diabolo fit train.npy -o model.safetensors --seed 0 --checkpoint run.safetensors
  diabolo fit train.npy -o model.safetensors --seed 0 --resume-from run.safetensors

Ctrl-C ends the training; the model of the last completed epoch is saved, and the exit code is 130. A
checkpoint remains, and the training can be resumed from it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_data_options(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="MODEL", required=True, help="where to save the model"
    )
    parser.add_argument(
        "--validation-data", type=Path, metavar="FILE", help="rows to compute validation losses on"
    )
    parser.add_argument(
        "--resume-from", type=Path, metavar="FILE", help="go on from a file that --checkpoint wrote"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress (it goes to stderr)")
    add_kind_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and save; return the exit code."""
    check_folder(arguments.output)
    estimator = chosen_estimator(arguments).set_params(verbose=0 if arguments.quiet else 1)
    missing = estimator.missing == "mask"
    rows = read_rows(arguments.data, arguments, missing=missing)
    validation = None
    if arguments.validation_data is not None:
        validation = read_rows(arguments.validation_data, arguments, missing=missing)
    try:
        estimator.fit(rows, X_val=validation, resume_from=arguments.resume_from)
    except KeyboardInterrupt:
        if not estimator.__sklearn_is_fitted__():
            raise
        _save(estimator, arguments.output)
        print("interrupted", file=sys.stderr)
        return 130
    _save(estimator, arguments.output)
    return 0


def _save(estimator: NetworkEstimator, path: Path) -> None:
    estimator.set_params(verbose=0).save(path)
    history = estimator.history_
    epochs = estimator.n_iter_
    losses = ", ".join(
        f"{name} {history[name][-1]:.4g}" for name in ("loss", "val_loss") if history.get(name)
    )
    print(f"{path}: {shape_of(estimator)}, {epochs} epoch{'s' * (epochs != 1)}, {losses}")
