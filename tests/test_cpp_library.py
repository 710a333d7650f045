"""The core as C++ programs see it: without Python, on other CPUs, installed; and what training allocates."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from core_helpers import (
    AARCH64_RUNNER,
    FUSED_ISAS,
    ISAS,
    aarch64_program,
    attempt,
    built,
    cmake_generator,
    native_folder,
    native_program,
    require_tools,
    run,
)

# The bits that 50 steps with each optimiser give on every CPU with fused multiply-add, whatever the compiler.
# They change only with the arithmetic itself, and then users' results do: that belongs in the change log.
GOLDEN = {
    "initial": "ffe0bcf35e1add8b",
    "outputs": "7a50a4afbe1725a8",
    "sgd": "f9fce3522331a258",
    "momentum": "8046d20038f3481c",
    "nesterov": "beeaceb17cb117cc",
    "adam": "6e4c71642b85bf6c",
    "adamw": "8e196088c43a2207",
    "rmsprop": "9f979400161fc7e4",
}

TOO_OLD = "diabolo needs an x86-64 processor with SSE4.2 and POPCNT (x86-64-v2), or aarch64."


def hashes(output: str, isa: str) -> dict[str, str]:
    """Read what train_hash printed; it must have used that instruction set."""
    lines = dict(line.split() for line in output.splitlines())
    assert lines.pop("isa") == isa
    assert lines.keys() == GOLDEN.keys()
    return lines


@pytest.mark.parametrize("isa", FUSED_ISAS)
def test_golden_weights(isa: str) -> None:
    assert hashes(run([native_program("train_hash")], DIABOLO_ISA=isa), isa) == GOLDEN


def test_golden_weights_on_aarch64() -> None:
    """The cross-compiled NEON build, emulated."""
    require_tools(AARCH64_RUNNER[0])
    output = run([*AARCH64_RUNNER, aarch64_program("train_hash")], timeout=600.0)
    assert hashes(output, "neon") == GOLDEN


def test_functions_on_aarch64() -> None:
    """Elementary functions keep their promises on NEON, and give the bits of the x86-64 instruction sets."""
    require_tools(AARCH64_RUNNER[0])
    if not FUSED_ISAS:
        pytest.skip("not on this machine: fused multiply-add")
    options = ["--hash", "--stride", "99991"]
    here = run([native_program("math_accuracy"), "--isa", FUSED_ISAS[0], *options])
    there = run([*AARCH64_RUNNER, aarch64_program("math_accuracy"), *options], timeout=600.0)

    def function_hashes(output: str) -> list[tuple[str, str]]:
        return [(line.split()[1], line.split()[-1]) for line in output.splitlines()]

    assert function_hashes(here) == function_hashes(there)


def test_baseline_on_an_old_cpu() -> None:
    """The first generation with x86-64-v2: its own bits, without fused multiply-add, are those of here."""
    require_tools("qemu-x86_64")
    program = native_program("train_hash")
    if "baseline" not in ISAS:
        pytest.skip("not on this machine: baseline")
    here = hashes(run([program], DIABOLO_ISA="baseline"), "baseline")
    there = hashes(run(["qemu-x86_64", "-cpu", "Nehalem", program], timeout=600.0), "baseline")
    assert here == there
    assert here["initial"] == GOLDEN["initial"]
    assert here["adam"] != GOLDEN["adam"]


def test_a_cpu_without_avx512_takes_avx2() -> None:
    require_tools("qemu-x86_64")
    output = run(["qemu-x86_64", "-cpu", "Haswell", native_program("train_hash")], timeout=600.0)
    assert hashes(output, "avx2") == GOLDEN


@pytest.mark.parametrize("cpu", ["core2duo", "Penryn", "Nehalem,-popcnt", "qemu64"])
def test_a_cpu_below_the_baseline(cpu: str) -> None:
    """An error that says so, not an illegal instruction."""
    require_tools("qemu-x86_64")
    finished = attempt(["qemu-x86_64", "-cpu", cpu, native_program("train_hash")])
    assert finished.returncode == 1, finished.stderr
    assert TOO_OLD in finished.stderr
    assert finished.stdout == ""


def test_importing_on_a_cpu_below_the_baseline() -> None:
    require_tools("qemu-x86_64")
    program = "try:\n    import diabolo\nexcept ImportError as error:\n    print(type(error).__name__, error)"
    path = str(Path(__import__("diabolo").__file__ or "").parents[1])
    output = run(
        ["qemu-x86_64", "-cpu", "core2duo", sys.executable, "-c", program], timeout=300.0, PYTHONPATH=path
    )
    assert "ImportError" in output or "UnsupportedCpuError" in output
    assert TOO_OLD in output


def test_unknown_isa() -> None:
    finished = attempt([native_program("train_hash")], DIABOLO_ISA="abacus")
    assert finished.returncode == 1
    assert finished.stderr == (
        f"DIABOLO_ISA must be one of the levels of this machine: {', '.join(ISAS)}. Got 'abacus'.\n"
    )


def test_nothing_is_allocated_while_training() -> None:
    """In an epoch after the first, by any thread, whatever the settings."""
    finished = attempt([native_program("count_allocations")])
    print(finished.stdout)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.splitlines()[-1] == "most 0"
    assert len(finished.stdout.splitlines()) == 2 * 3 * 2 * 2 * 2 + 1


def test_a_project_of_its_own(tmp_path: Path) -> None:
    """Installed, found by find_package, linked, run: and it learns something."""
    prefix = tmp_path / "prefix"
    run(["cmake", "--install", built(native_folder()), "--prefix", prefix])
    source = Path(__file__).with_name("cpp") / "consumer"
    folder = tmp_path / "build"
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"]
    run(["cmake", "-G", cmake_generator(), "-S", source, "-B", folder, *options])
    run(["cmake", "--build", folder])
    output = run([folder / "consumer", tmp_path / "model.safetensors"])
    losses = [float(loss) for loss in re.findall(r"^epoch +\d+ +loss ([\d.]+)$", output, flags=re.MULTILINE)]
    assert len(losses) == 30
    assert losses[-1] < 0.1 * losses[0]
    assert output.endswith("read back: same errors\n")
    # What is compiled once per instruction set is nobody's interface.
    kernels = prefix / "include" / "diabolo" / "kernels"
    assert sorted(path.name for path in kernels.iterdir()) == ["arguments", "kernels.h"]
