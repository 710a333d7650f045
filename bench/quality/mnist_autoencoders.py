"""Test loss of two small autoencoders on MNIST, beside what others publish for the same set-up.

Pixels in [0, 1], binary cross-entropy, relu in every layer but the last, code included, Adam at 1e-3 with its
usual betas, batches of 256, 50 epochs. The first network is that of the Keras blog. The loss of the weights
after the last epoch is the mean over the pixels of the 10000 test images.
"""

import argparse
import functools
import statistics
from typing import NamedTuple

import numpy as np
from mnist import Float32Array, load, parser, run_seeds, summary

from diabolo import AutoEncoder


class Case(NamedTuple):
    hidden_layer_sizes: tuple[int, ...]
    target: float  # what diabolo promises to reach
    others: str


CASES = {
    "784-32-784": Case((), 0.0925, "PyTorch 0.0915, Keras blog 0.093"),
    "784-128-64-32-64-128-784": Case((128, 64), 0.0860, "PyTorch 0.0847"),
}


def autoencoder(case: Case, options: argparse.Namespace, seed: int) -> AutoEncoder:
    return AutoEncoder(
        n_components=32,
        hidden_layer_sizes=case.hidden_layer_sizes,
        activation="relu",
        code_activation="relu",
        initializer=options.initializer,
        loss="binary_crossentropy",
        optimizer="adam",
        learning_rate=1e-3,
        epochs=options.epochs,
        batch_size=256,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    )


def mean_loss(estimator: AutoEncoder, X: Float32Array) -> float:
    return float(np.mean(estimator.reconstruction_error(X, metric="loss"), dtype=np.float64))


def main() -> None:
    options_parser = parser("Test loss of small autoencoders on MNIST.", epochs=50)
    options_parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options_parser.add_argument("--initializer", default="auto")
    options = options_parser.parse_args()
    digits = load(options.data)
    lines = []
    for name in options.cases:
        case = CASES[name]
        make = functools.partial(autoencoder, case, options)
        runs = run_seeds(name, make, digits, mean_loss, options.seeds)
        seconds = statistics.fmean(run.seconds for run in runs)
        lines.append(
            f"| {name} | {summary(runs, 5)} | at most {case.target:.4f} | {case.others} | {seconds:.0f} |"
        )
    print("\n| network | test loss | to reach | others | seconds a fit |", "|---|---|---|---|---|", sep="\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
