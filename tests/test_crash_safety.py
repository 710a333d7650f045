"""Saving while everything goes wrong: killed at any moment, on a full disk, with system calls that fail."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from diabolo import AutoEncoder

SAVE = "import sys, diabolo; diabolo.load(sys.argv[1]).save(sys.argv[2])"


@pytest.fixture
def old_and_new(X: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Return a file to be replaced, and the model to replace it with."""
    for name, seed in (("old", 0), ("new", 1)):
        AutoEncoder(2, epochs=1, random_state=seed).fit(X).save(tmp_path / name)
    return tmp_path / "old", tmp_path / "new"


def saving(
    new: Path, path: Path, *wrapper: str, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Save a model over a file in another process."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(diabolo.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",  # those would be written too
    }
    return subprocess.run(
        [*wrapper, sys.executable, "-c", SAVE, str(new), str(path)],
        env=environment,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_untouched(path: Path, before: bytes) -> None:
    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} <= {"old", "new", "log"}


def test_killed_while_saving(tmp_path: Path) -> None:
    """200 times, most of them in the middle of a write: there is the old model or the new one, whole."""
    random_rows = np.random.default_rng(0).random((4, 700)).astype(np.float32)
    models = [AutoEncoder(500, epochs=1, random_state=seed, n_jobs=1).fit(random_rows) for seed in (0, 1)]
    codes = [model.transform(random_rows) for model in models]
    path = tmp_path / "model"
    models[0].save(path)
    moments = random.Random(0)
    in_the_middle = 0
    found = [0, 0]
    for attempt in range(200):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
            child = os.fork()
        if child == 0:
            try:
                while True:
                    for model in reversed(models):
                        model.save(path)
            finally:
                os._exit(1)
        if attempt % 4 == 0:
            time.sleep(moments.uniform(0.0, 0.03))
        else:  # most of the time of a save is spent before there is anything to tear: wait for that
            deadline = time.monotonic() + 10
            while not any(tmp_path.glob(".diabolo-*.tmp")) and time.monotonic() < deadline:
                pass
            time.sleep(moments.uniform(0.0, 0.001))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        for leftover in tmp_path.glob(".diabolo-*.tmp"):
            in_the_middle += 1
            leftover.unlink()
        now = diabolo.load(path).transform(random_rows)
        found[[np.array_equal(now, each) for each in codes].index(True)] += 1
    print(f"{in_the_middle} of 200 in the middle of a write; left as model {found}")
    assert in_the_middle > 100
    assert min(found) > 10


def test_full_disk(old_and_new: tuple[Path, Path]) -> None:
    """A limit on the size of files fails as a full disk does, after some bytes."""
    old, new = old_and_new
    before = old.read_bytes()
    for limit in (0, 10, len(before) - 1):
        done = saving(new, old, limit=limit)
        assert re.search(r"^OSError: \[Errno \d+\] .*old'$", done.stderr, re.MULTILINE), done.stderr
        assert_untouched(old, before)
    assert saving(new, old, limit=len(before) + 4096).returncode == 0
    assert old.read_bytes() != before


# ---- What the system is asked for ----


def _strace() -> str:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this process may not trace others")
    return strace


def test_the_file_is_flushed_before_it_is_renamed_and_the_folder_after(
    old_and_new: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = old_and_new
    log = tmp_path / "log"
    calls = "openat,write,fsync,renameat,renameat2,unlinkat"
    assert saving(new, old, _strace(), "-f", "-y", "-e", f"trace={calls}", "-o", str(log)).returncode == 0
    text = log.read_text()
    folder, temporary = re.escape(str(tmp_path)), r"[^>\"]*/?\.diabolo-[^>\"]*\.tmp"
    created = re.search(rf'openat\(\d+<{folder}>, "\.diabolo-.*O_WRONLY\|O_CREAT\|O_EXCL', text)
    assert created, text
    order = [
        rf"write\(\d+<{temporary}>",
        rf"fsync\(\d+<{temporary}>\) += 0",
        rf'renameat2?\(\d+<{folder}>, "\.diabolo-[^"]*", \d+<{folder}>, "old".*\) += 0',
        rf"fsync\(\d+<{folder}>\) += 0",
    ]
    at = created.end()
    for call in order:
        following = re.compile(call).search(text, at)
        assert following, (call, text[at:])
        at = following.end()
    assert not re.search(rf"write\(\d+<{temporary}>", text[text.index("fsync(") :])


@pytest.mark.parametrize(
    ("call", "error"),
    [("write", "ENOSPC"), ("write", "EIO"), ("fsync", "EIO"), ("renameat", "EACCES"), ("openat", "EROFS")],
)
def test_calls_that_fail(call: str, error: str, old_and_new: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = old_and_new
    before = old.read_bytes()
    # Only calls on the folder and the files in it, of which reading the model opens one.
    path = ["-P", str(tmp_path)] if call in ("openat", "renameat") else []
    which = f"inject={call}:error={error}:when={2 if call == 'openat' else 1}"
    done = saving(new, old, _strace(), "-f", "-o", os.devnull, *path, "-e", f"trace={call}", "-e", which)
    assert done.returncode == 1
    assert "Error: [Errno " in done.stderr.splitlines()[-1], done.stderr
    assert_untouched(old, before)
