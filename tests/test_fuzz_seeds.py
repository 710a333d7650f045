"""Hostile models, and what fuzzing has found, are read by both readers: as models, or refused with a word."""

import resource
import subprocess
import time
from pathlib import Path

import pytest

import diabolo
from core_helpers import native_program
from hostile_models import HOSTILE_MODELS, good_model

SEEDS = {path.name: path.read_bytes() for path in (Path(__file__).parent / "fuzz").glob("seeds/*")}
FILES = {**HOSTILE_MODELS, **SEEDS}
MEMORY = 1 << 30  # of address space, most of which the library and its threads take


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def test_one_that_is_not_hostile(tmp_path: Path) -> None:
    """So that the others are refused for what is hostile in them."""
    path = tmp_path / "model"
    path.write_bytes(good_model())
    assert diabolo.load(path).n_features_in_ == 3
    assert subprocess.run([native_program("load_model"), path], input=b"", check=False).returncode == 0


@pytest.mark.parametrize("name", FILES)
def test_cpp(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(FILES[name])
    begin = time.monotonic()
    done = subprocess.run(
        [native_program("load_model"), path], input=b"", capture_output=True, preexec_fn=limited, check=False
    )
    assert time.monotonic() - begin < 5.0  # far less, but that machines are busy
    assert done.returncode == 4
    assert done.stderr.decode().startswith(f"{path}: ")


@pytest.mark.parametrize("name", FILES)
def test_python(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(FILES[name])
    with pytest.raises(diabolo.ModelFileError, match="model: "):
        diabolo.load(path)
