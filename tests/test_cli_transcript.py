"""The command line's page: its session runs again, and names every command and kind."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from cli_helpers import own_folder
from diabolo.__main__ import main
from diabolo._cli_options import KINDS

DOCUMENT = Path(__file__).parents[1] / "docs" / "command-line.md"
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?")
__all__ = ["own_folder"]  # a fixture
pytestmark = pytest.mark.usefixtures("own_folder")


def sessions() -> list[tuple[str, str]]:
    """Return the document's commands and what they print, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_the_documented_session(tmp_path: Path) -> None:
    """Figures may differ in the last digits, on a processor without fused multiply-add."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "diabolo"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom diabolo.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    paths = os.pathsep.join([str(Path(diabolo.__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths}
    assert len(sessions()) > 8
    for command, expected in sessions():
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            check=False,
        )
        assert NUMBER.sub("#", done.stdout) == NUMBER.sub("#", expected), command
        np.testing.assert_allclose(
            [float(number) for number in NUMBER.findall(done.stdout)],
            [float(number) for number in NUMBER.findall(expected)],
            rtol=1e-3,
            err_msg=command,
        )


def test_every_command_is_documented(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    ([a-z]+)", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        assert f"| `{command}" in DOCUMENT.read_text("utf-8")
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert stopped.value.code == 0


def test_every_kind_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in text, kind
