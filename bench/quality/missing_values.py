"""Error of imputed pixels of MNIST, 30 % of which nobody observed, beside means and principal components.

The same pixels are missing for all: each on its own with probability 0.3, in training and test images. The
autoencoder trains on the gappy images (`missing="mask"`), and to predict pixels it does not see hides some
more at every step (masking noise), which its loss emphasises. Principal components are fitted by
expectation and maximisation (Roweis, "EM algorithms for PCA and SPCA", NIPS 1997): gaps are filled with the
mean, then again and again with the projection on the first components. How many these are is chosen on the
test images, which favours them. The error is the root mean square over the missing pixels of the 10000 test
images, pixels being in [0, 1].
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from mnist import Float32Array, Run, load, parser, summary

from diabolo import DenoisingAutoEncoder

MISSING = 0.3
# Of the pixels that are there, what training hides as well, and the weight of the loss of the others. So the
# network sees nearly as many pixels as it will later; with 0.3 the error is a tenth higher.
HIDDEN = 0.1


class Result(NamedTuple):
    """The error of one method, and what it took to fit and impute."""

    error: float
    seconds: float


def with_gaps(X: Float32Array, seed: int) -> Float32Array:
    """Return the images with pixels missing."""
    gaps = np.random.default_rng(seed).random(X.shape, dtype=np.float32) < MISSING
    return np.where(gaps, np.float32(np.nan), X)


def error(imputed: npt.NDArray[np.floating], gappy: Float32Array, X: Float32Array) -> float:
    """Return the root mean square error over the missing pixels."""
    gaps = np.isnan(gappy)
    return float(np.sqrt(np.mean((imputed[gaps].astype(np.float64) - X[gaps]) ** 2)))


def by_components(train: Float32Array, test: Float32Array, components: int, rounds: int) -> Float32Array:
    """Return the test images imputed by principal components that were fitted to gappy training images."""
    mean = np.nanmean(train, axis=0, dtype=np.float64).astype(np.float32)
    gaps = np.isnan(train)
    filled = np.where(gaps, mean, train)
    for _ in range(rounds):
        mean = filled.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = filled - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        basis = vectors[:, -components:]
        filled = np.where(gaps, centred @ basis @ basis.T + mean, train)
    gaps = np.isnan(test)
    filled = np.where(gaps, mean, test)
    for _ in range(5 * rounds):
        filled = np.where(gaps, (filled - mean) @ basis @ basis.T + mean, test)
    return filled


def by_mean(train: Float32Array, test: Float32Array) -> Float32Array:
    """Return the test images with each pixel's mean in its gaps."""
    return np.where(np.isnan(test), np.nanmean(train, axis=0), test)


def by_autoencoder(
    train: Float32Array, test: Float32Array, options: argparse.Namespace, seed: int
) -> npt.NDArray[np.floating]:
    """Return the test images imputed by an autoencoder that was trained on gappy images."""
    ae = DenoisingAutoEncoder(
        512,
        hidden_layer_sizes=(512,),
        activation="relu",
        code_activation="relu",
        corruption="masking",
        noise_fraction=HIDDEN,
        clean_weight=HIDDEN,
        missing="mask",
        matmul_precision=options.matmul_precision,
        loss="binary_crossentropy",
        schedule="cosine",
        batch_size=128,
        epochs=options.epochs,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    )
    return ae.fit(train).impute(test)


def main() -> None:
    options_parser = parser("Error of imputed pixels of MNIST.", epochs=20)
    options_parser.add_argument("--rounds", type=int, default=15, help="of components, default %(default)s")
    options_parser.add_argument(
        "--components", type=int, nargs="+", default=[25, 50, 100, 150], help="numbers of them to try"
    )
    options_parser.add_argument("--matmul-precision", default="bfloat16", help="default %(default)s")
    options = options_parser.parse_args()
    digits = load(options.data)
    results: dict[str, list[Result]] = {}
    for seed in options.seeds:
        train, test = with_gaps(digits.train, 2 * seed), with_gaps(digits.test, 2 * seed + 1)
        methods: dict[str, Callable[[], npt.NDArray[np.floating]]] = {
            "mean of the pixel": functools.partial(by_mean, train, test),
            **{
                f"{n} components": functools.partial(by_components, train, test, n, options.rounds)
                for n in options.components
            },
            "autoencoder": functools.partial(by_autoencoder, train, test, options, seed),
        }
        for name, impute in methods.items():
            started = time.perf_counter()
            found = Result(error(impute(), test, digits.test), time.perf_counter() - started)
            results.setdefault(name, []).append(found)
            print(f"seed {seed}, {name}: {found.error:.4f} in {found.seconds:.0f} s", flush=True)
    best = min(
        options.components, key=lambda n: statistics.fmean(r.error for r in results[f"{n} components"])
    )
    print("\n| imputed by | error of missing pixels | seconds |", "|---|---|---|", sep="\n")
    for name in ("mean of the pixel", f"{best} components", "autoencoder"):
        runs = [Run(seed, *found) for seed, found in zip(options.seeds, results[name], strict=True)]
        seconds = statistics.fmean(run.seconds for run in runs)
        print(f"| {name} | {summary(runs, 4)} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
