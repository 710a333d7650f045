"""``diabolo export``: a saved model as a header of C or a graph of ONNX."""

import argparse
from pathlib import Path

import diabolo
from diabolo._cli_errors import CommandError
from diabolo._cli_output import check_output
from diabolo._export_onnx import PARTS, SUPERVISED_PARTS
from diabolo._network_estimator import NetworkEstimator

SUMMARY = "write a model as a header of C or a graph of ONNX"
EXAMPLES = """\
examples:
  diabolo export model.safetensors -o model.h --threshold -0.5
  diabolo export model.safetensors -o scores.onnx --part scores
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that `fit` has saved")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help=".h for C, .onnx for ONNX"
    )
    parser.add_argument(
        "--part",
        choices=tuple(dict.fromkeys((*PARTS, *SUPERVISED_PARTS))),
        help="of ONNX: what to compute (default: autoencoder; scores or predictions)",
    )
    parser.add_argument("--name", help="of C: what names begin with (default: the file's name)")
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE", help="rows that score below it are outliers"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file; return the exit code."""
    check_output(arguments.output, (".h", ".onnx"))
    is_c = arguments.output.suffix == ".h"
    misplaced = "part" if is_c else "name"
    if getattr(arguments, misplaced) is not None:
        raise CommandError(f"--{misplaced} means nothing for a {arguments.output.suffix} file")
    estimator = diabolo.load(arguments.model)
    names = ["threshold", "name" if is_c else "part"]
    options = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if "threshold" in options and not isinstance(estimator, NetworkEstimator):
        kind = type(estimator).__name__
        own = "a threshold of its own" if hasattr(estimator, "offset_") else "no score"
        raise CommandError(f"--threshold means nothing for {kind}, which has {own}")
    (estimator.to_c if is_c else estimator.to_onnx)(arguments.output, **options)
    return 0
