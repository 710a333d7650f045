"""A model of how long a training step takes, from a machine's limits alone, beside what was measured.

    python bench/limits.py -o results/            the limits
    python bench/compare.py -o results/           the measurements
    python bench/step_model.py results/           this

Each part of a step is a sum of a few products of sizes and limits; nothing is fitted to the measurements it
is compared with. It also says what more cores would bring, and where they would cease to.
"""

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cases import CASES, Case, multiplications, parameters
from report import OURS, rate, table

# Measured with one thread on Zen 4: shares of time_shares.py, of the time of a row.
LOSS_NANOSECONDS = 0.50  # cross-entropy and its gradient, an element
ACTIVATION_NANOSECONDS = 0.12  # bias, relu and the chain rule through it, an element
SHUFFLE_NANOSECONDS = 8.6  # a row; by one thread, whatever their number
CALL_MICROSECONDS = 0.12  # of a kernel, beside its work: four a layer

# Register tiles reach this share of the peak when their operands come from the first two levels of cache.
TILE_EFFICIENCY = 0.96
# Tiles are six rows high; a unit of the weights phase is 48 rows of a weight by a panel of about 64 columns.
TILE_ROWS, UNIT_ROWS, PANEL = 6, 48, 64
# One slab of 256 rows for up to eight threads, and 256 more for each further eight, if the batch has them.
SLAB_ROWS, THREADS_PER_BLOCK = 256, 8
OPERATIONS_PER_THREAD = 7.5e5
# All threads count up one number: each adds the way of its cache line.
MEETING_MICROSECONDS, MEETING_MICROSECONDS_PER_THREAD = 0.2, 0.06

PREDICTED_THREADS = (8, 32, 128)


class Limits(NamedTuple):
    """What a machine can do: GFLOP/s and GB/s of one core, and GB/s of the memory all share."""

    peak: float
    l2: float
    l3: float
    dram: float
    l2_bytes: float
    l3_bytes: float
    shared_dram: float

    @classmethod
    def from_record(cls, record: dict[str, Any], shared_dram: float) -> "Limits":
        peak = max(p["gflops"] for p in record["peaks"] if p["precision"] == "float32" and p["threads"] == 1)
        speed = {b["level"]: b["copy_gigabytes"] for b in record["bandwidth"] if b["threads"] == 1}
        size = {name: 1024.0 * float(text.rstrip("K")) for name, text in record["machine"]["caches"].items()}
        return cls(peak, speed["L2"], speed["L3"], speed["DRAM"], size["L2"], size["L3"], shared_dram)

    def bandwidth(self, bytes_per_thread: float, bytes_in_all: float, threads: int) -> float:
        """Return GB/s of one of `threads`, for data that each touches its share of again and again."""
        if bytes_per_thread <= 0.75 * self.l2_bytes:
            return self.l2
        if bytes_in_all <= 0.75 * self.l3_bytes * max(1.0, threads / THREADS_PER_BLOCK):
            return self.l3
        return min(self.dram, self.shared_dram / threads)


class Step(NamedTuple):
    """Microseconds of a step's parts."""

    products: float
    elements: float
    gather: float
    update: float
    shuffle: float
    overhead: float

    @property
    def total(self) -> float:
        return sum(self)


def useful_threads(case: Case, threads: int) -> int:
    """Return how many threads the trainer lets come; the same rule as in trainer.cpp."""
    operations = 6.0 * multiplications(case.widths) * min(case.batch_size, SLAB_ROWS)
    return max(1, min(threads, int(operations / OPERATIONS_PER_THREAD)))


