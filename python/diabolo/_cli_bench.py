"""``diabolo bench``: how fast this machine trains and predicts, in a few seconds, compared with nothing."""

import argparse
import time

import numpy as np

from diabolo import AutoEncoder, _core
from diabolo._cli_options import int_from

SUMMARY = "measure how fast this machine trains and predicts"
EXAMPLES = """\
It trains 784-256-64-256-784 (relu, Adam, batches of 256) on random numbers. Best of several epochs.
"""

_ROWS, _FEATURES, _HIDDEN, _CODE = 20_000, 784, 256, 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--epochs", type=int_from(1), default=5, metavar="N", help="epochs to take the best of (default: 5)"
    )
    parser.add_argument("--n-jobs", type=int_from(1), metavar="N", help="threads (default: all there are)")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    X = np.random.default_rng(0).random((_ROWS, _FEATURES), dtype=np.float32)
    ae = AutoEncoder(
        _CODE, hidden_layer_sizes=(_HIDDEN,), epochs=arguments.epochs, n_jobs=arguments.n_jobs, random_state=0
    ).fit(X)
    fastest = min(ae.history_["seconds"])
    predicting = min(_seconds(ae, X) for _ in range(arguments.epochs))
    threads = arguments.n_jobs or _core.usable_threads()
    products = 2 * (_FEATURES * _HIDDEN + _HIDDEN * _CODE)  # multiplications and additions of a row, forward
    print(f"machine    {threads} thread{'s' * (threads != 1)}, {_core.selected_isa()}")
    for name, seconds, passes in (("training", fastest, 3), ("predicting", predicting, 1)):
        rate = _ROWS / seconds
        print(f"{name:<10} {rate:,.0f} rows/s, {rate * passes * 2 * products / 1e9:.0f} GFLOP/s")
    return 0


def _seconds(ae: AutoEncoder, X: np.typing.NDArray[np.float32]) -> float:
    started = time.perf_counter()
    ae.reconstruct(X)
    return time.perf_counter() - started
