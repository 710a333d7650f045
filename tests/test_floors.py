"""The floors: includes and imports point down only, and what belongs in one place stands nowhere else."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "cpp"
PYTHON = ROOT / "python" / "diabolo"

# Each floor and what it may include of the library, beside its own files.
MAY_INCLUDE = {
    "base": set(),
    "kernels/arguments": {"base/matrix.h"},  # what kernels.h is made of
    "kernels": {"base/matrix.h", "kernels/arguments/"},  # and whatever is compiled once per instruction set
    "data": {"base/"},
    "model": {"base/", "data/", "kernels/kernels.h"},
    "training": {"base/", "data/", "model/", "kernels/kernels.h"},
    "python": {"base/", "data/", "model/", "training/", "kernels/kernels.h"},
}

# Standard headers that leave no code behind; the linker might keep others' in its AVX-512 form.
HARMLESS_IN_KERNELS = {"cstddef", "cstdint", "immintrin.h", "smmintrin.h", "arm_neon.h"}

# The part of kernels/ that is compiled for the oldest CPU alone.
PORTABLE_KERNEL_FILES = {"select.cpp", "amx_support.h", "amx_support.cpp", "tile_model.h", "tile_model.cpp"}

# Those that only declare: no code of theirs can be kept in the wrong form.
KERNEL_DECLARATIONS = {"kernels.h", "tile_level.h", "tile_shapes.h"}

INTRINSIC = re.compile(
    r"\b_mm\d*_\w+|\b__m(64|128|256|512)\w*|\bv[a-z]+\d*q?_[fsu](8|16|32|64)\b|__builtin_ia32"
)
INTRINSIC_HEADER = re.compile(r"\w*mmintrin\.h|arm_\w+\.h|x86intrin\.h")


def sources() -> list[Path]:
    found = sorted(p for p in CPP.rglob("*") if p.suffix in {".h", ".cpp"})
    assert len(found) > 30
    return found


def name_of(source: Path) -> str:
    return source.relative_to(CPP).as_posix()


def floor_of(source: Path) -> str:
    return source.relative_to(CPP).parent.as_posix()


def code_of(source: Path) -> str:
    """Return the text without comments, and without the contents of strings."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    text = source.read_text(encoding="utf-8")
    lines = []
    for line in re.sub(pattern, lambda m: m[0] if m[0][0] == '"' else "", text, flags=re.DOTALL).splitlines():
        lines.append(line if line.lstrip().startswith("#") else re.sub(r'"(?:\\.|[^"\\])*"', '""', line))
    return "\n".join(lines)


def includes(source: Path) -> Iterator[tuple[str, str]]:
    """Yield (delimiter, header)."""
    yield from re.findall(r'^\s*#\s*include\s*(["<])([^">]+)[">]', code_of(source), flags=re.MULTILINE)


@pytest.mark.parametrize("source", sources(), ids=name_of)
def test_includes_point_down(source: Path) -> None:
    floor = floor_of(source)
    allowed = MAY_INCLUDE[floor]
    for delimiter, header in includes(source):
        if delimiter == "<":
            assert not (CPP / header).exists(), f"{header} is ours: quotes, not angle brackets"
            continue
        # By the path from cpp/, so that a reader sees the floor.
        assert (CPP / header).is_file(), header
        here = header.startswith(f"{floor}/")
        assert here or any(header == a or (a.endswith("/") and header.startswith(a)) for a in allowed), header


def test_floors_are_all_known() -> None:
    assert {floor_of(source) for source in sources()} == set(MAY_INCLUDE)


def test_kernels_are_included_by_kernels_alone() -> None:
    for source in sources():
        inner = {h for _, h in includes(source) if h.startswith("kernels/") and h != "kernels/kernels.h"}
        assert floor_of(source).startswith("kernels") or not inner, (name_of(source), inner)


def test_kernels_include_no_library_code() -> None:
    for source in (CPP / "kernels").rglob("*.*"):
        if source.name in PORTABLE_KERNEL_FILES:
            continue
        headers = {header for delimiter, header in includes(source) if delimiter == "<"}
        assert headers <= HARMLESS_IN_KERNELS, (name_of(source), headers)
        assert "std::" not in re.sub(r"std::u?int\d+_t", "", code_of(source)), name_of(source)


def test_every_kernel_file_is_in_the_namespace_of_its_isa() -> None:
    for source in (CPP / "kernels").glob("*.*"):
        if source.name in KERNEL_DECLARATIONS | PORTABLE_KERNEL_FILES:
            continue
        code = code_of(source)
        assert "namespace diabolo::kernels::DIABOLO_ISA_NAMESPACE {" in code, name_of(source)
        assert re.search(r"^namespace \{$", code, flags=re.MULTILINE), name_of(source)


