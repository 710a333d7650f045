"""Training on sparse rows: rows a second and peak memory, beside blocks made dense and beside PyTorch.

    python bench/sparse_rows.py                          100,000 x 20,000, 0.5 % stored: 20000-64-20000
    python bench/sparse_rows.py --rows 20000 --sides diabolo "PyTorch, sparse CSR"

Columns are drawn with probabilities that fall as those of words do (Zipf), values are uniform. Each side has
a process of its own, the same threads, weights to begin with, batches and Adam; one whose first losses are
not diabolo's is left out. Best of some epochs. `sparse_sides.py` has the sides.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from data import SEED
from environment import environment
from machine import load_note
from report import table
from sparse_sides import SIDES

SIDE = Path(__file__).resolve().parent / "sparse_sides.py"
ROWS_AT_ONCE = 1000
AGREEMENT = 1e-4  # relative, of the losses of the first batches: sums are rounded in other orders


def write_rows(folder: Path, rows: int, features: int, stored: int) -> None:
    """Write the arrays of a CSR matrix: `stored` different columns in each row."""
    random = np.random.default_rng(SEED)
    # The `stored` smallest of exponential waiting times with these rates: a draw without replacement.
    waits = np.arange(1, features + 1, dtype=np.float32) + 100
    columns = np.empty((rows, stored), dtype=np.int32)
    for at in range(0, rows, ROWS_AT_ONCE):
        part = columns[at : at + ROWS_AT_ONCE]
        times = random.standard_exponential((len(part), features), dtype=np.float32) * waits
        part[:] = np.sort(np.argpartition(times, stored, axis=1)[:, :stored], axis=1)
    np.save(folder / "columns.npy", columns.ravel())
    np.save(folder / "values.npy", random.random(rows * stored, dtype=np.float32))
    np.save(folder / "starts.npy", np.arange(rows + 1, dtype=np.int32) * np.int32(stored))
    np.save(folder / "features.npy", features)


def measured(side: str, folder: Path, o: argparse.Namespace) -> dict[str, Any] | None:
    """Return what a side's process prints; None, with a word, if its library is missing."""
    options = {"--code": o.code, "--batch-size": o.batch_size, "--epochs": o.epochs, "--threads": o.threads}
    command = [sys.executable, str(SIDE), side, str(folder)]
    command += [str(word) for option in options.items() for word in option]
    finished = subprocess.run(
        command, env=os.environ | environment(o.threads, None), capture_output=True, text=True
    )
    if finished.returncode == 0:
        result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
        return result
    if "ModuleNotFoundError" in finished.stderr:
        print(f"{side} is left out: {finished.stderr.splitlines()[-1]}")
        return None
    raise RuntimeError(f"{side}: {finished.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--stored", type=int, default=100, help="of each row")
    parser.add_argument("--code", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES), metavar="SIDE")
    o = parser.parse_args()
    print(load_note(), flush=True)
    lines: list[list[str]] = []
    expected: float | None = None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_rows(folder, o.rows, o.features, o.stored)
        for side in o.sides:
            result = measured(side, folder, o)
            if result is None:
                continue
            expected = result["loss"] if expected is None else expected
            if abs(result["loss"] / expected - 1) > AGREEMENT:
                print(f"{side} is left out: its first loss is {result['loss']:.8g}, not {expected:.8g}.")
                continue
            best, median = min(result["seconds"]), float(np.median(result["seconds"]))
            lines.append(
                [
                    side,
                    f"{o.rows / best:,.0f}",
                    f"{100 * (median / best - 1):.0f} %",
                    f"{result['peak']:,.0f}",
                    f"{result['loaded']:,.0f}",
                ]
            )
            print(*lines[-1], sep=" | ", flush=True)
    head = [
        "side",
        "rows/s, best epoch",
        "the median is longer by",
        "peak memory, MB",
        "with the rows loaded, MB",
    ]
    print("", f"{o.rows:,} x {o.features:,}, {o.stored} stored a row, {o.threads} threads", "", sep="\n")
    print("\n".join(table(head, lines)))


if __name__ == "__main__":
    main()
