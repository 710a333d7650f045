"""Fixtures of the benchmarks, and the table at the end: what pytest-benchmark's own has no columns for."""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kernel_program import KernelTimer, build, cmake
from machine import load_note

Row = tuple[str, str, str]
_ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="session")
def kernel_timer() -> KernelTimer:
    if cmake() is None:
        pytest.skip("cmake is needed to build kernel_timer")
    return build()


@pytest.fixture
def report(
    benchmark: BenchmarkFixture, kernel_timer: KernelTimer, request: pytest.FixtureRequest
) -> Callable[[str, str, float], None]:
    """Add to the benchmark's record, and to the table, a rate and how much of the machine's peak that is."""

    def add(isa: str, quantity: str, value: float) -> None:
        benchmark.extra_info[quantity] = value
        peak = ""
        if quantity == "GFLOP/s":
            fraction = value / kernel_timer.peak_gflops(isa)
            benchmark.extra_info["fraction of FMA peak"] = fraction
            benchmark.extra_info["FMA peak, GFLOP/s"] = kernel_timer.peak_gflops(isa)
            peak = f"{fraction:7.0%} of peak"
        if benchmark.enabled:
            row = (request.node.name, f"{value:,.3g} {quantity}", peak)
            request.config.stash.setdefault(_ROWS, []).append(row)

    return add


def pytest_report_header() -> str:
    return load_note()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    terminalreporter.section("rates of the best rounds; peak: multiply-adds in registers, one core, same ISA")
    for name, rate, peak in rows:
        terminalreporter.line(f"{name:<{widths[0]}} {rate:>{widths[1]}} {peak}".rstrip())
