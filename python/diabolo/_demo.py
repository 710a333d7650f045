"""``python -m diabolo demo``: an autoencoder beside PCA on rows neither has seen, in numbers and a picture.

Where the rows come from is in `_demo_data.py`; how the picture is drawn, in `_demo_picture.py`.
"""

import argparse
import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from diabolo import AutoEncoder, CosineDecay, _core
from diabolo._cli_options import int_from
from diabolo._demo_data import (
    DemoError,
    Findings,
    Result,
    Split,
    counted,
    load_digits,
    load_file,
    needs_extra,
    split,
)
from diabolo._types import Float32Array

SUMMARY = "train an autoencoder on real data, compare it with PCA and draw what comes out"
EXAMPLES = """\
examples:
  diabolo demo
  diabolo demo --data rows.npy --components 8 --output picture.png
"""

# For small data about as many passes as it takes; for large data enough to see what becomes of it.
_ROWS_TO_SEE = 150_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        help="a .npy file with an array of rows, or a .npz file with an array X or x_train and, if there are "
        "any, labels y or y_train, instead of scikit-learn's handwritten digits; images are flattened",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        type=Path,
        default=Path("diabolo-demo.png"),
        help="where to write the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--components",
        metavar="N",
        type=int_from(1),
        help="width of the code (default: the square root of the number of features)",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=int_from(1),
        help="passes over the training rows (default: fewer for large data, "
        f"from {_MOST_EPOCHS} to {_FEWEST_EPOCHS})",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int_from(0),
        default=0,
        help="of everything random; the same seed gives the same weights (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    try:
        isa = _core.selected_isa()
    except ValueError as error:
        raise DemoError(str(error)) from None
    # Whatever would fail after the training should fail before it.
    with needs_extra():
        from diabolo import _demo_picture as picture  # it needs matplotlib

        importlib.import_module("sklearn.decomposition")
    picture.check_output(arguments.output)
    seed: int = arguments.seed
    data = split(load_digits() if arguments.data is None else load_file(arguments.data, seed), seed)

    rows = len(data.train)
    components = arguments.components or min(_usual_components(data.features), rows)
    if components > min(rows, data.features):
        raise DemoError(
            f"--components must be at most {min(rows, data.features)}, the most that PCA can have with "
            f"{rows:,} training rows of {data.features:,} features. Got {components}."
        )
    ae = _autoencoder(data, components, arguments.epochs, seed)
    _print_settings(data, ae, isa)
    ae.fit(data.train)
    _print_speed(ae, rows)
    findings = Findings(
        data,
        _result(data, components, ae.transform(data.held_out), ae.reconstruct(data.held_out)),
        _pca(data, components, seed),
        _plane(data, arguments.epochs, seed),
        _pca(data, min(2, rows, data.features), seed),
        ae.history_,
    )
    _print_errors(findings)
    picture.write_picture(findings, arguments.output)
    print(f"\npicture    {arguments.output}")
    return 0


# ---- The two methods ----


def _autoencoder(data: Split, components: int, epochs: int | None, seed: int) -> AutoEncoder:
    rows = len(data.train)
    width = min(max(64, 2 * data.features), 512)
    epochs = epochs or min(max(_FEWEST_EPOCHS, _ROWS_TO_SEE // rows), _MOST_EPOCHS)
    return AutoEncoder(
        components,
        hidden_layer_sizes=(width, width // 2),
        activation="gelu",
        output_activation="identity" if data.image_shape is None else "sigmoid",
        learning_rate=4e-3,
        schedule=CosineDecay(warmup_epochs=min(3, epochs - 1)),
        epochs=epochs,
        batch_size=64 if rows < 20_000 else 256,
        # All epochs are run, and the weights of the best one kept.
        validation_fraction=0.1,
        early_stopping=True,
        patience=epochs,
        random_state=seed,
        verbose=int(sys.stderr.isatty()),
    )


def _plane(data: Split, epochs: int | None, seed: int) -> Result:
    # Bounded, so that the points fill their square; it costs a little of the error.
    ae = _autoencoder(data, 2, epochs, seed).set_params(code_activation="tanh").fit(data.train)
    return _result(data, 2, ae.transform(data.held_out), ae.reconstruct(data.held_out))


def _pca(data: Split, components: int, seed: int) -> Result:
    pca: Any = importlib.import_module("sklearn.decomposition").PCA(components, random_state=seed % 2**32)
    with np.errstate(invalid="ignore", divide="ignore"):  # it divides by the variance, which may be 0
        pca.fit(data.train)
    codes = pca.transform(data.held_out)
    return _result(data, components, codes, pca.inverse_transform(codes))


def _result(data: Split, components: int, codes: Float32Array, reconstructed: Float32Array) -> Result:
    errors = np.square(reconstructed - data.held_out).mean(axis=1)
    return Result(components, codes, reconstructed, errors)


def _usual_components(features: int) -> int:
    return round(math.sqrt(features))


# ---- What is printed ----


def _print_settings(data: Split, ae: AutoEncoder, isa: str) -> None:
    rows, held_out = len(data.train), len(data.held_out)
    shape = (
        " x ".join(map(str, data.image_shape)) + " pixels"
        if data.image_shape
        else counted(data.features, "feature")
    )
    widths = (data.features, *ae.hidden_layer_sizes, ae.n_components)
    part = f" (a random part of {data.part_of:,})" if data.part_of else ""
    print(f"data       {data.name}: {rows + held_out:,} rows of {shape}{part}, {held_out:,} of them held out")
    print(
        f"network    {'-'.join(map(str, widths + widths[-2::-1]))}, {ae.activation}, Adam, mean squared error"
    )
    print(f"machine    {counted(_core.usable_threads(), 'thread')}, {isa}", flush=True)


def _print_speed(ae: AutoEncoder, training_rows: int) -> None:
    # Of the training rows, one in ten only validates.
    rows = training_rows - max(1, int(0.1 * training_rows + 0.5))
    seconds = sum(ae.history_["seconds"])
    rate = ae.n_iter_ * rows / max(seconds, 1e-9)
    passes = f"{counted(ae.n_iter_, 'epoch')} of {counted(rows, 'row')}"
    print(f"training   {passes} in {seconds:.2f} s: {rate:,.0f} rows/s")


def _print_errors(findings: Findings) -> None:
    data, ours, theirs = findings.data, findings.autoencoder, findings.pca
    comparison = ""
    if theirs.error > 0:
        change = ours.error / theirs.error - 1
        comparison = f"   the autoencoder's is {abs(change):.0%} {'lower' if change < 0 else 'higher'}"
    print(
        f"\nmean squared error on the {counted(len(data.held_out), 'held-out row')}, "
        f"{counted(ours.components, 'component')} each ({data.units})\n"
        f"  autoencoder  {ours.error:.5f}\n"
        f"  PCA          {theirs.error:.5f}{comparison}"
    )