def test_pybind11_stands_on_one_floor() -> None:
    for source in sources():
        binds = any(header.startswith("pybind11/") or header == "Python.h" for _, header in includes(source))
        assert floor_of(source) == "python" or not binds, name_of(source)


def test_openmp_stands_in_one_file() -> None:
    for source in sources():
        code = code_of(source)
        knows = "omp.h" in {header for _, header in includes(source)}
        directives = re.findall(r"#\s*pragma\s+omp", code)
        calls = re.findall(r"\bomp_\w+\s*\(", code)
        if name_of(source) == "base/team.cpp":
            assert knows
            assert directives
        else:
            assert not knows, name_of(source)
            assert not directives + calls, name_of(source)


def test_threads_are_made_by_openmp_alone() -> None:
    for source in sources():
        assert not {header for _, header in includes(source)} & {"thread", "future", "pthread.h", "execution"}


def test_intrinsics_stand_in_few_files() -> None:
    """vec.h wraps them; the control word and the pause of a spinning thread are no arithmetic."""
    homes = {"kernels/vec.h", "base/float_state.h", "base/team.cpp"}
    for source in sources():
        headers = {header for _, header in includes(source) if INTRINSIC_HEADER.fullmatch(header)}
        used = {match[0] for match in INTRINSIC.finditer(code_of(source))}
        if name_of(source) in homes:
            continue
        assert not headers, (name_of(source), headers)
        assert not used, (name_of(source), used)
    assert INTRINSIC.search(code_of(CPP / "kernels/vec.h"))
    assert {m[0] for m in INTRINSIC.finditer(code_of(CPP / "base/team.cpp"))} == {"_mm_pause"}
    control = {m[0] for m in INTRINSIC.finditer(code_of(CPP / "base/float_state.h"))}
    assert control == {"_mm_getcsr", "_mm_setcsr"}


def test_weights_meet_no_libm() -> None:
    """libm's last bit differs between machines. A square root is correctly rounded everywhere."""
    harmless = {"sqrt", "isfinite", "isnan", "isinf", "abs", "fabs"}
    elementary = re.compile(
        r"\b(?:std::)?((?:exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|tan|tanh|sinh|cosh|erf|erfc|cbrt|hypot"
        r"|lgamma|tgamma|atan|atan2|asin|acos)[fl]?)\s*\("
    )
    for source in sources():
        if floor_of(source) == "kernels":
            continue  # these are our own, and may not include <cmath>
        assert {m[1] for m in elementary.finditer(code_of(source))} <= harmless, name_of(source)


def test_headers_say_pragma_once_and_files_what_they_hold() -> None:
    for source in sources():
        text = source.read_text(encoding="utf-8")
        assert text.startswith("// "), name_of(source)
        assert source.suffix != ".h" or "\n#pragma once\n" in text, name_of(source)


# ------------------------------------------------------------------------------------------------------------
# Python
# ------------------------------------------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    """Return the package's modules by their full names."""
    found = {
        ".".join(["diabolo", *path.relative_to(PYTHON).with_suffix("").parts]): path
        for path in PYTHON.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in sorted(found.items())}


def imports(module: Path) -> Iterator[tuple[str, bool]]:
    """Yield (full name, whether it is imported as soon as the module is)."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    later = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(outer)
        for inner in ast.walk(outer)
    }
    known = {*modules(), "diabolo._core"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node not in later) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: imports by full names"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module), node not in later


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_importing_diabolo_imports_little() -> None:
    """numpy and the standard library: optional packages, and slow ones, wait until they are used."""
    # All that is public is loaded at its first mention; most programs mention this.
    waiting, imported = ["diabolo", "diabolo._autoencoder"], set()
    outside = set()
    while waiting:
        name = waiting.pop()
        if name in imported:
            continue
        imported.add(name)
        for other, at_once in imports(modules()[name]):
            assert name != "diabolo" or other not in modules() or not at_once
            if other in modules():
                waiting += [other] * at_once
            elif at_once and other != "diabolo._core":
                outside.add(other.partition(".")[0])
    assert outside - set(sys.stdlib_module_names) == {"numpy"}


def test_python_imports_point_down() -> None:
    """No cycles, so nothing below knows the estimators, or the package itself."""
    graph = {name: {other for other, _ in imports(path)} & set(modules()) for name, path in modules().items()}
    assert graph["diabolo"]
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for below in graph[name]:
                visit(below, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
