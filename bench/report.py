"""The record of a run as Markdown: tables of training, inference, scaling and footing. It measures nothing.

python bench/report.py results/results.json       writes the tables, and the plots, once more
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cases import CASES, PRECISIONS, training_operations

Entry = dict[str, Any]

OURS = "diabolo"


def row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [row(head), row("---" for _ in head), *map(row, rows)]


def rate(entry: Entry) -> float:
    return float(entry["rows"] / min(entry["seconds"]))


def spread(entry: Entry) -> float:
    return statistics.median(entry["seconds"]) / min(entry["seconds"]) - 1


def gflops(entry: Entry) -> float:
    return 1e-9 * rate(entry) * training_operations(entry["widths"])


def label(entry: Entry) -> str:
    return entry["library"] + ("*" if entry["differs"] else "")


def best_peer(entries: Iterable[Entry], precision: str) -> Entry | None:
    """Return the fastest of the others whose work is the same."""
    peers = [
        e
        for e in entries
        if e["library"] != OURS and e["precision"] == PRECISIONS[precision] and not e["differs"]
    ]
    return max(peers, key=rate, default=None)


def groups(entries: Iterable[Entry]) -> dict[tuple[str, int], list[Entry]]:
    """Return the entries by case and threads, in their order."""
    found: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry["case"], entry["threads"]), []).append(entry)
    return found


def training_lines(entries: Sequence[Entry]) -> list[str]:
    """Return a line for each peer of one case, for reading along."""
    lines = []
    for e in entries:
        if not e["seconds"]:
            continue
        agreement = "differs" if e["disagreement"] is None else f"losses agree to {e['disagreement']:.0e}"
        lines.append(
            f"{e['case']}, {e['threads']} threads: {e['library']:8} {e['precision']:9}"
            f"{rate(e):>12,.0f} rows/s ({spread(e):4.0%}) {gflops(e):6.1f} GFLOP/s"
            f" {statistics.median(e['cores']):4.1f} cores, {agreement}; {e['form']}"
        )
    return lines


def training_table(entries: Sequence[Entry], limits: Entry | None, precision: str) -> list[str]:
    """Return the cases of one of diabolo's precisions beside the peers of the precision it is compared with.

    Empty if neither side has anything to show.
    """
    theirs = PRECISIONS[precision]
    libraries = list(
        dict.fromkeys(label(e) for e in entries if e["library"] != OURS and e["precision"] == theirs)
    )
    head = ["case", "threads", OURS, *libraries]
    head += ["best peer", "ratio of bests", "of medians", "to reach", "share of FMA peak"]
    rows = []
    for (case, threads), members in groups(entries).items():
        by_library = {label(e): e for e in members if e["library"] != OURS and e["precision"] == theirs}
        ours = next((e for e in members if e["library"] == OURS and e["precision"] == precision), None)
        if ours is None and (not by_library or precision != theirs):
            continue
        best = best_peer(members, precision)
        target = CASES[case].targets.get(precision)
        rows.append(
            [
                f"{case} {CASES[case].name}, {CASES[case].batch_size}",
                threads,
                _rate_cell(ours),
                *(_rate_cell(by_library.get(name)) for name in libraries),
                "-" if best is None else f"{best['library']} ({best['form']})",
                _ratio(ours, best, min),
                _ratio(ours, best, statistics.median),
                "-" if target is None else f"{target:g}",
                "-" if ours is None else _share(ours, limits),
            ]
        )
    return table(head, rows) if rows else []


def _rate_cell(entry: Entry | None) -> str:
    return "-" if entry is None else f"{rate(entry):,.0f} ({spread(entry):.0%})"


def _ratio(ours: Entry | None, peer: Entry | None, pick: Callable[[list[float]], float]) -> str:
    """Return how many times as fast as the peer we are, by the best epoch or the median one."""
    if ours is None or peer is None:
        return "-"
    rates = [e["rows"] / pick(e["seconds"]) for e in (ours, peer)]
    return f"{rates[0] / rates[1]:.2f}"


def peak(limits: Entry | None, threads: int) -> float | None:
    """Return the GFLOP/s of the fastest float32 instruction set in registers."""
    if limits is None:
        return None
    peaks = [p["gflops"] for p in limits["peaks"] if p["threads"] == threads and p["precision"] == "float32"]
    return max(peaks, default=None)


def _share(entry: Entry, limits: Entry | None) -> str:
    limit = peak(limits, entry["threads"])
    return "-" if limit is None else f"{gflops(entry) / limit:.0%}"


def evidence_table(entries: Sequence[Entry]) -> list[str]:
    """Return how each figure came about: forms tried, agreement of losses, cores, epochs."""
    head = [
        "case",
        "threads",
        "peer",
        "precision",
        "form",
        "forms tried, rows/s",
        "losses agree to",
        "cores",
        "epochs",
    ]
    rows = []
    for e in entries:
        tried = "; ".join(f"{form} {e['rows'] / seconds:,.0f}" for form, seconds in e["trials"].items())
        agreement = e["differs"] or f"{e['disagreement']:.0e}"
        cores = f"{statistics.median(e['cores']):.2f}"
        rows.append(
            [
                e["case"],
                e["threads"],
                e["library"],
                e["precision"],
                e["form"],
                tried,
                agreement,
                cores,
                len(e["seconds"]),
            ]
        )
    return table(head, rows)


def neighbour_table(entries: Sequence[Entry]) -> list[str]:
    head = ["case", "threads", "peer", "precision", "alone, rows/s", "with a neighbour", "left"]
    rows = []
    for e in entries:
        if e["neighbour_seconds"]:
            disturbed = e["rows"] / statistics.median(e["neighbour_seconds"])
            alone = e["rows"] / statistics.median(e["seconds"])
            rows.append(
                [
                    *(e[name] for name in ("case", "threads", "library", "precision")),
                    f"{alone:,.0f}",
                    f"{disturbed:,.0f}",
                    f"{disturbed / alone:.0%}",
                ]
            )
    return table(head, rows) if rows else []


def inference_table(entries: Sequence[Entry]) -> list[str]:
    """Return seconds of one row and rows per second of large blocks, each side's best way."""
    libraries = list(dict.fromkeys((label(e), e["precision"]) for e in entries))
    head = ["case", "threads", "rows a call"]
    head += [name if precision == "float32" else f"{name} {precision}" for name, precision in libraries]
    head += ["float32: best peer's time / ours"]
    rows = []
    for (case, threads), members in groups(entries).items():
        by_library = {(label(e), e["precision"]): e for e in members}
        for size in members[0]["inference"]:
            times = {key: min(e["inference"][size].values()) for key, e in by_library.items()}
            cells = [_inference_cell(times.get(key), int(size)) for key in libraries]
            others = [
                t for key, t in times.items() if key[0] != OURS and key[1] == "float32" and key[0][-1] != "*"
            ]
            ours = times.get((OURS, "float32"))
            ratio = "-" if ours is None or not others else f"{min(others) / ours:.2f}"
            rows.append([f"{case} {CASES[case].name}", threads, size, *cells, ratio])
    return table(head, rows)


