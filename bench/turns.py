"""How peers are compared: a process for each, equal work checked, then turns until each has had its seconds.

It knows the order of things and no library, table or plot.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data import Array, load_rows
from environment import environment
from peers import Task
from worker import CHECKED_BATCHES, CHECKED_EPOCHS

WORKER = Path(__file__).resolve().parent / "worker.py"

# Threads of a BLAS or of OpenMP go on spinning for a while after their work (OpenBLAS for 2^26 ticks), which
# would cost the next side.
SECONDS_BETWEEN_TURNS = 0.1
TURN_SECONDS = 0.4  # or one epoch, whichever is longer
FEWEST_EPOCHS = 3
TRIAL_SECONDS = 0.2  # of a form, when there are several

# Relative, of an epoch's loss. Rounding differs, and Adam's first steps make much of small gradients;
# bfloat16 has 8 bits.
AGREEMENT = {"float32": 5e-4, "bfloat16_3x": 1e-3, "bfloat16": 2e-2}
# Absolute, of reconstructions in [0, 1].
INFERENCE_AGREEMENT = {"float32": 1e-4, "bfloat16_3x": 1e-3, "bfloat16": 5e-2}

INFERENCE_ROUNDS = 2
INFERENCE_SECONDS = 0.1


class Missing(Exception):
    """A library that is not installed."""


class DifferentWorkError(RuntimeError):
    """A peer whose losses are not the reference's."""


class Worker:
    """A library's process, as seen from here."""

    def __init__(
        self, library: str, task: Task, rows: int, data: Path | None, extra: dict[str, str] | None = None
    ) -> None:
        options = {
            "library": library,
            "task": task._asdict(),
            "rows": rows,
            "data": data and str(data),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment(task.threads, task.isa) | (extra or {}),
        )
        self.hello = self._answer()
        if "missing" in self.hello:
            self.close()
            raise Missing(f"{library}: {self.hello['missing']}")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a worker process ended; its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Result:
    """A peer's part in one comparison, as it is written to the record."""

    case: str
    library: str
    precision: str
    threads: int
    widths: tuple[int, ...]
    batch_size: int
    rows: int
    form: str  # of training
    differs: str
    disagreement: float | None  # of the losses, relative; None: not comparable
    trials: dict[str, float] = field(default_factory=dict)  # seconds of the best epoch, by form
    seconds: list[float] = field(default_factory=list)  # of each counted epoch
    losses: list[float] = field(default_factory=list)  # of every epoch since the start but the first
    cores: list[float] = field(default_factory=list)  # of each turn
    neighbour_seconds: list[float] = field(default_factory=list)
    inference: dict[str, dict[str, float]] = field(default_factory=dict)  # by rows, then by way: seconds
    inference_errors: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.rows / min(self.seconds)

    @property
    def spread(self) -> float:
        """Return how much longer the median epoch took than the best."""
        return statistics.median(self.seconds) / min(self.seconds) - 1


@dataclass
class Side:
    result: Result
    worker: Worker
    forms: list[str]  # to choose from

    def turn(self, into: list[float]) -> None:
        time.sleep(SECONDS_BETWEEN_TURNS)
        answer = self.worker.ask("turn", form=self.result.form, seconds=TURN_SECONDS, epochs=1000)
        into += answer["seconds"]
        self.result.losses += answer["losses"]
        self.result.cores.append(answer["cores"])


def reference_losses(task: Task, rows: int, data: Path | None) -> Array:
    """Return the losses of the readable reference, NumPy's, for the same first steps."""
    from peers.numpy import NumpyTrainer

    trainer = NumpyTrainer(task)
    X = load_rows(task.widths[0], rows, task.batch_size, data)
    trainer.start(X[: CHECKED_BATCHES * task.batch_size], shuffle=False)
    return np.array([trainer.epoch() for _ in range(CHECKED_EPOCHS)], dtype=np.float32)


def open_side(
    case: str,
    library: str,
    task: Task,
    rows: int,
    data: Path | None,
    expected: Array,
    *,
    only: Sequence[str] | None = None,
    first_form_only: bool = False,
) -> Side | None:
    """Start a process, check its work, and choose its fastest form; None if it has none of this precision."""
    worker = Worker(library, task, rows, data)
    try:
        hello = worker.hello
        result = Result(
            case,
            library,
            task.precision,
            task.threads,
            task.widths,
            task.batch_size,
            hello["rows"],
            form="",
            differs=hello["differs"],
            disagreement=None,
        )
        forms = [form for form in hello["forms"] if only is None or form in only]
        if first_form_only:
            forms = forms[:1]
        for form in forms:
            losses = np.array(worker.ask("check", form=form)["losses"])
            if not hello["differs"]:
                disagreement = float(np.max(np.abs(losses / expected - 1)))
                result.disagreement = max(disagreement, result.disagreement or 0.0)
                if not disagreement <= AGREEMENT[task.precision]:
                    raise DifferentWorkError(
                        f"case {case}, {library} ({form}): the losses are {losses}, not {expected}"
                    )
        if not forms:
            worker.close()
            return None
        return Side(result, worker, forms)
    except BaseException:
        worker.close()
        raise


