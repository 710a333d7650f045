"""What the kernels' objects show the linker: one symbol each, and nothing it might keep in the wrong form.

An inline function of the standard library that is compiled in an AVX-512 unit and not inlined becomes a weak
symbol; the linker may keep that copy for the whole program, which then dies on older CPUs. At -O1 such
functions show, at -O3 they hide.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core_helpers import (
    AARCH64_COMPILER,
    KNOWN_ISAS,
    TILE_ISAS,
    X86_ISAS,
    aarch64_folder,
    built,
    native_folder,
    require_tools,
    run,
)

X86 = "baseline" in KNOWN_ISAS

# Compiled once per instruction set.
KERNEL_OBJECTS = ("kernels.cpp", "tile_products.cpp")

# What a compiler may call for copying and clearing, and what some distributions add on their own.
FROM_OUTSIDE = {"memcpy", "memset", "memmove", "memcmp", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}

# Rounded differently by every libm. Square roots are rounded correctly everywhere.
LIBM = re.compile(
    r"(exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|sincos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|erf|erfc"
    r"|lgamma|tgamma|cbrt|hypot|fma)[fl]?"
)


def kernel_object(isa: str, level: str) -> Path:
    """Return the object of an instruction set, compiled at that level; at -O3 it is the library's own."""
    if isa in KNOWN_ISAS + TILE_ISAS:
        folder = native_folder()
        built(folder)
    else:
        require_tools(AARCH64_COMPILER, "aarch64-linux-gnu-nm")
        folder = built(aarch64_folder(), "train_hash", "math_accuracy")
    if level == "O1":
        built(folder, "kernels_at_O1")
    lines = (folder / "tests" / "cpp" / "kernel_objects.txt").read_text(encoding="utf-8").splitlines()
    paths = {tuple(line.split(" ", 2)[:2]): Path(line.split(" ", 2)[2]) for line in lines}
    return paths[isa, level]


def symbols(file: Path, tool: str = "nm") -> list[tuple[str, str]]:
    """Return (type, name) of every symbol of an object or of all objects of an archive."""
    require_tools(tool)
    lines = [line.split() for line in run([tool, file]).splitlines()]
    return [(words[-2], words[-1]) for words in lines if len(words) >= 2]


@pytest.mark.parametrize("level", ["O1", "O3"])
@pytest.mark.parametrize("isa", [*X86_ISAS, "neon"] if X86 else KNOWN_ISAS)
def test_kernels_show_one_symbol(isa: str, level: str) -> None:
    tool = "nm" if isa in KNOWN_ISAS else "aarch64-linux-gnu-nm"
    found = symbols(kernel_object(isa, level), tool)
    # Upper case: seen by the linker. Lower case: local, except u (unique), v and w (weak).
    defined = {name for kind, name in found if kind.isupper() and kind not in "UWV"}
    weak = {name for kind, name in found if kind in "WwVvuC"}
    undefined = {name for kind, name in found if kind == "U"}
    assert defined == {f"_ZN7diabolo7kernels{len(isa)}{isa}5tableE"}
    assert not weak
    assert undefined <= FROM_OUTSIDE
    assert not {name for _, name in found if name.startswith("_GLOBAL__sub_I")}  # runs before any CPU check


def test_the_library_calls_no_libm() -> None:
    """Or the last bits of a model would depend on the machine it was trained on."""
    library = built(native_folder()) / "libdiabolo.a"
    undefined = {name for kind, name in symbols(library) if kind == "U"}
    assert "malloc" in undefined or "calloc" in undefined  # or nothing was read
    assert not {name for name in undefined if LIBM.fullmatch(name)}


def test_wide_registers_stay_in_their_objects() -> None:
    """An instruction of AVX outside the kernels' objects would be met by CPUs without it."""
    if not X86:
        pytest.skip("not on this machine: x86-64")
    require_tools("objdump")
    library = built(native_folder()) / "libdiabolo.a"
    widest: dict[str, str] = {}
    member = ""
    for line in run(["objdump", "--disassemble", "--no-show-raw-insn", library]).splitlines():
        if match := re.match(r"^(\S+):\s+file format", line):
            member = match[1]
            seen = sum(name.startswith(KERNEL_OBJECTS) for name in widest)
            member += f" {seen}" if member.startswith(KERNEL_OBJECTS) else ""
            widest[member] = ""
        for register in re.findall(r"%([xyz])mm", line):
            widest[member] = max(widest[member], register)
        # AVX's three-operand forms of 128-bit instructions name only %xmm.
        if re.search(r"\tv[a-z0-9]+\s.*%xmm", line):
            widest[member] = max(widest[member], "y")
    kernels = sorted(width for name, width in widest.items() if name.startswith(KERNEL_OBJECTS))
    # baseline and the model of a tile unit; avx2; avx512, avx512_bf16 and amx
    assert kernels == ["x", "x", "y", "z", "z", "z"]
    others = {name for name, width in widest.items() if width > "x" and not name.startswith(KERNEL_OBJECTS)}
    assert not others
