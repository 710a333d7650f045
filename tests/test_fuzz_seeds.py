"""What fuzzing has found, and seeds like it, are read for ever: as models, or refused with a word, by both readers."""

import resource
import subprocess
import time
from pathlib import Path

import pytest

import diabolo
from core_helpers import native_program

SEEDS = sorted((Path(__file__).parent / "fuzz" / "seeds").iterdir())
MEMORY = 1 << 30  # of address space; the library and its threads take most of it


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_cpp(seed: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    begin = time.monotonic()
    done = subprocess.run(
        [native_program("load_model"), seed], input=b"", capture_output=True, preexec_fn=limited, check=False
    )
    assert done.returncode in (0, 4), done.stderr.decode()
    if done.returncode == 4:
        assert done.stderr.decode().startswith(f"{seed}: ")
    assert time.monotonic() - begin < 5.0  # far less, but that machines are busy


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_python(seed: Path) -> None:
    try:
        diabolo.load(seed)
    except diabolo.ModelFileError as error:
        assert str(seed) in str(error)