def choose_form(side: Side) -> None:
    """Try all forms on all rows, alone, and keep the fastest."""
    result, worker = side.result, side.worker
    if len(side.forms) > 1:
        for form in side.forms:
            worker.ask("start", form=form)
            trial = worker.ask("turn", form=form, seconds=TRIAL_SECONDS, epochs=100)
            result.trials[form] = min(trial["seconds"])
        worker.ask("keep", form=min(result.trials, key=result.trials.__getitem__))
    result.form = min(result.trials, key=result.trials.__getitem__, default=side.forms[0])
    worker.ask("start", form=result.form)


def take_turns(sides: Sequence[Side], seconds: float, *, neighbour: bool = False) -> None:
    """Let the sides train in turn until each has had its seconds and its fewest epochs."""

    def times(side: Side) -> list[float]:
        return side.result.neighbour_seconds if neighbour else side.result.seconds

    waiting = list(sides)
    while waiting:
        for side in waiting:
            side.turn(times(side))
        waiting = [s for s in waiting if sum(times(s)) < seconds or len(times(s)) < FEWEST_EPOCHS]


def measure_inference(sides: Sequence[Side], sizes: Sequence[int]) -> None:
    """Time `reconstruct` on so many rows a call, in turn."""
    for side in sides:
        side.result.inference_errors = side.worker.ask("prepare_inference")["errors"]
        if side.result.differs:
            continue
        for name, error in side.result.inference_errors.items():
            if not error <= INFERENCE_AGREEMENT[side.result.precision]:
                raise DifferentWorkError(f"{side.result.library} ({name}): reconstructions off by {error}")
    for _ in range(INFERENCE_ROUNDS):
        for rows in sizes:
            for side in sides:
                if not side.result.inference_errors:
                    continue
                time.sleep(SECONDS_BETWEEN_TURNS)
                found = side.worker.ask("infer", rows=rows, seconds=INFERENCE_SECONDS)["seconds"]
                best = side.result.inference.setdefault(str(rows), {})
                for name, value in found.items():
                    best[name] = min(value, best.get(name, value))


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Keep the last of the CPUs busy with a process that computes and never sleeps."""
    cpu = max(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


Forms = dict[tuple[str, str], list[str]]  # by library and precision


class Comparison:
    """All sides of one case on one number of threads, while their processes live."""

    def __init__(self, skipped: dict[str, str], formless: set[tuple[str, str]], jobs: int) -> None:
        self.skipped = skipped  # by library: why
        self.formless = formless  # (library, precision) that there is no use in starting again
        self.jobs = jobs  # sides that start and compile at the same time
        self.sides: list[Side] = []
        self.facts: dict[str, dict[str, str]] = {}

    def open(
        self,
        case: str,
        tasks: Sequence[tuple[str, Task]],
        rows: int,
        data: Path | None,
        expected: Array,
        forms: Forms | None = None,
    ) -> None:
        """Start the sides; `forms` has, for (library, precision), the only forms to look at."""

        def start(job: tuple[str, Task]) -> Side | None:
            library, task = job
            only = (forms or {}).get((library, task.precision))
            try:
                side = open_side(case, library, task, rows, data, expected, only=only)
                if side is None:
                    self.formless.add((library, task.precision))
                return side
            except (Missing, DifferentWorkError, RuntimeError) as error:
                self._skip(library, task.precision, error)
                return None

        jobs = [
            (library, task)
            for library, task in tasks
            if library not in self.skipped and (library, task.precision) not in self.formless
        ]
        with ThreadPoolExecutor(self.jobs) as pool:
            started = list(pool.map(start, jobs))
        self.sides = [side for side in started if side is not None]
        for side in self.sides:
            self.facts[side.result.library] = side.worker.hello["facts"]
            choose_form(side)

    def close(self) -> None:
        for side in self.sides:
            side.worker.close()

    def _skip(self, library: str, precision: str, error: Exception) -> None:
        print(f"{library} ({precision}) is left out: {error}", flush=True)
        if isinstance(error, Missing):
            self.skipped[library] = str(error)
        else:
            self.skipped[f"{library}, {precision}"] = str(error)
