"""Rows per second while training: diabolo beside NumPy, with the same threads, on the same work.

Each side trains in a process of its own; they take turns epoch by epoch, so that a machine that slows down
slows both. The first epochs are not counted; of the others the best is, for whatever disturbs an epoch makes
it slower. Beforehand both train the same few steps from the same weights, and their losses must agree.

    python bench/epoch.py                      all cases, 1 thread and 2
    python bench/epoch.py --cases a --threads 1 --data mnist.npz

diabolo's side drives the trainer that `AutoEncoder.fit` drives, one epoch at a time; what `fit` does once,
such as checking X, is not part of an epoch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from numpy_autoencoder import Layer, NumpyAutoEncoder, initial_weights

if TYPE_CHECKING:
    from diabolo import _core

Array = npt.NDArray[np.float32]

BATCH_SIZE = 256
LEARNING_RATE = 1e-3
SEED = 0

# Threads of a BLAS or of OpenMP go on spinning for a while after their work (OpenBLAS for 2^26 ticks), which
# would cost the other side.
SECONDS_BETWEEN_TURNS = 0.1


class Case(NamedTuple):
    widths: tuple[int, ...]
    rows: int  # of the random data: more than caches hold for 784 features, about a second an epoch
    target: float  # times NumPy, on an idle machine


CASES = {
    "a": Case((784, 64, 784), 240 * BATCH_SIZE, 3.0),
    "d": Case((32, 16, 8, 16, 32), 1024 * BATCH_SIZE, 3.0),
    "b": Case((784, 512, 256, 64, 256, 512, 784), 60 * BATCH_SIZE, 1.6),
}

# The work is compared on a few rows in the order they stand in, with a last batch that is not full.
CHECKED_ROWS = 6 * BATCH_SIZE + 40
CHECKED_EPOCHS = 5
# Relative, of an epoch's loss: rounding differs, and Adam's first steps make much of small gradients.
AGREEMENT = 1e-4


class Side(Protocol):
    """What runs in a worker process."""

    def epoch(self) -> float:
        """Train one epoch and return its mean loss."""


class NumpySide:
    def __init__(self, widths: tuple[int, ...], X: Array, threads: int, shuffle: bool) -> None:
        del threads  # OpenBLAS read them from the environment
        self.model = NumpyAutoEncoder(
            initial_weights(widths, SEED), batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE
        )
        self.X = X
        self.order = np.arange(len(X))
        self.random = np.random.default_rng(SEED) if shuffle else None

    def epoch(self) -> float:
        if self.random is not None:
            self.random.shuffle(self.order)
        return self.model.run_epoch(self.X, self.order)


class DiaboloSide:
    def __init__(self, widths: tuple[int, ...], X: Array, threads: int, shuffle: bool) -> None:
        from diabolo import _core  # here and below, so that NumPy's process has no second set of threads

        self.rows = _core.Rows(X)
        self.trainer = _core.Trainer(
            self.model(widths, initial_weights(widths, SEED)),
            self.rows,
            None,
            loss="binary_crossentropy",
            batch_size=BATCH_SIZE,
            epochs=1,  # matters to schedules only
            learning_rate=LEARNING_RATE,
            schedule=_core.Schedule.constant(),
            rule=_core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0),
            l1=0.0,
            l2=0.0,
            clip_norm=0.0,
            shuffle="rows" if shuffle else "none",
            seed=SEED,
            threads=threads,
        )

    @staticmethod
    def model(widths: tuple[int, ...], layers: list[Layer]) -> "_core.Model":
        from diabolo import _core

        described: list[_core.Dense] = []
        weights: dict[str, Array] = {}
        for index, (kernel, bias) in enumerate(layers):
            name, activation = f"dense.{index}", "relu" if index < len(layers) - 1 else "sigmoid"
            inputs, outputs = kernel.shape
            described.append(_core.Dense(name, inputs, outputs, activation, "he_uniform"))
            weights |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
        model = _core.Model(described, code_layers=len(widths) // 2, seed=SEED)
        return model.with_weights(weights)

    def epoch(self) -> float:
        report = self.trainer.run_epoch(None)
        if report.outcome != "completed":
            raise RuntimeError(f"training ended: {report.outcome}")
        return report.loss


SIDES: dict[str, type[NumpySide] | type[DiaboloSide]] = {"numpy": NumpySide, "diabolo": DiaboloSide}


# ---- The worker process ----


def load_rows(case: Case, data: Path | None) -> Array:
    """Return MNIST's training images in [0, 1] or, without a file, uniform random numbers."""
    if data is None or case.widths[0] != 784:
        return np.random.default_rng(SEED).random((case.rows, case.widths[0]), dtype=np.float32)
    with np.load(data) as arrays:
        images = arrays["x_train"]
    X: Array = np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
    return X


