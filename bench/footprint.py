"""What the libraries cost beside time: size of the wheel, size installed, import, memory while training.

    python bench/footprint.py -o results/                 wants 3.2 GB of disk for the rows
    python bench/footprint.py --rows 100000 --peers numpy,torch

Memory is the peak of a process's own pages, anonymous and shared ones, while it trains 784-64-784 for an
epoch on a memory-mapped file. Pages of files, which the system can drop at any time, are listed apart.
"""

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cases import CASES
from data import SEED
from environment import environment
from machine import load_note, machine_facts
from peers import LIBRARIES, Task
from report import table
from turns import Missing, Worker

DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where it is not the name of the module
MODULES = {
    "keras": "keras",
    "pyod": "pyod.models.auto_encoder",
    "sklearn": "sklearn.neural_network",
}  # what a user of autoencoders imports, where it is not the library alone
ROOT = Path(__file__).resolve().parents[1]
CASE = CASES["a"]
BLOCK_ROWS = 10_000  # the file repeats a block of random rows
IMPORTS = 5
POLL_SECONDS = 0.02
BASELINE = "numpy"  # which all of them import


def installed_bytes(distribution: str) -> int:
    files = importlib.metadata.files(distribution) or []
    return sum(path.stat().st_size for path in (Path(str(f.locate())) for f in files) if path.is_file())


def requirements(distribution: str, seen: set[str]) -> set[str]:
    """Return the installed distributions that this one needs, itself included; extras do not count."""
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    if name in seen:
        return seen
    try:
        wanted = importlib.metadata.requires(distribution) or []
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return seen
    seen.add(name)
    for line in wanted:
        found = re.match(r"[A-Za-z0-9._-]+", line)
        if found and "extra ==" not in line:
            requirements(found.group(), seen)
    return seen


def import_milliseconds(module: str) -> float:
    """Return the time of a process that imports a module: the best of several."""
    variables = os.environ | environment(1, None)

    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=variables)
        return time.perf_counter() - start

    seconds()  # compiles to bytecode, reads from disk
    return 1e3 * min(seconds() for _ in range(IMPORTS))


def wheel_bytes(folder: Path | None) -> int:
    """Return the size of diabolo's wheel, which is built unless the folder has it."""
    with tempfile.TemporaryDirectory() as built:
        if folder is None:
            command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", built, str(ROOT)]
            subprocess.run(command, check=True)
            folder = Path(built)
        return max(path.stat().st_size for path in folder.glob("diabolo-*.whl"))


def write_rows(path: Path, rows: int) -> None:
    """Write float32 rows in [0, 1) as a .npy file."""
    block = np.random.default_rng(SEED).random((BLOCK_ROWS, CASE.widths[0]), dtype=np.float32)
    file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, CASE.widths[0]))
    for start in range(0, rows, BLOCK_ROWS):
        file[start : start + BLOCK_ROWS] = block[: rows - start]
    file.flush()


def memory(pid: int) -> dict[str, int]:
    """Return a process's resident bytes: its own and those of files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = {key: value for key, _, value in (line.partition(":") for line in status)}
    return {
        "own": 1024 * sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem")),
        "file": 1024 * int(fields.get("RssFile", "0 kB").split()[0]),
    }


class MemoryWatch:
    """Looks at a process again and again, and remembers the most."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = memory(pid)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryWatch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.done.wait(POLL_SECONDS):
            for name, value in memory(self.pid).items():
                self.peak[name] = max(self.peak[name], value)


def training_memory(library: str, path: Path, threads: int) -> dict[str, Any]:
    """Train an epoch in the library's first form; return bytes before and at the peak, and seconds."""
    task = Task(CASE.widths, CASE.batch_size, threads)
    worker = Worker(library, task, 8 * CASE.batch_size, None)
    try:
        form = worker.hello["forms"][0]
        before = memory(worker.process.pid)
        with MemoryWatch(worker.process.pid) as watch:
            seconds = worker.ask("train_file", form=form, path=str(path))["seconds"]
        return {
            "form": form,
            "own_before": before["own"],
            "own_peak": watch.peak["own"],
            "file_peak": watch.peak["file"],
            "seconds": seconds,
        }
    finally:
        worker.close()


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path = Path(folder) / "rows.npy"
        write_rows(path, options.rows // CASE.batch_size * CASE.batch_size)
        for library in ["diabolo", *options.peers.split(",")]:
            distribution = DISTRIBUTIONS.get(library, library)
            try:
                importlib.metadata.version(distribution)
                entry: dict[str, Any] = {"library": library}
                entry["installed"] = installed_bytes(distribution)
                needed = requirements(distribution, set())
                entry["with_requirements"] = sum(map(installed_bytes, needed))
                entry["import_ms"] = import_milliseconds(MODULES.get(library, library))
                entry["training"] = training_memory(library, path, options.threads)
            except (importlib.metadata.PackageNotFoundError, Missing):
                print(f"{library} is left out: it is not installed.")
                continue
            except RuntimeError as error:
                entry["training"] = {"error": str(error)}
            if library == "diabolo":
                entry["wheel"] = wheel_bytes(options.wheel)
            yield entry


def lines(entries: list[dict[str, Any]]) -> list[str]:
    def megabytes(value: float | None) -> str:
        return "-" if value is None else f"{value / 1e6:,.2f}" if value < 1e7 else f"{value / 1e6:,.0f}"

    rows = []
    for e in entries:
        training = e["training"]
        rows.append(
            [
                e["library"],
                megabytes(e.get("wheel")),
                megabytes(e["installed"]),
                megabytes(e["with_requirements"]),
                f"{e['import_ms']:.0f}",
                *(megabytes(training.get(name)) for name in ("own_before", "own_peak", "file_peak")),
            ]
        )
    head = [
        "library",
        "wheel, MB",
        "installed, MB",
        "with what it needs, MB",
        "a process that imports it, ms",
    ]
    return table([*head, "memory before, MB", "peak in training, MB", "pages of the file, MB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes, import time and memory of diabolo and its peers.")
    parser.add_argument("--peers", default=",".join(LIBRARIES[1:]), help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the file, default %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default %(default)s")
    parser.add_argument("--scratch", type=Path, help="folder on disk for the rows; default: the system's")
    parser.add_argument("--wheel", type=Path, help="folder with diabolo's wheel; default: build it")
    parser.add_argument("-o", "--output", type=Path, help="folder for footprint.json and footprint.md")
    options = parser.parse_args()
    print(load_note(), flush=True)
    entries = []
    for entry in measure(options):
        entries.append(entry)
        print(json.dumps(entry), flush=True)
    print("\n".join(["", *lines(entries)]))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        document = {"machine": machine_facts(), "rows": options.rows, "entries": entries}
        text = json.dumps(document, indent=1) + "\n"
        (options.output / "footprint.json").write_text(text, encoding="utf-8")
        (options.output / "footprint.md").write_text("\n".join(lines(entries)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
