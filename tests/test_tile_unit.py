"""AMX, the tile unit of Intel's processors: its model, its machine code, and who may meet it.

No processor of the tests need have one. The model (cpp/kernels/tile_model.h) is compared with the manual's
definition in exact arithmetic; training on the model with the oracle (test_matmul_precision.py); and the
machine code, whose instructions a processor without tiles hands to a signal handler, with training on the
model.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from core_helpers import (
    EMULATED_ISAS,
    ISAS,
    built,
    forced_isa,
    native_folder,
    native_program,
    require_tools,
    run,
)
from diabolo import AutoEncoder
from test_symbols import kernel_object, symbols

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86-64")

Words = npt.NDArray[np.uint32]

TINY = Fraction(2) ** -126


def rounded(x: Fraction) -> Fraction:
    """Return the nearest float32, ties to even, or 0 where that is below the normal ones."""
    if x == 0:
        return x
    exponent = abs(x).numerator.bit_length() - abs(x).denominator.bit_length()
    while Fraction(2) ** exponent > abs(x):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(x):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    nearest = Fraction(round(x / unit)) * unit
    return nearest if abs(nearest) >= TINY else Fraction(0)


def number(bits: int) -> Fraction:
    """Return a float32 by its bits; denormals are 0."""
    return Fraction(0) if bits & 0x7F800000 == 0 else Fraction(float(np.uint32(bits).view(np.float32)))


def dot_product(total: int, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Fraction:
    """Return an element of TDPBF16PS as the manual defines it."""
    sums = [Fraction(0), Fraction(0)]
    for x, y in zip(left.tolist(), right.tolist(), strict=True):
        for half, shift in ((0, 16), (1, 0)):
            product = number(x << shift & 0xFFFF0000) * number(y << shift & 0xFFFF0000)
            sums[half] = rounded(sums[half] + product)
    return rounded(number(total) + rounded(sums[0] + sums[1]))


def tiles(seed: int, scale: float, spread: int) -> Words:
    """Return (3, 16, 16) words: a tile of float32 sums, and two of pairs, with exponents `spread` about."""
    random = np.random.default_rng(seed)
    values = scale * random.normal(size=(3, 16, 32))
    values *= 2.0 ** random.integers(-spread, spread + 1, values.shape)
    values[random.random(values.shape) < 0.05] = 0.0
    words = values.astype(np.float32).view(np.uint32)
    result = words[:, :, 1::2] & 0xFFFF0000 | words[:, :, ::2] >> 16
    result[0] = words[0, :, :16]
    return result.astype(np.uint32)


@pytest.mark.parametrize(
    ("scale", "spread"),
    [(1.0, 0), (1.0, 12), (1e-19, 3), (2.0**-126, 1), (3e15, 8)],
    ids=["like", "unlike", "tiny products", "denormals", "large"],
)
def test_model_multiplies_as_the_manual_says(scale: float, spread: int) -> None:
    given = np.stack([tiles(seed, scale, spread) for seed in range(2)])
    program = native_program("tile_unit")
    done = subprocess.run([program, "multiply"], input=given.tobytes(), stdout=subprocess.PIPE, check=True)
    got = np.frombuffer(done.stdout, np.uint32).reshape(len(given), 16, 16)
    for (total, left, right), sums in zip(given, got, strict=True):
        for i, j in np.ndindex(16, 16):
            expected = dot_product(int(total[i, j]), left[i], right[:, j])
            assert Fraction(float(sums[i, j].view(np.float32))) == expected, (i, j)
            assert sums[i, j] & 0x7F800000 or sums[i, j] & 0x7FFFFFFF == 0  # no denormals


def test_model_adds_even_and_odd_apart() -> None:
    """And not pair by pair, as dot instructions on vectors do: 2^24 + 1 - 2^24 tells the two apart."""
    given = np.zeros((3, 16, 16), np.uint32)
    numbers = np.array([2.0**24, 1.0, -(2.0**24), 0.0], np.float32).view(np.uint32) >> 16
    given[1, 0, 0] = numbers[0] | numbers[1] << 16
    given[1, 0, 1] = numbers[2]
    given[2, :2, 0] = 0x3F803F80  # pairs of ones
    program = native_program("tile_unit")
    done = subprocess.run([program, "multiply"], input=given.tobytes(), stdout=subprocess.PIPE, check=True)
    assert np.frombuffer(done.stdout, np.float32)[0] == 1.0


FAULTS = {
    "palette": "the palette is neither 0 nor 1",
    "reserved": "a reserved byte",
    "ninth": "a tile that does not exist",
    "rows": "more than 16 rows",
    "bytes": "more than 64 bytes",
    "half": "rows without bytes",
    "unconfigured": "before they are configured",
    "released": "before they are configured",
    "absent": "a tile is used that is not configured",
    "twice": "one tile twice",
    "heights": "do not fit together",
    "depths": "do not fit together",
    "widths": "do not fit together",
    "lanes": "no whole number of lanes",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_model_refuses_what_a_processor_would(fault: str) -> None:
    done = subprocess.run(
        [native_program("tile_unit"), fault], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode < 0
    assert FAULTS[fault] in done.stderr


def training(isa: str, *arguments: str) -> list[str]:
    """Return what the test program that trains on tiles prints."""
    environment = {**os.environ, "DIABOLO_ISA": isa, "DIABOLO_FORCE_MATMUL_PRECISION": "1"}
    command = [str(native_program("tile_training")), *arguments]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()


@pytest.mark.skipif("avx512_bf16" not in ISAS, reason="the rest of the code is AVX512-BF16")
def test_machine_code_does_what_the_model_does() -> None:
    real, emulated = training("amx"), training("amx_emulated")
    assert (real[0], emulated[0]) == ("isa: amx", "isa: amx_emulated")
    assert len(real) > 5
    assert real[1:-1] == emulated[1:-1]
    assert all(": pairs " in line for line in real[1:-1])
    if "amx" not in ISAS:
        assert int(real[-1].removeprefix("trapped: ")) > 1000
    assert emulated[-1] == "trapped: 0"


@pytest.mark.skipif("avx512_bf16" not in ISAS, reason="the rest of the code is AVX512-BF16")
def test_without_the_systems_leave_products_are_float32() -> None:
    lines = training("amx", "refused")
    assert all(": floats " in line for line in lines[1:-1])
    assert lines[-1] == "trapped: 0"


# ------------------------------------------------------------------------------------------------------------
# The instructions
# ------------------------------------------------------------------------------------------------------------

TILE_INSTRUCTION = re.compile(r"\t(ldtilecfg|sttilecfg|tile\w+|tdp\w+)\b")


def instructions(file: Path) -> list[tuple[int, str]]:
    """Return (address, text) of all instructions of an object."""
    require_tools("objdump")
    lines = run(["objdump", "--disassemble", "--no-show-raw-insn", file]).splitlines()
    found = [re.match(r"^ *([0-9a-f]+):\t(.*)$", line) for line in lines]
    return [(int(match[1], 16), match[2].strip()) for match in found if match]


def loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """Return the instructions of each innermost loop that multiplies tiles."""
    at = {address: i for i, (address, _) in enumerate(code)}
    found = []
    for i, (address, text) in enumerate(code):
        jump = re.match(r"j[a-z]+ +([0-9a-f]+)\b", text)
        if jump and int(jump[1], 16) <= address and int(jump[1], 16) in at:
            body = [words for _, words in code[at[int(jump[1], 16)] : i + 1]]
            inner = [words for words in body[:-1] if re.match("j|call|ret", words)]
            if not inner and any(words.startswith("tdpbf16ps") for words in body):
                found.append(body)
    return found


def test_kernel_loads_one_tile_for_each_product() -> None:
    """Of the loop over two by two tiles: nothing else touches memory, no tile is moved or stored."""
    found = loops(instructions(kernel_object("amx", "O3")))
    counts = [Counter(words.split()[0] for words in body) for body in found]
    largest = [(body, count) for body, count in zip(found, counts, strict=True) if count["tdpbf16ps"] == 4]
    assert largest
    for body, count in largest:
        assert count["tileloadd"] == 4
        assert not count["tilestored"] + count["tilezero"] + count["ldtilecfg"]
        assert len({words for words in body if words.startswith("tdpbf16ps")}) == 4  # four sums
        assert not [words for words in body if "(" in words and not words.startswith("tileloadd")]
        assert len(body) <= 16


@pytest.mark.parametrize("level", ["O1", "O3"])
def test_tiles_shows_one_table_and_calls_nothing(level: str) -> None:
    for isa, tables in (("amx", {"on_avx512_bf16"}), ("amx_emulated", {"on_avx512", "on_avx2"})):
        found = symbols(kernel_object(isa, level))
        shown = {name for kind, name in found if kind.isupper() and kind != "U"}
        prefix = f"_ZN7diabolo7kernels{len(isa)}{isa}"
        assert shown == {f"{prefix}{len(table)}{table}E" for table in tables}
        assert not [name for kind, name in found if kind in "WwVvuC"]


def test_tile_instructions_stand_in_one_object() -> None:
    library = built(native_folder()) / "libdiabolo.a"
    require_tools("objdump")
    member, users = "", Counter[str]()
    for line in run(["objdump", "--disassemble", "--no-show-raw-insn", library]).splitlines():
        if match := re.match(r"^(\S+):\s+file format", line):
            member = match[1]
        if TILE_INSTRUCTION.search(line):
            users[member] += 1
    assert list(users) == ["tile_products.cpp.o"]


# ------------------------------------------------------------------------------------------------------------
# Who may meet them
# ------------------------------------------------------------------------------------------------------------


def processor_has_tiles() -> bool:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return {"amx_tile", "amx_bf16"} <= set(flags)


def test_level_is_listed_where_the_processor_has_it() -> None:
    assert ("amx" in ISAS) == processor_has_tiles()
    if "amx" in ISAS:
        assert ISAS[-1] == "amx"
        return
    with forced_isa("amx"), pytest.raises(ValueError, match="must be one of the levels of this machine"):
        AutoEncoder(2, epochs=1).fit(np.eye(4))


def test_emulation_is_for_those_who_name_it() -> None:
    assert "amx_emulated" not in diabolo.available_isas()
    if not EMULATED_ISAS:
        pytest.skip("not on this machine: fused multiply-add")
    x = np.random.default_rng(0).random((40, 64)).astype(np.float32)
    for precision in ("bfloat16", "bfloat16_3x"):
        with forced_isa("amx_emulated"), pytest.warns(diabolo.MatmulPrecisionWarning, match="amx_emulated"):
            ae = AutoEncoder(48, epochs=1, random_state=0, matmul_precision=precision).fit(x)
        assert ae.matmul_precision_used_ == "float32"
