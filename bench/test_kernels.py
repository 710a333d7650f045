"""Micro-benchmarks: each kernel alone, for each instruction set, and whole steps of one thread above them.

A benchmark asserts nothing about time. The kernels are timed by a C++ program, since a call from Python takes
as long as some of them; pytest-benchmark keeps the books.
"""

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cases import CASES, multiplications, training_operations
from data import SEED, initial_weights
from diabolo import _core, available_isas
from kernel_program import KernelTimer
from peers import Task
from peers.diabolo import DiaboloTrainer, core_model

Report = Callable[[str, str, float], None]

ISAS = available_isas()

# (rows of the batch, inputs, outputs): layers of shallow and deep networks on images, and of a tabular one.
SHAPES = [(256, 784, 64), (256, 64, 784), (256, 784, 512), (256, 1000, 784), (256, 32, 16)]

PRODUCTS = [
    "forward",
    "forward_gelu",
    "forward_loss",
    "input_gradient",
    "weight_gradient",
    "weight_gradient_adam",
]
# Instruction sets with a unit for pairs of bfloat16, and the names of its peaks.
PAIR_PEAKS = {"avx512_bf16": "dot avx512_bf16", "amx": "dot amx_bf16"}
PASSES = ["bias_gradient", "stored_update", "transpose"]
FUNCTIONS = ["exp", "log", "tanh", "sigmoid", "erf", "softplus", "gelu", "silu"]
FUNCTION_COUNT = 4096  # input and output in the first-level cache


def joined(sign: str) -> Callable[[tuple[int, ...]], str]:
    return lambda numbers: sign.join(map(str, numbers))


isas = pytest.mark.parametrize("isa", ISAS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=joined("x"))

_clock = 0.0


def kernel_clock() -> float:
    """Seconds as the C++ program counted them."""
    return _clock


def run_kernel(benchmark: BenchmarkFixture, timer: KernelTimer, *words: str | int) -> float:
    """Enter the program's rounds into the benchmark's statistics; return seconds per call of the best."""
    timing = timer.time(*words) if benchmark.enabled else timer.time(*words, rounds=1, milliseconds=1)
    rounds = iter(timing.seconds)

    def next_round() -> None:
        global _clock
        _clock += next(rounds)

    benchmark.pedantic(next_round, rounds=len(timing.seconds))
    benchmark.extra_info |= {"operations": timing.operations, "elements": timing.elements}
    return min(timing.seconds)


@pytest.mark.benchmark(timer=kernel_clock, group="products")
@shapes
@pytest.mark.parametrize("kernel", PRODUCTS)
@isas
def test_product(
    benchmark: BenchmarkFixture,
    kernel_timer: KernelTimer,
    report: Report,
    isa: str,
    kernel: str,
    shape: tuple[int, int, int],
) -> None:
    best = run_kernel(benchmark, kernel_timer, kernel, isa, *shape)
    report(isa, "GFLOP/s", 1e-9 * benchmark.extra_info["operations"] / best)


@pytest.mark.benchmark(timer=kernel_clock, group="products of bfloat16")
@shapes
@pytest.mark.parametrize("kernel", [*PRODUCTS, "pack_input", "pack_delta"])
@pytest.mark.parametrize("form", ["bfloat16", "bfloat16_3x"])
@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa in PAIR_PEAKS])
def test_pairs(
    benchmark: BenchmarkFixture,
    kernel_timer: KernelTimer,
    report: Report,
    isa: str,
    form: str,
    kernel: str,
    shape: tuple[int, int, int],
) -> None:
    """Rates count each product of two numbers once, whatever it is made of."""
    best = run_kernel(benchmark, kernel_timer, kernel, isa, *shape, form)
    if kernel in PRODUCTS:
        report(PAIR_PEAKS[isa], "GFLOP/s", 1e-9 * benchmark.extra_info["operations"] / best)
    else:
        report(isa, "ns/element", 1e9 * best / benchmark.extra_info["elements"])


@pytest.mark.benchmark(timer=kernel_clock, group="passes")
@shapes
@pytest.mark.parametrize("kernel", PASSES)
@isas
def test_pass(
    benchmark: BenchmarkFixture,
    kernel_timer: KernelTimer,
    report: Report,
    isa: str,
    kernel: str,
    shape: tuple[int, int, int],
) -> None:
    best = run_kernel(benchmark, kernel_timer, kernel, isa, *shape)
    report(isa, "ns/element", 1e9 * best / benchmark.extra_info["elements"])


@pytest.mark.benchmark(timer=kernel_clock, group="functions")
@pytest.mark.parametrize("function", FUNCTIONS)
@isas
def test_function(
    benchmark: BenchmarkFixture, kernel_timer: KernelTimer, report: Report, isa: str, function: str
) -> None:
    best = run_kernel(benchmark, kernel_timer, "evaluate", isa, function, FUNCTION_COUNT)
    report(isa, "ns/element", 1e9 * best / FUNCTION_COUNT)


# ---- One thread, all that belongs to a step: gather, layers, loss, gradients, update ----


STEPS = 16

BATCH_SIZE = 256

# Each network once, whatever its batch in the comparison.
networks = pytest.mark.parametrize(
    "widths", list(dict.fromkeys(case.widths for case in CASES.values())), ids=joined("-")
)


@pytest.mark.benchmark(group="training")
@networks
@isas
def test_training(
    benchmark: BenchmarkFixture,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
    isa: str,
    widths: tuple[int, ...],
) -> None:
    monkeypatch.setenv("DIABOLO_ISA", isa)
    X = np.random.default_rng(0).random((STEPS * BATCH_SIZE, widths[0]), dtype=np.float32)
    trainer = DiaboloTrainer(Task(widths, BATCH_SIZE, threads=1))
    trainer.start(X, shuffle=True)
    benchmark.pedantic(trainer.epoch, rounds=20, warmup_rounds=2)
    if benchmark.enabled:
        operations = len(X) * training_operations(widths)
        report(isa, "GFLOP/s", 1e-9 * operations / benchmark.stats.stats.min)
        report(isa, "rows/s", len(X) / benchmark.stats.stats.min)


@pytest.mark.benchmark(group="inference")
@networks
@isas
def test_reconstruct(
    benchmark: BenchmarkFixture,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
    isa: str,
    widths: tuple[int, ...],
) -> None:
    monkeypatch.setenv("DIABOLO_ISA", isa)
    X = np.random.default_rng(0).random((STEPS * BATCH_SIZE, widths[0]), dtype=np.float32)
    model, rows = core_model(initial_weights(widths, SEED), "float32"), _core.Rows(X)
    benchmark.pedantic(model.reconstruct, args=(rows, 1), rounds=20, warmup_rounds=2)
    if benchmark.enabled:
        operations = len(X) * 2 * multiplications(widths)
        report(isa, "GFLOP/s", 1e-9 * operations / benchmark.stats.stats.min)
        report(isa, "rows/s", len(X) / benchmark.stats.stats.min)
