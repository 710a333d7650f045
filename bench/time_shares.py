"""What the time of a training goes into: shares by kind of work, of samples that `perf record` takes.

    python bench/time_shares.py                        cases a, b and d on one thread
    python bench/time_shares.py --cases c --threads 2 --precision bfloat16

It trains a case of `cases.py` in a C++ program, which is built from this checkout with the flags of a release
and tables of lines (two minutes, the first time), looks up the lines of each sampled address, those of
inlined calls included, and counts it for the innermost file that `KINDS` lists. Time in the system is not
sampled. It needs Linux's `perf`, the right to use it (/proc/sys/kernel/perf_event_paranoid at most 2), and
`addr2line`, which comes with a compiler.
"""

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cases import CASES, PRECISIONS, Case, training_operations
from kernel_program import built_program
from machine import cpu_model, load_note
from report import table

Counts = collections.Counter[tuple[str, int]]  # samples by module and address

SAMPLES_A_SECOND = 1999  # no divisor of a clock's rate

# The sources of each kind of work. What they share (vectors, places of tiles) is in none: the caller decides.
KINDS = {
    "products": ("gemm.h", "tile_fma.h", "tile_products.cpp", "tile_products.h", "amx_unit.h"),
    "loss and its gradient": ("losses.h", "softmax.h", "gaussian_loss.h"),
    "bias, activations and their derivatives": ("activations.h", "epilogue.h"),
    "update of weights": ("update_rules.h",),
    "copies of weights, for the next products": ("pack.h",),
    "pairs of bfloat16": ("pairs.h", "pairs.cpp"),
    "gathering rows": ("rows.cpp", "rows.h", "elements.h", "upcoming_rows.h"),
    "the order of rows": ("row_order.cpp", "random.cpp", "random.h"),
    "meetings of threads": ("team.cpp", "team.h", "libgomp.so.1"),
}
REST = "phases, and all else"
_KIND_OF = {source: kind for kind, sources in KINDS.items() for source in sources}

# What the program does before it trains.
PREPARATIONS = {"training_case.cpp", "initializer.cpp", "parameters.cpp", "ld-linux-x86-64.so.2"}


class NoProfiler(Exception):
    """There is no `perf`, or it may not be used."""


class Shares(NamedTuple):
    """Of a training: samples by kind, and how fast it was meanwhile."""

    samples: dict[str, int]
    rows_per_second: float

    def share(self, kind: str) -> float:
        return self.samples.get(kind, 0) / sum(self.samples.values())


def perf() -> str:
    found = shutil.which("perf")
    if found is None or shutil.which("addr2line") is None:
        missing = "perf" if found is None else "addr2line"
        raise NoProfiler(f"{missing} is not installed (on Debian: apt-get install linux-perf binutils)")
    return found


def recorded(command: Sequence[str], folder: Path) -> tuple[str, Counts]:
    """Run a program under `perf`; return what it printed and its samples by module and address."""
    data = str(folder / "perf.data")
    record = [perf(), "record", "-q", "--all-user", "-F", str(SAMPLES_A_SECOND), "-o", data, "--", *command]
    done = subprocess.run(record, capture_output=True, text=True)
    if done.returncode != 0 or not Path(data).exists():
        raise NoProfiler(f"perf record failed:\n{done.stderr.strip()}")
    script = [perf(), "script", "-i", data, "-F", "ip,dso"]
    samples = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return done.stdout, collections.Counter(
        (module.rstrip(")"), int(address, 16))
        for address, _, module in (line.strip().partition(" (") for line in samples.splitlines() if line)
    )


def frames(program: Path, addresses: Iterable[int]) -> Iterator[tuple[int, list[str]]]:
    """Look up each address of a program; give it with the files of its calls, the innermost first."""
    text = "\n".join(map(hex, addresses))
    command = ["addr2line", "-a", "-i", "-e", str(program)]
    lines = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    for block in lines.split("0x")[1:]:
        address, *places = block.splitlines()
        yield int(address, 16), [Path(place.rpartition(":")[0]).name for place in places]


def kind_of(sources: Sequence[str]) -> str | None:
    """Return what kind of work the innermost of these files that says so does; None: none of a training."""
    if not PREPARATIONS.isdisjoint(sources):
        return None
    return next((_KIND_OF[source] for source in sources if source in _KIND_OF), REST)


def shares(program: Path, samples: Counts, rows_per_second: float) -> Shares:
    counted: collections.Counter[str] = collections.Counter()
    own = {
        address: count for (module, address), count in samples.items() if Path(module).name == program.name
    }
    places = [(sources, own[address]) for address, sources in frames(program, own)]
    places += [([Path(m).name], count) for (m, _), count in samples.items() if Path(m).name != program.name]
    for sources, count in places:
        kind = kind_of(sources)
        if kind is not None:
            counted[kind] += count
    return Shares(dict(counted), rows_per_second)


def measure(program: Path, case: Case, precision: str, threads: int, seconds: float) -> Shares:
    words = [precision, threads, seconds, case.rows, case.batch_size, *case.widths]
    with tempfile.TemporaryDirectory() as folder:
        printed, samples = recorded([str(program), *map(str, words)], Path(folder))
    return shares(program, samples, json.loads(printed)["rows_per_second"])


def lines(measured: dict[str, Shares], threads: int) -> list[str]:
    """Return a table: a column for each case, and under it what its products reach."""
    rows: list[list[object]] = [
        [kind, *(f"{of.share(kind):.1%}" for of in measured.values())]
        for kind in (*KINDS, REST)
        if any(kind in of.samples for of in measured.values())
    ]
    rows.append(["rows/s", *(f"{of.rows_per_second:,.0f}" for of in measured.values())])
    # Of the threads together, while they multiply.
    speeds = [
        1e-9 * training_operations(CASES[name].widths) * of.rows_per_second / of.share("products")
        for name, of in measured.items()
    ]
    rows.append(["GFLOP/s of the products", *(f"{speed:,.0f}" for speed in speeds)])
    rows.append(["samples", *(f"{sum(of.samples.values()):,}" for of in measured.values())])
    names = [CASES[name].name for name in measured]
    return table(
        [f"share of the time, {threads} threads" if threads > 1 else "share of the time", *names], rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description="What the time of a training goes into.",
        epilog="cases: " + "; ".join(f"{name} {case.name}" for name, case in CASES.items()),
    )
    parser.add_argument("--cases", default="a,b,d", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case; default: %(default)s")
    options = parser.parse_args()
    try:
        perf()
        program = built_program("training_case", "-g")
        print(f"{cpu_model()}. {load_note()}\n", flush=True)
        measured = {
            name: measure(program, CASES[name], options.precision, options.threads, options.seconds)
            for name in options.cases.split(",")
        }
    except NoProfiler as error:
        print(f"time_shares.py cannot measure: {error}", file=sys.stderr)
        return 1
    print(*lines(measured, options.threads), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
