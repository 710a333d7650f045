"""The examples run, and end as they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from every_kind import public_estimators

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(*command: object, folder: Path, stdin: str = "") -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_score_in_c(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / "score_in_c", folder)
    run(sys.executable, "export_model.py", folder=folder)
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2"]
    run("gcc", *options, "score.c", "-o", "score", "-lm", folder=folder)
    rows = (folder / "rows.txt").read_text()
    found = re.fullmatch(
        r"(\d+) rows, (\d+) of them outliers; all scores are those of Python\n",
        run("./score", folder=folder, stdin=rows),
    )
    assert found
    assert int(found[1]) == 297
    assert 15 <= int(found[2]) <= 60  # some 30 are turned

    done = subprocess.run(["./score"], cwd=folder, input="1 2 x", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "row 0, column 2 is no number\n")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_every_kind(tmp_path: Path) -> None:
    """It compares scores itself; here, that there is none which it leaves out."""
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    program = EXAMPLES / "every_kind" / "every_kind.py"
    lines = run(sys.executable, program, "files", folder=tmp_path).splitlines()
    assert {line.split()[1] for line in lines} == set(public_estimators())
    assert all(re.search(r" C \de-\d\d  ONNX \de-\d\d$", line) for line in lines)
    written = {f"{line.split()[0]}{suffix}" for line in lines for suffix in (".h", ".onnx", "")}
    assert {path.name for path in (tmp_path / "files").iterdir()} == written
    assert [path.name for path in tmp_path.iterdir()] == ["files"]
