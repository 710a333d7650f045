"""What this machine can do at most: multiply-adds, bytes per cache level, meetings of threads.

    python bench/limits.py                       prints a table
    python bench/limits.py -o results/           also writes results/limits.json, to which the tables and
                                                 rooflines of compare.py refer

The measuring is `kernel_timer`'s, C++ built from this checkout when first needed (a minute); this file says
what to measure. Each figure is the best of some rounds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from kernel_program import KernelTimer, build
from machine import caches, load_note, machine_facts
from report import table

# What the peaks count as that are not of multiply-adds in float32.
PRECISION = {"avx512_bf16": "bfloat16", "amx_bf16": "bfloat16"}

DEFAULT_CACHES = {"L1d": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # where the system does not say
UNITS = {"K": 1 << 10, "M": 1 << 20}


def cache_bytes() -> dict[str, int]:
    found = {name: int(size[:-1]) * UNITS[size[-1]] for name, size in caches().items() if size[-1] in UNITS}
    return DEFAULT_CACHES | found


def buffer_sizes(threads: int) -> dict[str, int]:
    """Return for each level the bytes of a thread's buffer that lies in it and in none below."""
    sizes = cache_bytes()
    return {
        "L1": sizes["L1d"] // 2,
        "L2": sizes["L2"] // 2,
        "L3": max(2 * sizes["L2"], sizes["L3"] // (2 * threads)),
        "DRAM": max(64 << 20, 4 * sizes["L3"] // threads),
    }


def measure(timer: KernelTimer, threads: list[int]) -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine_facts(), "peaks": [], "bandwidth": [], "meetings": []}
    for count in threads:
        for name in timer.peaks:
            gflops = 1e-9 * timer.limit("peak", name, count)
            precision = PRECISION.get(name, "float32")
            document["peaks"].append(
                {"name": name, "precision": precision, "threads": count, "gflops": gflops}
            )
        for level, size in buffer_sizes(count).items():
            read, copy = (1e-9 * timer.limit(traffic, size, count) for traffic in ("read", "copy"))
            document["bandwidth"].append(
                {"level": level, "threads": count, "bytes": size, "gigabytes": read, "copy_gigabytes": copy}
            )
        meeting, region = (1e6 * timer.limit(what, count) for what in ("meeting", "region"))
        document["meetings"].append({"threads": count, "meeting_us": meeting, "region_us": region})
    return document


def lines(document: dict[str, Any]) -> list[str]:
    peaks = [[p["name"], p["precision"], p["threads"], f"{p['gflops']:,.0f}"] for p in document["peaks"]]
    measured = {p["name"] for p in document["peaks"]}
    peaks += [[name, form, "-", "not measured"] for name, form in PRECISION.items() if name not in measured]
    bytes_ = [
        [
            b["level"],
            b["threads"],
            f"{b['bytes'] >> 10:,}",
            f"{b['gigabytes']:.1f}",
            f"{b['copy_gigabytes']:.1f}",
        ]
        for b in document["bandwidth"]
    ]
    meetings = [
        [m["threads"], f"{m['meeting_us']:.2f}", f"{m['region_us']:.2f}"] for m in document["meetings"]
    ]
    return [
        *table(["multiply-adds", "operands", "threads", "GFLOP/s"], peaks),
        "",
        *table(["level", "threads", "KiB a thread", "read, GB/s", "copy, GB/s moved"], bytes_),
        "",
        *table(["threads", "a meeting, us", "a parallel region, us"], meetings),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What this machine can do at most.")
    parser.add_argument("--threads", default="1,2", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, help="folder for limits.json and limits.md")
    options = parser.parse_args()
    timer = build()
    print(load_note() + "\n", flush=True)
    document = measure(timer, [int(word) for word in options.threads.split(",")])
    print("\n".join(lines(document)))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=1) + "\n"
        (options.output / "limits.json").write_text(text, encoding="utf-8")
        facts = document["machine"]
        note = (
            f"# The machine's limits\n\n{facts['cpu']}, {facts['cpus']} CPUs, caches {facts['caches']}.\n\n"
        )
        (options.output / "limits.md").write_text(note + "\n".join(lines(document)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
