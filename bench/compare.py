"""The benchmark: diabolo beside other libraries, in training and inference, on the same work.

    python bench/compare.py --peers numpy                     needs nothing but NumPy
    python bench/compare.py -o results/                       all peers and cases: a quarter of an hour
    python bench/compare.py --peers torch,jax --cases a,D --threads 1 --data mnist.npz

This file holds the options and the order of things; how it is measured stands in turns.py, what in cases.py.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cases import CASES, PRECISIONS, Case
from data import Array
from environment import ISAS, environment
from machine import load_note, machine_facts
from peers import LIBRARIES, Task
from report import training_lines, write_report
from turns import (
    FEWEST_EPOCHS,
    Comparison,
    Forms,
    Result,
    busy_neighbour,
    measure_inference,
    reference_losses,
    take_turns,
)

PARTS = ("training", "inference", "scaling")
INFERENCE_ROWS = (1, 4096)
WITHOUT_SCALING = (
    "keras",
    "sklearn",
    "pyod",
)  # too slow for so many points, and their curves are torch's and JAX's

# One thing varies, the others stay those of case a; the last of each list is left out on fewer rows.
SCALING_ROWS = (1024, 16384, 131072)
SCALING_BATCHES = (32, 256, 4096)
SCALING_WIDTHS = (16, 128, 1024)
SCALING_BASE = "a"


def _list(choices: tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        words = [word for word in text.split(",") if word]
        for word in words:
            if word not in choices:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(choices)}")
        return words

    return parse


def _integers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="diabolo beside other libraries, on the same work.")
    peers = LIBRARIES[1:]
    asked = tuple(dict.fromkeys(PRECISIONS))
    add = parser.add_argument
    add("--peers", type=_list(peers), default=list(peers), help="default: %(default)s")
    add("--threads", type=_integers, default=[1, 2], help="default: 1,2")
    add("--cases", type=_list(tuple(CASES)), default=list(CASES), help="default: all")
    add("--parts", type=_list(PARTS), default=list(PARTS), help="default: " + ",".join(PARTS))
    add("--precision", type=_list(asked), default=list(asked), help="default: " + ",".join(asked))
    add("--data", type=Path, help="mnist.npz, for the cases of 784 features; default: random rows")
    add("--isa", choices=ISAS, help="the best instruction set that either side may use")
    add("--neighbour", action="store_true", help="train again with another process on the last core")
    add("--seconds", type=float, default=1.5, help="of counted epochs for each peer, default %(default)s")
    add("--rows", type=int, help="of an epoch, at most; for trying out")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="peers that compile at once, before the clock")
    add("-o", "--output", type=Path, help="folder for the record, the tables and the plots")
    return parser.parse_args()


def case_rows(case: Case, options: argparse.Namespace) -> int:
    rows = min(case.rows, options.rows or case.rows)
    return max(rows // case.batch_size, 8) * case.batch_size


def tasks_of(case: Case, threads: int, libraries: list[str], options: argparse.Namespace) -> list[Any]:
    """Return every (library, task) of the asked precisions; which of them exist, the processes know."""
    precisions = [
        (library, precision)
        for library in libraries
        for precision in options.precision
        if (library == "diabolo" or PRECISIONS[precision] == precision) and precision in case.targets
    ]
    return [
        (library, Task(case.widths, case.batch_size, threads, precision, options.isa))
        for library, precision in precisions
    ]


class Run:
    """All that is measured in one call of the program."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.skipped: dict[str, str] = {}
        self.formless: set[tuple[str, str]] = set()
        self.expected: dict[str, Array] = {}  # losses, by case
        self.facts: dict[str, dict[str, str]] = {}
        self.results: list[Result] = []
        self.scaling: list[dict[str, Any]] = []
        self.started = time.time()
        self.machine = machine_facts()

    def compare(self, name: str, threads: int) -> None:
        """Measure training and inference of a case."""
        options, case = self.options, CASES[name]
        tasks = tasks_of(case, threads, ["diabolo", *options.peers], options)
        if not tasks:
            self.progress(f"case {name}: compared in {' and '.join(case.targets)} alone")
            return
        rows = case_rows(case, options)
        comparison = Comparison(self.skipped, self.formless, options.jobs)
        try:
            if name not in self.expected:
                self.expected[name] = reference_losses(tasks[0][1], rows, options.data)
            # Of many forms, those that lead on one number of threads lead on others: two go on.
            comparison.open(name, tasks, rows, options.data, self.expected[name], self.best_forms(name, 2))
            self.progress(f"case {name}, {threads} threads: ready")
            if "training" in options.parts:
                take_turns(comparison.sides, options.seconds)
                if options.neighbour:
                    with busy_neighbour():
                        take_turns(comparison.sides, options.seconds, neighbour=True)
            if "inference" in options.parts:
                measure_inference(comparison.sides, INFERENCE_ROWS)
        finally:
            comparison.close()
        self.progress(f"case {name}, {threads} threads: measured")
        self.facts |= comparison.facts
        self.results += [side.result for side in comparison.sides]

    def best_forms(self, case: str, count: int) -> Forms:
        """Return each side's fastest forms in the case's latest comparison; none if there was none."""
        return {
            (result.library, result.precision): sorted(result.trials, key=result.trials.__getitem__)[:count]
            for result in self.results
            if result.case == case and result.trials
        }

    def progress(self, what: str) -> None:
        print(f"[{time.time() - self.started:6.0f} s] {what}", file=sys.stderr, flush=True)

    def scale(self, threads: int) -> None:
        """Measure how the time of a row depends on rows, batch and width, for the fast peers."""
        base = CASES[SCALING_BASE]
        rows = case_rows(base, self.options)
        points = [("rows", r, base._replace(rows=r)) for r in SCALING_ROWS if r <= (self.options.rows or r)]
        points += [
            ("batch", b, base._replace(batch_size=b, rows=max(rows // 2, b) // b * b))
            for b in SCALING_BATCHES
        ]
        points += [
            ("width", w, base._replace(widths=(784, w, 784), rows=rows // 4 // 256 * 256))
            for w in SCALING_WIDTHS
        ]
        libraries = ["diabolo", *(peer for peer in self.options.peers if peer not in WITHOUT_SCALING)]
        forms = self.best_forms(SCALING_BASE, 1)
        for what, value, case in points:
            if case.rows < case.batch_size:
                continue
            tasks = [
                (library, task)
                for library, task in tasks_of(case, threads, libraries, self.options)
                if task.precision == "float32"
            ]
            comparison = Comparison(self.skipped, self.formless, self.options.jobs)
            try:
                expected = reference_losses(tasks[0][1], case.rows, self.options.data)
                comparison.open(f"{what} {value}", tasks, case.rows, self.options.data, expected, forms)
                take_turns(comparison.sides, self.options.seconds / 3)
            finally:
                comparison.close()
            self.progress(f"{what} {value}: measured")
            for side in comparison.sides:
                self.scaling.append({"what": what, "value": value, **record(side.result)})

    def document(self) -> dict[str, Any]:
        options = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self.options).items()
        }
        return {
            "machine": self.machine | {"load_at_end": os.getloadavg()[0]},
            "options": options,
            "environment": {str(t): environment(t, self.options.isa) for t in self.options.threads},
            "facts": self.facts,
            "skipped": self.skipped,
            "minutes": (time.time() - self.started) / 60,
            "training": [record(result) for result in self.results if result.seconds],
            "inference": [record(result) for result in self.results if result.inference],
            "scaling": self.scaling,
        }


def record(result: Result) -> dict[str, Any]:
    return dataclasses.asdict(result)


def main() -> None:
    options = parse_options()
    run = Run(options)
    machine = run.machine
    print(f"{machine['cpu']}, {machine['cpus']} CPUs. {load_note()}")
    print(
        f"Best of at least {FEWEST_EPOCHS} epochs and {options.seconds:g} s a peer;"
        " in brackets, how much longer the median epoch took."
    )
    for name in options.cases:
        for threads in options.threads:
            before = len(run.results)
            run.compare(name, threads)
            for line in training_lines([record(result) for result in run.results[before:]]):
                print(line, flush=True)
    if "scaling" in options.parts:
        run.scale(max(options.threads))
    for library, reason in run.skipped.items():
        print(f"Left out: {library}: {reason}")
    if options.output is None:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    document = run.document()
    (options.output / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    write_report(document, options.output)
    if importlib.util.find_spec("matplotlib") is None:
        print("No plots: matplotlib is not installed.")
        return
    from plots import draw_all

    draw_all(document, options.output)


if __name__ == "__main__":
    main()
