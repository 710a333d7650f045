"""Elementary functions of every instruction set against float64: accuracy, special values, equal bits.

What they promise is listed once, in `cpp/math_accuracy.cpp`, which also checks all 2^32 arguments.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special

from core_helpers import FUSED_ISAS, ISAS, Float32Array, attempt, native_program
from diabolo import _core

Float64Array = npt.NDArray[np.float64]
INFINITY = math.inf


def gelu(x: Float64Array) -> Float64Array:
    return np.where(x == -INFINITY, -0.0, x * special.ndtr(x))


def gelu_derivative(x: Float64Array) -> Float64Array:
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return special.ndtr(x) + np.where(density == 0.0, 0.0, x) * density


def silu(x: Float64Array) -> Float64Array:
    return np.where(x == -INFINITY, -0.0, x * special.expit(x))


def silu_derivative(x: Float64Array) -> Float64Array:
    rest = special.expit(x) * special.expit(-x)
    return special.expit(x) + np.where(rest == 0.0, 0.0, x) * rest


EXACT: dict[str, Callable[[Float64Array], Float64Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "erf": special.erf,
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "gelu": gelu,
    "silu": silu,
    "gelu_derivative": gelu_derivative,
    "silu_derivative": silu_derivative,
}
ELEMENTARY = ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf"]


@dataclass(frozen=True)
class Promise:
    """Within [low, high] at most `ulp` units in the last place; elsewhere at most absolute * max(|x|, 1)."""

    ulp: float
    ulp_unfused: float
    low: float
    high: float
    absolute: float


def number(text: str) -> float:
    text = text.strip()
    if text in ("kAll", "-kAll"):
        return INFINITY if text == "kAll" else -INFINITY
    return float.fromhex(text) if "x" in text else float(text)


def promises() -> dict[str, Promise]:
    source = Path(__file__).with_name("cpp") / "math_accuracy.cpp"
    rows = re.findall(
        r'\{\s*"(\w+)",\s*Function::\w+,\s*[\w:]+,([^}]*)\}', source.read_text(encoding="utf-8")
    )
    return {name: Promise(*(number(value) for value in values.split(","))) for name, values in rows}


PROMISES = promises()


def test_every_function_promises_something() -> None:
    assert PROMISES.keys() == EXACT.keys()
    for name in ELEMENTARY:
        assert PROMISES[name].ulp <= 2
        assert (PROMISES[name].low, PROMISES[name].high) == (-INFINITY, INFINITY)
    assert all(promise.ulp <= 4 and promise.ulp_unfused <= 6 for promise in PROMISES.values())


@functools.cache
def arguments() -> Float32Array:
    """Every 4093rd float (a prime: all exponents, both signs), many near the origin, and the notable ones."""
    spread = np.arange(0, 2**32, 4093, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = np.linspace(-20.0, 20.0, 400_001).astype(np.float32)
    wide = np.linspace(-130.0, 130.0, 200_001).astype(np.float32)
    turns = [0.0, 2**-126, 2**-25, 2**-24, 2**-12, 0.25, 0.5, 1.0, 1.5, 3.92, 9.01, 17.0, 30.0, 87.3, 88.7]
    bits = np.array(turns, np.float32).view(np.int32)[:, None] + np.arange(-100, 101)
    around = bits.clip(0).astype(np.int32).view(np.float32)
    special_values = np.array([np.inf, -np.inf, np.nan, -np.nan, 3.4028235e38, -0.0], np.float32)
    return np.concatenate([spread, dense, wide, around.ravel(), -around.ravel(), special_values])


@functools.cache
@np.errstate(all="ignore")
def exact(function: str) -> Float64Array:
    return EXACT[function](arguments().astype(np.float64))


def evaluated(function: str, isa: str) -> Float32Array:
    return _core.evaluate(function, arguments(), isa)


@pytest.mark.parametrize("function", EXACT)
@pytest.mark.parametrize("isa", ISAS)
@np.errstate(all="ignore")
def test_accuracy(isa: str, function: str) -> None:
    promise = PROMISES[function]
    x = arguments().astype(np.float64)
    y = evaluated(function, isa).astype(np.float64)
    expected = exact(function)
    # A denormal argument may count as zero, a denormal result may be zero.
    normal = (x == 0.0) | (np.abs(x) >= 2.0**-126)
    x, y, expected = x[normal], y[normal], expected[normal]
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    overflow = np.abs(expected) >= 2.0**128
    assert np.array_equal(np.isinf(y[overflow]), np.ones(np.count_nonzero(overflow), bool))
    assert np.array_equal(np.sign(y[overflow]), np.sign(expected[overflow]))

    rest = np.isfinite(expected) & ~overflow
    x, y, expected = x[rest], y[rest], expected[rest]
    # The largest finite results may round to infinity: float32's half unit beyond its largest number.
    y = np.where(np.isinf(y) & (np.abs(expected) > float.fromhex("0x1.fffffap127")), expected, y)
    error = np.abs(y - expected)
    within = (x >= promise.low) & (x <= promise.high)
    tiny = np.abs(expected) < 2.0**-126
    ulp = np.exp2(np.floor(np.log2(np.maximum(np.abs(expected), 2.0**-126))) - 23.0)
    allowed = promise.ulp if isa in FUSED_ISAS else promise.ulp_unfused
    worst = np.argmax(np.where(within & ~tiny, error / ulp, 0.0))
    assert error[worst] / ulp[worst] <= allowed or tiny[worst], (x[worst], y[worst], expected[worst])
    assert np.all((y == 0.0) | (error <= 2.0**-148), where=within & tiny)
    assert np.all(error <= promise.absolute * np.maximum(np.abs(x), 1.0), where=~within)


# What leaves no doubt; at an argument of zero, the sign of a zero included.
POINTS: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INFINITY, INFINITY), (-INFINITY, 0.0), (89.0, INFINITY), (-200.0, 0.0)],
    "expm1": [
        (0.0, 0.0),
        (-0.0, -0.0),
        (INFINITY, INFINITY),
        (-INFINITY, -1.0),
        (-50.0, -1.0),
        (1e-30, 1e-30),
    ],
    "log": [(1.0, 0.0), (0.0, -INFINITY), (-0.0, -INFINITY), (INFINITY, INFINITY), (-1.0, math.nan)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INFINITY), (-1.5, math.nan), (INFINITY, INFINITY)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, 1.0), (-INFINITY, -1.0), (50.0, 1.0), (-50.0, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INFINITY, 1.0), (-INFINITY, 0.0), (100.0, 1.0), (-200.0, 0.0)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, 1.0), (-INFINITY, -1.0), (5.0, 1.0), (-5.0, -1.0)],
    "softplus": [(INFINITY, INFINITY), (-INFINITY, 0.0), (100.0, 100.0), (-200.0, 0.0), (3e38, 3e38)],
    "elu": [(0.0, 0.0), (INFINITY, INFINITY), (-INFINITY, -1.0), (2.5, 2.5), (-100.0, -1.0)],
    "gelu": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, 0.0), (20.0, 20.0), (-20.0, 0.0)],
    "silu": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, 0.0), (100.0, 100.0)],
    "gelu_derivative": [
        (0.0, 0.5),
        (-0.0, 0.5),
        (INFINITY, 1.0),
        (-INFINITY, 0.0),
        (20.0, 1.0),
        (-20.0, 0.0),
    ],
    "silu_derivative": [(0.0, 0.5), (-0.0, 0.5), (INFINITY, 1.0), (-INFINITY, 0.0), (120.0, 1.0)],
}


@pytest.mark.parametrize("function", EXACT)
@pytest.mark.parametrize("isa", ISAS)
def test_special_values(isa: str, function: str) -> None:
    for x, expected in [*POINTS[function], (math.nan, math.nan)]:
        # In every lane, and in the part of a vector that is filled up.
        for count in (1, 16, 17):
            y = _core.evaluate(function, np.full(count, x, np.float32), isa)
            if math.isnan(expected):
                assert np.isnan(y).all(), x
            else:
                assert np.array_equal(y, np.full(count, expected, np.float32)), (x, y)
                if x == 0.0:
                    assert (np.signbit(y) == (math.copysign(1.0, expected) < 0.0)).all()


@pytest.mark.parametrize("function", EXACT)
def test_fused_isas_agree_bit_for_bit(function: str) -> None:
    results = {isa: evaluated(function, isa) for isa in FUSED_ISAS}
    for one, other in itertools.pairwise(FUSED_ISAS):
        same = (results[one].view(np.uint32) == results[other].view(np.uint32)) | (
            np.isnan(results[one]) & np.isnan(results[other])
        )
        assert same.all(), arguments()[~same][:5]


@pytest.mark.parametrize("isa", ISAS)
def test_results_do_not_depend_on_the_place(isa: str) -> None:
    """Nor on what stands beside: whole vectors and the rest of one give the same bits."""
    x = np.random.default_rng(0).normal(size=67).astype(np.float32) * 3
    for function in EXACT:
        whole = _core.evaluate(function, x, isa)
        for count in (*range(1, 35), 66):
            assert np.array_equal(_core.evaluate(function, x[:count], isa), whole[:count], equal_nan=True)
            assert np.array_equal(_core.evaluate(function, x[-count:], isa), whole[-count:], equal_nan=True)


@pytest.mark.parametrize("isa", ISAS)
def test_monotonic_where_the_function_is(isa: str) -> None:
    """To within the last place: a step back of more would mislead an optimiser near a plateau."""
    x = np.linspace(-20.0, 20.0, 2_000_001).astype(np.float32)
    for function in ("exp", "tanh", "sigmoid", "erf", "softplus", "elu", "expm1"):
        y = _core.evaluate(function, x, isa)
        back = (y[:-1] - y[1:]) / np.maximum(np.spacing(np.abs(y[1:])), np.finfo(np.float32).tiny)
        assert back.max() <= 2.0, function


def test_unknown_names() -> None:
    x = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="unknown name 'sine'"):
        _core.evaluate("sine", x, ISAS[0])
    with pytest.raises(ValueError, match=f"{', '.join(ISAS)}. Got 'mmx'"):
        _core.evaluate("exp", x, "mmx")


@pytest.mark.slow
@pytest.mark.parametrize("flush", [[], ["--flush"]], ids=["denormals", "flushed"])
def test_all_floats(flush: list[str]) -> None:
    """All 2^32 arguments of every function on every instruction set: some half a minute each."""
    program = native_program("math_accuracy")
    finished = attempt([program, "--hash", *flush], timeout=6 * 3600.0)
    print(finished.stdout)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    hashes: dict[str, set[str]] = {}
    for line in finished.stdout.splitlines():
        isa, function, *rest = line.split()
        if isa in FUSED_ISAS:
            hashes.setdefault(function, set()).add(rest[rest.index("hash") + 1])
    assert hashes.keys() == EXACT.keys()
    assert all(len(bits) == 1 for bits in hashes.values()), hashes
