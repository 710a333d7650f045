"""``diabolo sample``: new rows of a variational model, as a table."""

import argparse
from pathlib import Path

import diabolo
from diabolo._cli_apply import feature_names
from diabolo._cli_errors import CommandError
from diabolo._cli_options import int_from
from diabolo._cli_output import add_output_option, check_output, write_table
from diabolo._variational import VariationalAutoEncoder

SUMMARY = "draw new rows from a variational model"
EXAMPLES = """\
examples:
  diabolo fit rows.csv -o model.safetensors --model variational --scale standard
  diabolo sample model.safetensors -n 100 -o new.csv --seed 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that `fit` has saved")
    parser.add_argument("-n", type=int_from(1), default=10, help="how many rows (default: %(default)s)")
    parser.add_argument("--seed", type=int_from(0), help="the same rows every time (default: the model's)")
    add_output_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw them."""
    check_output(arguments.output)
    estimator = diabolo.load(arguments.model)
    if not isinstance(estimator, VariationalAutoEncoder):
        raise CommandError(
            f"{arguments.model}: only a variational model draws rows. Got {type(estimator).__name__}"
        )
    rows = estimator.sample(arguments.n, random_state=arguments.seed)
    write_table(rows, feature_names(estimator), arguments.output)
    return 0