def work(side_name: str, case: Case, threads: int, data: Path | None) -> None:
    """Answer commands, a line each: "check" and "epoch"."""
    X = load_rows(case, data)
    side: Side = SIDES[side_name](case.widths, X, threads, shuffle=True)
    for line in sys.stdin:
        answer: dict[str, Any]
        if line.strip() == "check":
            checked = SIDES[side_name](case.widths, X[:CHECKED_ROWS], threads, shuffle=False)
            answer = {"losses": [checked.epoch() for _ in range(CHECKED_EPOCHS)]}
        else:
            start = time.perf_counter()
            side.epoch()
            answer = {"seconds": time.perf_counter() - start, "rows": len(X)}
        print(json.dumps(answer), flush=True)


# ---- The comparison ----


class Worker:
    """A process that trains when told to, and sleeps otherwise."""

    def __init__(self, side: str, case: str, threads: int, data: Path | None) -> None:
        command = [sys.executable, __file__, "--worker", side, "--cases", case, "--threads", str(threads)]
        if data is not None:
            command += ["--data", str(data)]
        counts = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | counts
        )

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a worker process ended; its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Result:
    case: str
    threads: int
    rows: int
    seconds: dict[str, list[float]]  # per counted epoch
    disagreement: float  # of the losses, relative

    def rate(self, side: str) -> float:
        return self.rows / min(self.seconds[side])

    def ratio(self) -> float:
        return min(self.seconds["numpy"]) / min(self.seconds["diabolo"])

    def median_ratio(self) -> float:
        medians = {side: statistics.median(seconds) for side, seconds in self.seconds.items()}
        return medians["numpy"] / medians["diabolo"]


def compare(case: str, threads: int, options: argparse.Namespace) -> Result:
    workers = {side: Worker(side, case, threads, options.data) for side in SIDES}
    try:
        losses = {side: np.array(worker.ask("check")["losses"]) for side, worker in workers.items()}
        disagreement = float(np.max(np.abs(losses["diabolo"] / losses["numpy"] - 1.0)))
        if not disagreement <= AGREEMENT:
            raise SystemExit(f"case {case}: the losses do not agree, so the work is not the same: {losses}")
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        rows = 0
        for turn in range(options.warmup + options.repeats):
            for side, worker in workers.items():
                time.sleep(SECONDS_BETWEEN_TURNS)
                answer = worker.ask("epoch")
                rows = answer["rows"]
                if turn >= options.warmup:
                    seconds[side].append(answer["seconds"])
        return Result(case, threads, rows, seconds, disagreement)
    finally:
        for worker in workers.values():
            worker.close()


COLUMNS = (
    "case",
    "threads",
    "NumPy rows/s",
    "diabolo rows/s",
    "ratio of bests",
    "of medians",
    "to reach",
    "losses agree to",
)


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table_row(result: Result) -> str:
    case = CASES[result.case]
    cells = (
        f"{result.case} {'-'.join(map(str, case.widths))}",
        str(result.threads),
        f"{result.rate('numpy'):,.0f}",
        f"{result.rate('diabolo'):,.0f}",
        f"{result.ratio():.2f}",
        f"{result.median_ratio():.2f}",
        f"{case.target:g}",
        f"{result.disagreement:.0e}",
    )
    return line(cells)


def load_note() -> str:
    load = os.getloadavg()[0]
    return f"Load average {load:.1f}" + (": too busy a machine to measure on." if load > 0.5 else ".")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second while training, diabolo beside NumPy.")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--data", type=Path, help="mnist.npz, for the cases of 784 features; default: random")
    parser.add_argument("--repeats", type=int, default=10, help="counted epochs, default %(default)s")
    parser.add_argument("--warmup", type=int, default=2, help="epochs before them, default %(default)s")
    parser.add_argument("--json", type=Path, help="also write all epochs' seconds to this file")
    parser.add_argument("--worker", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, CASES[options.cases[0]], options.threads[0], options.data)

    from diabolo import _core

    print(f"NumPy {np.__version__}; diabolo on {_core.selected_isa()}; {os.cpu_count()} CPUs.")
    print(f"Batches of {BATCH_SIZE}, binary cross-entropy, Adam; {options.repeats} epochs counted.")
    print(load_note() + "\n")
    print(line(COLUMNS), line("---" for _ in COLUMNS), sep="\n")
    results = []
    for case in options.cases:
        for threads in options.threads:
            results.append(compare(case, threads, options))
            print(table_row(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps([vars(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
