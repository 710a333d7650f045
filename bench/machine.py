"""What is known of the machine that measures: processor, cores, memory, load."""

import os
import platform
from pathlib import Path

BUSY = 0.5  # load average from which figures are no use


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cpu_flags() -> list[str]:
    """Return those of the processor's vector and matrix extensions that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in flags if flag.startswith(("avx", "fma", "amx"))]


def caches() -> dict[str, str]:
    """Return the size of each cache of the first CPU, e.g. {"L1d": "32K"}."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = size
    return found


def machine_facts() -> dict[str, object]:
    return {
        "cpu": cpu_model(),
        "flags": cpu_flags(),
        "caches": caches(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def load_note() -> str:
    load = os.getloadavg()[0]
    return f"Load average {load:.1f}" + (": too busy a machine to measure on." if load > BUSY else ".")
