"""Builds the C++ programs of this folder, and reads what `kernel_timer`, which times kernels, prints."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).resolve().parent / "kernel_timer"
BUILDS = SOURCES.parents[1] / "build"  # kept: only what changed is compiled again


class Timing(NamedTuple):
    """What a call of a kernel took, in each round, and what it did."""

    seconds: list[float]
    operations: float  # multiplications and additions of its matrix product; 0: it has none
    elements: float  # numbers it produced

    @property
    def gflops(self) -> float:
        return 1e-9 * self.operations / min(self.seconds)

    @property
    def ns_per_element(self) -> float:
        return 1e9 * min(self.seconds) / self.elements


class KernelTimer:
    """The program, once built."""

    def __init__(self, program: Path) -> None:
        self.program = program

    @functools.cached_property
    def isas(self) -> list[str]:
        return self._run("isas").split()

    @functools.cached_property
    def peaks(self) -> list[str]:
        """Return the names of the peaks that this machine has: instruction sets, and those for bfloat16."""
        return self._run("peaks").split()

    def limit(self, *words: str | int, rounds: int = 20, milliseconds: int = 10) -> float:
        """Return one of the machine's limits, per second or in seconds; `words` are arguments."""
        output = self._run("--rounds", rounds, "--milliseconds", milliseconds, "limit", *words)
        return float(json.loads(output)["value"])

    def time(self, *words: str | int, rounds: int = 20, milliseconds: int = 5) -> Timing:
        """Time one kernel; `words` are arguments."""
        output = self._run("--rounds", rounds, "--milliseconds", milliseconds, *words)
        found = json.loads(output)
        return Timing(found["seconds"], found["operations"], found["elements"])

    @functools.cache  # noqa: B019 - there is one of them, and it lives as long as the session
    def peak_gflops(self, isa: str) -> float:
        """Return the most that one core does, as measured: with the multiply-adds of an instruction set, or,
        for "dot NAME", with instructions for bfloat16.
        """
        dots, _, name = isa.rpartition(" ")
        if dots:
            return 1e-9 * self.limit("peak", name, 1)
        return self.time("peak", isa, rounds=50).gflops

    def _run(self, *words: str | int) -> str:
        command = [str(self.program), *map(str, words)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def cmake() -> str | None:
    """Return cmake's path: that of this Python's environment, else that of PATH."""
    return shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")


def build() -> KernelTimer:
    """Build `kernel_timer` from the sources of this checkout (a minute, the first time)."""
    return KernelTimer(built_program("kernel_timer"))


def built_program(name: str, *flags: str) -> Path:
    """Build one of the programs, with additional flags for the compiler, in a folder of its own."""
    command = cmake()
    if command is None:
        raise FileNotFoundError(f"cmake is needed to build {name}: pip install cmake")
    folder = str(BUILDS / name)
    release = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_FLAGS={' '.join(flags)}"]
    for arguments in (
        ["-S", str(SOURCES), "-B", folder, *release],
        ["--build", folder, "--target", name, "--parallel"],
    ):
        done = subprocess.run([command, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"cmake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return BUILDS / name / name