def _inference_cell(seconds: float | None, rows: int) -> str:
    if seconds is None:
        return "-"
    return f"{1e6 * seconds:.1f} us" if rows == 1 else f"{rows / seconds:,.0f}/s"


def loss_table(entries: Sequence[Entry]) -> list[str]:
    """Return the time that each side takes to the loss that all of them reached."""
    head = ["case", "threads", "loss", "seconds to it"]
    rows = []
    for (case, threads), members in groups(entries).items():
        target, times = time_to_loss(members)
        listed = sorted(times.items(), key=lambda item: item[1])
        cells = ", ".join(f"{name} {seconds:.2f}" for name, seconds in listed)
        rows.append([case, threads, f"{target:.5f}", cells])
    return table(head, rows)


def time_to_loss(members: Sequence[Entry]) -> tuple[float, dict[str, float]]:
    """Return the lowest loss that all reached, and the seconds each took: epochs times its best epoch.

    The first epoch is not in the record (it compiles and warms up), so all start from its end.
    """
    compared = [e for e in members if not e["differs"] and e["losses"]]
    target = max(min(e["losses"]) for e in compared)
    times = {}
    for e in compared:
        epochs = next(index + 1 for index, loss in enumerate(e["losses"]) if loss <= target)
        name = e["library"] if e["precision"] == "float32" else f"{e['library']} {e['precision']}"
        times[name] = epochs * min(e["seconds"])
    return target, times