def predict(case: Case, limits: Limits, threads: int) -> Step:
    """Return the parts of a step's time on `threads` cores."""
    threads = useful_threads(case, threads)
    widths, batch = case.widths, case.batch_size
    slab = min(batch, SLAB_ROWS * math.ceil(threads / THREADS_PER_BLOCK))
    slabs = math.ceil(batch / slab)
    rows = math.ceil(slab / threads)

    # The rows phase: forward and input gradients. A thread computes whole tiles, and reads every weight.
    forward = multiplications(widths)
    rows_operations = 2.0 * (2 * forward - multiplications(widths[:2]))
    tiles = math.ceil(rows / TILE_ROWS) * TILE_ROWS
    speed = TILE_EFFICIENCY * limits.peak
    computing = rows_operations * tiles / speed
    weights = 4.0 * (2 * forward - multiplications(widths[:2]))
    reading = weights / limits.bandwidth(weights, weights, threads)
    rows_phase = max(computing, reading) * slabs

    # The weights phase: whole units, the busiest thread decides.
    units = sum(math.ceil(i / UNIT_ROWS) * math.ceil(o / PANEL) for i, o in itertools.pairwise(widths))
    share = math.ceil(units / threads) / units
    weights_phase = 2.0 * forward * batch * share / speed

    count = parameters(widths)
    state = 16.0 * count  # weights, transposed weights, two moments
    update = 28.0 * count * share / limits.bandwidth(state / threads, state, threads)
    hidden = sum(widths[1:-1])
    elements = batch * (LOSS_NANOSECONDS * widths[-1] + ACTIVATION_NANOSECONDS * hidden) / threads
    gather = 8.0 * widths[0] * batch / threads / limits.l3
    meetings = 2 * slabs * (MEETING_MICROSECONDS + MEETING_MICROSECONDS_PER_THREAD * threads)
    calls = 4 * (len(widths) - 1) * slabs * CALL_MICROSECONDS
    return Step(
        products=1e-3 * (rows_phase + weights_phase),
        elements=1e-3 * elements,
        gather=1e-3 * gather,
        update=1e-3 * update,
        shuffle=1e-3 * SHUFFLE_NANOSECONDS * batch,
        overhead=calls + (meetings if threads > 1 else 0.0),
    )


def measured_microseconds(entries: Sequence[dict[str, Any]], case: str, threads: int) -> float | None:
    for e in entries:
        if (e["library"], e["case"], e["threads"], e["precision"]) == (OURS, case, threads, "float32"):
            return 1e6 * float(e["batch_size"]) / rate(e) if e["seconds"] else None
    return None


def comparison(limits: Limits, entries: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of what is predicted and what was measured."""
    rows = []
    for name, case in CASES.items():
        for threads in (1, 2):
            step = predict(case, limits, threads)
            measured = measured_microseconds(entries, name, threads)
            rows.append(
                [
                    name,
                    threads,
                    *(f"{part:,.1f}" for part in step),
                    f"{step.total:,.1f}",
                    "-" if measured is None else f"{measured:,.1f}",
                    "-" if measured is None else f"{step.total / measured:.2f}",
                ]
            )
    head = ["case", "threads", *Step._fields, "predicted, us", "measured, us", "predicted / measured"]
    return table(head, rows)


def scaling(limits: Limits) -> list[str]:
    """Return a table of the speed-up that more cores would bring."""
    rows = []
    for name, case in CASES.items():
        alone = predict(case, limits, 1).total
        cells: list[object] = [name, case.batch_size]
        for threads in PREDICTED_THREADS:
            step = predict(case, limits, threads)
            dominant = max(Step._fields, key=lambda part: getattr(step, part))
            share = getattr(step, dominant) / step.total
            cells.append(f"{alone / step.total:.1f} ({dominant} {share:.0%})")
        efficient = (2.0**k for k in range(9))
        last = max(t for t in efficient if alone / predict(case, limits, int(t)).total >= 0.5 * t)
        cells.append(int(last))
        rows.append(cells)
    head = ["case", "batch", *(f"{t} cores" for t in PREDICTED_THREADS), "half efficient up to"]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="A model of a training step's time.")
    parser.add_argument("results", type=Path, help="folder of limits.json and results.json")
    parser.add_argument("--shared-dram", type=float, default=200.0, help="GB/s of all cores' memory")
    options = parser.parse_args()
    record = json.loads((options.results / "limits.json").read_text("utf-8"))
    results = options.results / "results.json"
    entries = json.loads(results.read_text("utf-8"))["training"] if results.is_file() else []
    limits = Limits.from_record(record, options.shared_dram)
    print(*comparison(limits, entries), "", *scaling(limits), sep="\n")


if __name__ == "__main__":
    main()
