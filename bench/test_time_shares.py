"""What time_shares.py makes of samples; that it can take any, perf and the machine decide."""

from pathlib import Path

import pytest

import time_shares
from time_shares import KINDS, PREPARATIONS, REST, NoProfiler, Shares, kind_of

SOURCES = Path(__file__).resolve().parents[1]


def test_every_source_exists() -> None:
    """A file that is renamed would count as the rest, without a word."""
    here = {path.name for folder in ("cpp", "bench") for path in (SOURCES / folder).rglob("*.*")}
    named = {source for sources in KINDS.values() for source in sources} | PREPARATIONS
    assert {source for source in named if ".so" not in source} <= here
    assert len(named) == sum(map(len, KINDS.values())) + len(PREPARATIONS)


def test_the_innermost_file_that_says_so_decides() -> None:
    assert kind_of(["vec.h", "math.h", "losses.h", "epilogue.h", "kernels.cpp"]) == "loss and its gradient"
    assert kind_of(["vec.h", "tile_fma.h", "gemm.h", "kernels.cpp"]) == "products"
    assert kind_of(["trainer.cpp"]) == kind_of(["??"]) == REST
    assert kind_of(["random.h", "row_order.cpp"]) == "the order of rows"
    assert kind_of(["random.h", "initializer.cpp"]) is None
    assert kind_of(["stl_vector.h", "training_case.cpp"]) is None


def test_table() -> None:
    measured = {"a": Shares({"products": 75, REST: 25}, 1000.0)}
    assert time_shares.lines(measured, 2)[2:] == [
        "| products | 75.0% |",
        "| phases, and all else | 25.0% |",
        "| rows/s | 1,000 |",
        "| GFLOP/s of the products | 1 |",
        "| samples | 100 |",
    ]


def test_without_a_profiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoProfiler, match="perf is not installed"):
        time_shares.perf()
