"""The process of one peer: trains and reconstructs when told to, and sleeps otherwise.

It is started by `turns.py` with its task as JSON, reads a command as a line of JSON from standard input and
answers with a line of JSON. What libraries print goes to standard error.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data import SEED, initial_weights, load_rows, reconstruction
from peers import Reconstruct, Task, Trainer

Answer = dict[str, Any]

CHECKED_BATCHES = 6
CHECKED_EPOCHS = 5
TRIAL_SECONDS = 0.2  # of a form, when there are several
INFERENCE_CHUNK_SECONDS = 0.01  # calls between two looks at the clock: a look costs as much as a tiny call


class Session:
    """One library on one task."""

    def __init__(self, library: str, task: Task, rows: int, data: Path | None) -> None:
        self.task = task
        self.peer: Any = importlib.import_module(f"peers.{library}")
        self.X = load_rows(task.widths[0], rows, task.batch_size, data)
        self.trainers: dict[str, Trainer] = {}
        self.reconstructors: dict[str, Reconstruct] = {}

    def hello(self) -> Answer:
        return {
            "forms": self.peer.forms(self.task.precision),
            "facts": self.peer.facts(),
            "differs": self.peer.DIFFERS,
            "rows": len(self.X),
        }

    def check(self, form: str) -> Answer:
        """Train some epochs on few rows in the order they stand in; return the losses."""
        trainer = self.trainers.setdefault(form, self.peer.trainer(form, self.task))
        trainer.start(self.X[: CHECKED_BATCHES * self.task.batch_size], shuffle=False)
        return {"losses": [trainer.epoch() for _ in range(CHECKED_EPOCHS)]}

    def start(self, form: str, seconds: float) -> Answer:
        """Begin training on all rows: one epoch that is not counted, then a trial of at least `seconds`."""
        trainer = self.trainers[form]
        trainer.start(self.X, shuffle=True)
        trainer.epoch()
        return self.turn(form, seconds, 100)

    def keep(self, form: str) -> Answer:
        """Forget all forms but one."""
        self.trainers = {form: self.trainers[form]}
        gc.collect()
        return {}

    def turn(self, form: str, seconds: float, epochs: int) -> Answer:
        """Train until `seconds` have passed or `epochs` are done, one epoch at least."""
        times, losses = [], []
        processor, end = time.process_time(), time.perf_counter() + seconds
        while True:
            start = time.perf_counter()
            losses.append(self.trainers[form].epoch())
            now = time.perf_counter()
            times.append(now - start)
            if now >= end or len(times) >= epochs:
                break
        return {
            "seconds": times,
            "losses": losses,
            # of the processor for each second: the threads that really worked
            "cores": (time.process_time() - processor) / sum(times),
        }

    def train_file(self, form: str, path: str) -> Answer:
        """Train one epoch on a memory-mapped .npy file."""
        trainer = self.peer.trainer(form, self.task)
        rows = np.load(path, mmap_mode="c")  # PyTorch complains of read-only ones
        start = time.perf_counter()
        trainer.start(rows, shuffle=True)
        trainer.epoch()
        return {"seconds": time.perf_counter() - start}

    def prepare_inference(self) -> Answer:
        """Compile what is to be compiled; return by how much each way's output differs from NumPy's."""
        self.reconstructors = self.peer.reconstructors(self.task)
        X = self.X[:64]
        expected = reconstruction(initial_weights(self.task.widths, SEED), X)
        errors = {
            name: float(np.max(np.abs(reconstruct(X) - expected)))
            for name, reconstruct in self.reconstructors.items()
        }
        return {"errors": errors}

    def infer(self, rows: int, seconds: float) -> Answer:
        """Return for each way the seconds a call takes: the best of the chunks of calls that fit."""
        X = np.ascontiguousarray(np.resize(self.X, (rows, self.task.widths[0])))
        best = {}
        for name, reconstruct in self.reconstructors.items():
            best[name] = _seconds_a_call(reconstruct, X, seconds / len(self.reconstructors))
        return {"seconds": best}


def _seconds_a_call(call: Callable[..., Any], X: Any, seconds: float) -> float:
    for _ in range(3):  # compiles, and fills caches
        call(X)
    start = time.perf_counter()
    call(X)
    count = max(1, int(INFERENCE_CHUNK_SECONDS / (time.perf_counter() - start)))
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call(X)
        now = time.perf_counter()
        best = min(best, (now - start) / count)
        if now >= end:
            return best


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    options = json.loads(sys.argv[1])
    options["task"]["widths"] = tuple(options["task"]["widths"])
    data = options["data"] and Path(options["data"])
    try:
        session = Session(options["library"], Task(**options["task"]), options["rows"], data)
        answer = session.hello()
    except ImportError as error:
        answer = {"missing": str(error)}
    print(json.dumps(answer), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(session, command.pop("do"))(**command)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
