"""GridSearchCV over 24 settings: one after the other, in two threads, in two processes.

    python bench/grid_search.py [--rows 20000] [--rounds 3]

Each fit has one thread, so that the searches differ only in how many fits run at a time. The sides take
turns; the best round of each counts. Ends with an error if results differ to the last bit, or if a parallel
search is not 1.5 times as fast (which it cannot be on a busy machine).
"""

import argparse
import sys
import time
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GridSearchCV

from diabolo import AutoEncoder
from machine import load_note
from report import table

GRID = {
    "n_components": [4, 8, 16],
    "activation": ["relu", "tanh"],
    "learning_rate": [1e-3, 1e-2],
    "batch_size": [64, 256],
}
JOBS = 2
WANTED = 1.5
SIDES = ("one after the other", "threading", "loky")  # the last two are joblib's names


class Found(NamedTuple):
    seconds: float
    best: dict[str, Any]
    scores: npt.NDArray[np.float64]  # of each setting and fold


def search(X: npt.NDArray[np.float32], side: str, epochs: int) -> Found:
    ae = AutoEncoder(hidden_layer_sizes=(64,), epochs=epochs, random_state=0, n_jobs=1)
    backend = joblib.parallel_config(backend=side, n_jobs=JOBS) if side in SIDES[1:] else None
    grid = GridSearchCV(ae, GRID, cv=3, error_score="raise", n_jobs=None if backend else 1)
    started = time.perf_counter()
    if backend is None:
        grid.fit(X)
    else:
        with backend:
            grid.fit(X)
    seconds = time.perf_counter() - started
    folds = [grid.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    return Found(seconds, grid.best_params_, np.stack(folds, axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    print(load_note(), flush=True)
    X = np.random.default_rng(0).random((o.rows, o.features), dtype=np.float32)
    for side in SIDES:  # starts the processes, and imports in them
        search(X[:60], side, 1)
    found: dict[str, list[Found]] = {side: [] for side in SIDES}
    for _ in range(o.rounds):
        for side in SIDES:
            found[side].append(search(X, side, o.epochs))
    first = found[SIDES[0]][0]
    same = all(
        result.best == first.best and np.array_equal(result.scores, first.scores)
        for results in found.values()
        for result in results
    )
    best = {side: min(result.seconds for result in results) for side, results in found.items()}
    ratios = {side: best[SIDES[0]] / seconds for side, seconds in best.items()}
    lines = [[side, f"{best[side]:.2f}", f"{ratios[side]:.2f}"] for side in SIDES]
    print("\n".join(table(["24 settings, 3 folds", "seconds", "times as fast"], lines)))
    print(f"best: {first.best}; results are {'the same, to the last bit' if same else 'DIFFERENT'}")
    slow = [side for side in SIDES[1:] if ratios[side] < WANTED]
    if not same or slow:
        sys.exit(f"not {WANTED} times as fast: {', '.join(slow)}" if slow else "the results differ")


if __name__ == "__main__":
    main()
