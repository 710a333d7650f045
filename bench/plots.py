"""The record of a run as pictures: bars by case, roofline, loss over time, scaling. It measures nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from cases import CASES, compulsory_bytes
from report import Entry, gflops, groups, peak, rate, read_limits

# The same colour for a library in every picture; grey levels tell them apart too.
COLOURS = {
    "diabolo": "#b2182b",
    "numpy": "#4393c3",
    "torch": "#f4a582",
    "jax": "#2166ac",
    "keras": "#92c5de",
    "sklearn": "#bababa",
    "pyod": "#878787",
}
MARKERS = {"diabolo": "o", "numpy": "s", "torch": "^", "jax": "D", "keras": "v", "sklearn": "x", "pyod": "+"}


def name_of(entry: Entry) -> str:
    name: str = entry["library"] + ("*" if entry["differs"] else "")
    return name if entry["precision"] == "float32" else f"{name} {entry['precision']}"


def hatch_of(entry: Entry) -> str:
    return "" if entry["precision"] == "float32" else "//"


def draw_bars(training: Sequence[Entry], path: Path) -> None:
    """Draw a panel for each case and number of threads, a bar for each side."""
    by_case = groups(training)
    cases = list(dict.fromkeys(case for case, _ in by_case))
    threads = sorted({count for _, count in by_case})
    figure, axes = plt.subplots(
        len(threads), len(cases), figsize=(2.6 * len(cases), 3.2 * len(threads)), squeeze=False
    )
    for (case, count), members in by_case.items():
        axis = axes[threads.index(count)][cases.index(case)]
        names = [name_of(e) for e in members]
        bars = axis.bar(names, [rate(e) for e in members], color=[COLOURS[e["library"]] for e in members])
        for bar, entry in zip(bars, members, strict=True):
            bar.set_hatch(hatch_of(entry))
        axis.set_title(f"{case}, {count} thread{'s' * (count > 1)}", fontsize=9)
        axis.tick_params(axis="x", labelrotation=90, labelsize=7)
        axis.tick_params(axis="y", labelsize=7)
    axes[0][0].set_ylabel("rows/s, training")
    _save(figure, path)


def draw_roofline(training: Sequence[Entry], limits: Entry, threads: int, path: Path) -> None:
    """Draw arithmetic intensity against GFLOP/s, under the machine's own roofs."""
    figure, axis = plt.subplots(figsize=(7, 5))
    top = peak(limits, threads)
    assert top is not None
    intensity = np.geomspace(0.25, 512, 100)
    for found in limits["bandwidth"]:
        if found["threads"] == threads:
            axis.plot(intensity, np.minimum(top, intensity * found["gigabytes"]), lw=1, label=found["level"])
    axis.axhline(top, color="black", lw=1, label="FMA peak")
    seen = set()
    for entry in training:
        if entry["threads"] != threads or entry["precision"] != "float32":
            continue
        case = CASES[entry["case"]]
        x = gflops(entry) * 1e9 / rate(entry) / compulsory_bytes(case.widths, case.batch_size)
        library = entry["library"]
        axis.plot(
            x,
            gflops(entry),
            MARKERS[library],
            color=COLOURS[library],
            label=None if library in seen else name_of(entry),
        )
        if library not in seen:
            seen.add(library)
        if library == "diabolo":
            axis.annotate(entry["case"], (x, gflops(entry)), xytext=(4, 4), textcoords="offset points")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("operations per byte that a step cannot do without")
    axis.set_ylabel("GFLOP/s of the matrix products")
    axis.set_title(f"Training, float32, {threads} thread{'s' * (threads > 1)}")
    axis.legend(fontsize=7)
    _save(figure, path)


def draw_losses(training: Sequence[Entry], path: Path) -> None:
    """Draw each side's loss over its time, at the pace of its best epoch."""
    by_case = groups(training)
    threads = max(count for _, count in by_case)
    chosen = {case: members for (case, count), members in by_case.items() if count == threads}
    figure, axes = plt.subplots(1, len(chosen), figsize=(3 * len(chosen), 3), squeeze=False)
    for axis, (case, members) in zip(axes[0], chosen.items(), strict=True):
        for entry in members:
            if entry["differs"]:
                continue
            seconds = min(entry["seconds"]) * np.arange(1, len(entry["losses"]) + 1)
            style = "-" if entry["precision"] == "float32" else "--"
            axis.plot(
                seconds, entry["losses"], style, color=COLOURS[entry["library"]], label=name_of(entry), lw=1.2
            )
        axis.set_xscale("log")
        axis.set_title(f"{case}, {threads} threads", fontsize=9)
        axis.set_xlabel("s")
        axis.tick_params(labelsize=7)
    axes[0][0].set_ylabel("training loss")
    axes[0][-1].legend(fontsize=6)
    _save(figure, path)


def draw_scaling(scaling: Sequence[Entry], path: Path) -> None:
    """Draw the time of a row against rows, batch and width."""
    quantities = list(dict.fromkeys(e["what"] for e in scaling))
    figure, axes = plt.subplots(1, len(quantities), figsize=(4 * len(quantities), 3.4), squeeze=False)
    for axis, what in zip(axes[0], quantities, strict=True):
        lines: dict[str, list[tuple[int, float]]] = {}
        for e in scaling:
            if e["what"] == what:
                lines.setdefault(e["library"], []).append((e["value"], 1e6 / rate(e)))
        for library, points in lines.items():
            x, y = zip(*sorted(points), strict=True)
            axis.plot(x, y, marker=MARKERS[library], color=COLOURS[library], label=library, lw=1.2)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(what)
    axes[0][0].set_ylabel("us a row, training")
    axes[0][0].legend(fontsize=7)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_all(document: Entry, folder: Path) -> None:
    """Draw whatever there are figures for."""
    training, limits = document["training"], read_limits(folder)
    if training:
        draw_bars(training, folder / "training.png")
        draw_losses(training, folder / "losses.png")
    if training and limits is not None:
        measured = {p["threads"] for p in limits["peaks"]}
        for threads in sorted({e["threads"] for e in training} & measured):
            draw_roofline(training, limits, threads, folder / f"roofline-{threads}.png")
    if document["scaling"]:
        draw_scaling(document["scaling"], folder / "scaling.png")
