"""README and docs: their programs run, their links lead somewhere, and what they list is what there is."""

import inspect
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import diabolo
from diabolo._layers import ACTIVATIONS, INITIALIZERS
from diabolo._parameters import LOSSES
from diabolo.optimizers import BY_NAME as OPTIMIZERS
from diabolo.schedules import BY_NAME as SCHEDULES

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = ROOT / "docs" / "user-guide.md"

BLOCK = re.compile(r"^```(?P<language>[\w{}-]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|work|tmp|Users|mnt)/")


class Block(NamedTuple):
    line: int  # of its first line of code
    code: str


def blocks(document: Path, language: str) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start("code")) + 1, found["code"])
        for found in BLOCK.finditer(text)
        if found["language"] == language
    ]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """Return the names under which headings can be linked to, as GitHub makes them."""
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_documents() -> None:
    names = {name_of(document) for document in DOCUMENTS}
    assert {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/user-guide.md",
        "docs/cpp-library.md",
    } <= names


# ---- What they show ----


@pytest.mark.parametrize(
    "document", [document for document in DOCUMENTS if blocks(document, "python")], ids=name_of
)
def test_python_blocks_run(document: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks(document, "python"):
        # Empty lines before it, so that a traceback has the document's own line numbers.
        program = "\n" * (block.line - 1) + block.code
        exec(compile(program, name_of(document), "exec"), names)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_cpp_program_fits_the_headers(tmp_path: Path) -> None:
    programs = blocks(ROOT / "docs" / "cpp-library.md", "cpp")
    assert programs
    for number, block in enumerate(programs):
        source = tmp_path / f"{number}.cpp"
        source.write_text(block.code, encoding="utf-8")
        options = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "cpp")]
        done = subprocess.run(["g++", *options, str(source)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_readme_example_is_short() -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert len(example.code.splitlines()) == 8


def test_readme_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    for extra, module in (("demo", "diabolo demo"), ("test", "pytest")):
        command = (
            f"python3 -m venv .venv && .venv/bin/pip install '.[{extra}]' && .venv/bin/python -m {module}"
        )
        assert lines.count(command) == 1
        assert extra in extras
        assert lines.index(command) < 25  # on the first screen


# ---- Where they lead ----


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert os.path.commonpath([file, ROOT]) == str(ROOT), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_paths_of_one_machine(document: Path) -> None:
    assert not MACHINE_PATH.search(document.read_text(encoding="utf-8"))


# ---- What they list ----


def table_rows() -> list[list[str]]:
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def test_guide_has_every_parameter_and_its_default() -> None:
    listed = {
        name: cells[1]
        for cells in table_rows()
        for name in re.findall(r"`(\w+)`", cells[0])
        if cells[1].startswith("`")
    }
    for name, parameter in inspect.signature(diabolo.AutoEncoder).parameters.items():
        assert name in listed, name
        assert listed[name].strip("`").replace('"', "'") == repr(parameter.default), name


def test_guide_has_every_name() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for name in (*ACTIVATIONS, *INITIALIZERS, *LOSSES, *OPTIMIZERS, *SCHEDULES):
        assert f'`"{name}"`' in text, name
    fitted = [
        name
        for name, member in inspect.getmembers(diabolo.AutoEncoder)
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    ]
    bases = ("Optimizer", "Schedule")
    for name in (*fitted, *(name for name in diabolo.__all__ if name not in bases)):
        assert re.search(rf"\b{name}\b", text), name


def test_guide_has_every_entry_of_the_history(X: Any) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for name in diabolo.AutoEncoder(2, epochs=1, validation_fraction=0.5).fit(X).history_:
        assert f'`"{name}"`' in text, name


def test_guide_has_the_defaults_of_objects() -> None:
    text = GUIDE.read_text(encoding="utf-8").replace("1e-8", "1e-08").replace("1e-7", "1e-07")
    for cls in (*OPTIMIZERS.values(), *SCHEDULES.values()):
        assert f"`{cls()!r}`" in text, cls


def test_reference_has_every_name() -> None:
    """Sphinx would not miss one that is left out."""
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(diabolo.__all__)


def test_index_leads_to_every_page() -> None:
    """In its visible part, for those who read it on a code-hosting site."""
    text = BLOCK.sub("", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    targets = set(LINK.findall(text))
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name in targets or page.name == "index.md", page.name


def test_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{diabolo.__version__}] - " in text
