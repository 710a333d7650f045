"""show_versions(): what to paste into a bug report."""

import os
import platform
import sys

import numpy as np

from diabolo import _core

_OPTIONAL = ("tqdm", "scikit-learn", "scipy", "pandas", "polars", "matplotlib", "torch")


def show_versions() -> None:
    """Print the versions of diabolo and its surroundings, the CPU and what is used of it."""
    for title, facts in (
        ("Software", _software()),
        ("Core", _core_facts()),
        ("Machine", _machine()),
    ):
        print(title)
        for name, value in facts.items():
            print(f"  {name:<20} {value}")


def _software() -> dict[str, str]:
    import importlib.metadata  # it takes as long as all of diabolo

    facts = {
        "diabolo": _core.__version__,
        "python": sys.version.replace("\n", " "),
        "numpy": np.__version__,
    }
    for name in _OPTIONAL:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def _core_facts() -> dict[str, str]:
    try:
        selected = _core.selected_isa()
    except ValueError as error:  # DIABOLO_ISA names a level that is not there: worth seeing in a report
        selected = str(error)
    return {
        **_core.build_info(),
        "isas available": ", ".join(_core.available_isas()),
        "isa selected": selected,
        "threads": str(_core.usable_threads()),
    }


def _machine() -> dict[str, str]:
    memory = _core.available_memory()
    return {
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "processors": str(os.cpu_count()),
        "memory available": "unknown" if memory is None else f"{memory / 1e9:.1f} GB",
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