def scaling_table(entries: Sequence[Entry]) -> list[str]:
    libraries = list(dict.fromkeys(e["library"] for e in entries))
    points: dict[tuple[str, int], dict[str, Entry]] = {}
    for e in entries:
        points.setdefault((e["what"], e["value"]), {})[e["library"]] = e
    rows = []
    for (what, value), found in points.items():
        cells = [f"{1e9 / rate(found[name]):,.0f}" if name in found else "-" for name in libraries]
        rows.append([what, f"{value:,}", *cells])
    return table(["what varies", "value", *(f"{name}, ns a row" for name in libraries)], rows)


def read_limits(folder: Path) -> Entry | None:
    """Return what limits.py left in the folder, if it did."""
    path = folder / "limits.json"
    if not path.exists():
        return None
    limits: Entry = json.loads(path.read_text(encoding="utf-8"))
    return limits


def write_report(document: Entry, folder: Path) -> None:
    """Write `results.md` into the folder."""
    machine, options = document["machine"], document["options"]
    limits = read_limits(folder)
    facts = "; ".join(
        f"{library}: " + ", ".join(f"{name} {value}" for name, value in found.items())
        for library, found in document["facts"].items()
    )
    data = "MNIST's training images" if options["data"] else "uniform random rows"
    lines = [
        "# Results",
        "",
        f"{machine['cpu']}, {machine['cpus']} CPUs, caches {machine['caches']}; {machine['system']}; Python"
        f" {machine['python']}. Load average {machine['load']:.1f} before. {facts}.",
        "",
        f"Adam, binary cross-entropy, shuffled, {data}; instruction sets: {options['isa'] or 'the best'};"
        f" {document['minutes']:.0f} minutes. Rows per second of the best epoch; in brackets, by how much the"
        " median epoch took longer. Warm-up and compilation are not counted.",
    ]
    if document["skipped"]:
        lines += [
            "",
            "Left out: " + "; ".join(f"{name}: {why}" for name, why in document["skipped"].items()) + ".",
        ]
    if limits is None:
        lines += [
            "",
            "Shares of the machine's peak need its limits: `python bench/limits.py -o` this folder.",
        ]
    training = document["training"]
    if training:
        for precision in PRECISIONS:
            rows = training_table(training, limits, precision)
            if rows:
                lines += ["", f"## Training, {precision}, rows/s", "", *rows]
        differing = {f"{e['library']}*: {e['differs']}" for e in training if e["differs"]}
        if differing:
            lines += ["", "; ".join(sorted(differing)) + ". It is not counted among the best peers."]
        disturbed = neighbour_table(training)
        if disturbed:
            lines += ["", "## With the last core kept busy by another process, median rows/s", "", *disturbed]
        lines += ["", "## Time to equal loss", "", *loss_table(training)]
    if document["inference"]:
        lines += ["", "## Inference, through the public method", "", *inference_table(document["inference"])]
    if document["scaling"]:
        lines += ["", "## Scaling of 784-64-784 at most threads", "", *scaling_table(document["scaling"])]
    if training:
        lines += ["", "## How the figures of training came about", "", *evidence_table(training)]
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    path = Path(sys.argv[1])
    document = json.loads(path.read_text(encoding="utf-8"))
    write_report(document, path.parent)
    from plots import draw_all

    draw_all(document, path.parent)


if __name__ == "__main__":
    main()
