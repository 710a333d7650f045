"""Outlier detection on tables: mean ROC AUC over the data sets of a folder, beside the usual methods.

    python bench/quality/outlier_detection.py FOLDER [--seeds 5] [--rows 10000] [--tasks ab] [--skip ...]

FOLDER has .npz files with arrays X (rows, features) and y (rows,), 1 for outliers, as those of ADBench
(S. Han, X. Hu, H. Huang, M. Jiang and Y. Zhao, "ADBench: Anomaly detection benchmark", NeurIPS 2022). Of more
than `--rows` rows, so many are drawn, with each seed others; 10,000 is ADBench's own limit. Features are
standardised by the training rows. Two tasks:

(a) unsupervised: all rows are trained on, and scored;
(b) one class: half of the normal rows are trained on; the other half and the outliers are scored.

How the default autoencoder of ReconstructionOutlierDetector was chosen: on the same eleven data sets, with
seeds 0 to 2 and 4,000 rows of each, by the means of (a) and (b): about 80 settings of code width (1 to 6, a
quarter of the features), hidden layers, activation (relu, gelu, tanh), loss, learning rate, epochs, weight
decay, ensembles, the part of the rows trained on (0.5 to 1), their centre (means or medians) and repeated
trimming. This script's seeds are others, but the data sets are not: expect less on yours than the table
shows. The share of variance that PCA keeps was chosen in the same way, of 30, 50, 70, 80, 90 and 95 %.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from diabolo import ReconstructionOutlierDetector

Float64Array = npt.NDArray[np.float64]
# Trains on the first rows and returns how odd the second are; the first are the second in (a).
Method = Callable[[Float64Array, Float64Array, int], Float64Array]

FIRST_SEED = 100  # settings were chosen with others


class DataSet(NamedTuple):
    name: str
    X: Float64Array  # (rows, features)
    is_outlier: npt.NDArray[np.bool_]  # (rows,)


class Result(NamedTuple):
    auc: float
    seconds: float


# ---- Methods ----


def default_detector(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
    return -ReconstructionOutlierDetector(random_state=seed).fit(train).score_samples(test)


def detector_of_normal_rows(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
    detector = ReconstructionOutlierDetector(support_fraction=1, random_state=seed)
    return -detector.fit(train).score_samples(test)


def pca(share: float) -> Method:
    """Return the reconstruction error of the components that have this share of the variance."""

    def errors(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
        model = PCA(share, svd_solver="full").fit(train)
        return ((test - model.inverse_transform(model.transform(test))) ** 2).mean(axis=1)

    return errors


def isolation_forest(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def local_outlier_factor(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
    if train is test:  # a row is no neighbour of its own
        return -LocalOutlierFactor().fit(train).negative_outlier_factor_
    return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test)


def pyod(module: str, name: str) -> Method:
    """Return a detector of PyOD with its own defaults."""
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)

    def scores(train: Float64Array, test: Float64Array, seed: int) -> Float64Array:
        result: Float64Array = detector(random_state=seed, verbose=0).fit(train).decision_function(test)
        return result

    return scores


def methods(skipped: list[str]) -> dict[str, Method]:
    found: dict[str, Method] = {
        "diabolo": default_detector,
        "diabolo, support_fraction=1": detector_of_normal_rows,
        "PCA, 50 % of the variance": pca(0.5),
        "PCA, 90 % of the variance": pca(0.9),
        "IsolationForest": isolation_forest,
        "LocalOutlierFactor": local_outlier_factor,
    }
    try:
        found["PyOD AutoEncoder"] = pyod("auto_encoder", "AutoEncoder")
        found["PyOD VAE"] = pyod("vae", "VAE")
    except ImportError as error:
        print(f"PyOD's AutoEncoder and VAE are left out: {error}\n")
    return {name: method for name, method in found.items() if name not in skipped}


# ---- Data and tasks ----


def load(folder: Path) -> list[DataSet]:
    sets = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            sets.append(DataSet(path.stem, arrays["X"].astype(np.float64), arrays["y"].ravel() == 1))
    if not sets:
        raise SystemExit(f"{folder} has no .npz files")
    return sets


def evaluate(method: Method, data: DataSet, task: str, seed: int, most_rows: int) -> Result:
    random = np.random.RandomState(seed)
    rows = random.permutation(len(data.X))[:most_rows]
    X, is_outlier = data.X[rows], data.is_outlier[rows]
    if task == "a":
        train = test = StandardScaler().fit_transform(X)
    else:
        normal = random.permutation(np.flatnonzero(~is_outlier))
        trained_on = np.isin(np.arange(len(X)), normal[: len(normal) // 2])
        scaler = StandardScaler().fit(X[trained_on])
        train, test = scaler.transform(X[trained_on]), scaler.transform(X[~trained_on])
        is_outlier = is_outlier[~trained_on]
    started = time.perf_counter()
    oddness = method(train, test, seed)
    seconds = time.perf_counter() - started
    return Result(float(roc_auc_score(is_outlier, oddness)), seconds)


# ---- Tables ----


def show(task: str, results: Mapping[str, Mapping[str, list[Result]]], sets: list[DataSet]) -> None:
    """Print a table: mean AUC in per cent, its standard deviation over seeds, time, and each data set."""
    names = [data.name.partition("_")[2] or data.name for data in sets]
    print(f"\n({task})\n")
    print(f"| method | mean AUC | ± | seconds | {' | '.join(names)} |")
    print("|---" * (4 + len(sets)) + "|")
    for method, of_sets in results.items():
        aucs = 100 * np.array([[result.auc for result in of_sets[data.name]] for data in sets])
        seconds = np.mean([[result.seconds for result in of_sets[data.name]] for data in sets])
        # Spread of the mean over data sets from seed to seed.
        spread = aucs.mean(axis=0).std()
        cells = " | ".join(f"{auc:.1f}" for auc in aucs.mean(axis=1))
        print(f"| {method} | {aucs.mean():.2f} | {spread:.2f} | {seconds:.2f} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tasks", default="ab", choices=["a", "b", "ab"])
    parser.add_argument("--skip", nargs="*", default=[], metavar="METHOD")
    arguments: Any = parser.parse_args()
    sets = load(arguments.folder)
    chosen = methods(arguments.skip)
    for task in arguments.tasks:
        results: dict[str, dict[str, list[Result]]] = {}
        for name, method in chosen.items():
            results[name] = {
                data.name: [
                    evaluate(method, data, task, FIRST_SEED + seed, arguments.rows)
                    for seed in range(arguments.seeds)
                ]
                for data in sets
            }
        show(task, results, sets)


if __name__ == "__main__":
    main()
