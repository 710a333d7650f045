"""What verbose shows, and where: lines in a log, a bar on a terminal, nothing that stops the training."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diabolo import AutoEncoder

FIT = """if True:
    import sys
    import numpy as np
    from diabolo import AutoEncoder
    X = np.random.default_rng(0).random((1000, 8))
    ae = AutoEncoder(2, epochs=EPOCHS, verbose=VERBOSE, validation_fraction=0.1, random_state=0).fit(X)
    print(ae.n_iter_)
"""


def code(verbose: int, epochs: int = 5) -> str:
    return FIT.replace("VERBOSE", str(verbose)).replace("EPOCHS", str(epochs))


def stderr_of(program: str, **options: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, **options
    )
    return done.stderr


def test_silence_by_default() -> None:
    assert stderr_of(code(0)) == ""


def test_lines_of_every_epoch_in_a_log() -> None:
    text = stderr_of(code(2))
    assert "\r" not in text
    lines = text.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"epoch {i}/5" for i in range(1, 6)]
    for line in lines:
        assert "loss 0." in line
        assert "val_loss 0." in line
        assert line.endswith("rows/s")


def test_lines_at_a_bounded_pace_in_a_log() -> None:
    text = stderr_of(code(1, epochs=300))
    assert "\r" not in text
    lines = text.splitlines()
    assert lines[0].startswith("epoch 1/300: loss ")
    assert lines[-1].startswith("epoch 300/300: loss ")
    assert len(lines) < 100


STOPPED = """if True:
    import numpy as np
    from diabolo import AutoEncoder
    X = np.random.default_rng(0).random((1000, 8))
    stop = type("Stop", (), {"on_epoch_end": lambda self, state: state.epoch == 37})()
    AutoEncoder(2, epochs=300, verbose=1, callbacks=[stop], random_state=0).fit(X)
"""


def test_a_log_ends_with_the_last_epoch_that_was_run() -> None:
    lines = stderr_of(STOPPED).splitlines()
    assert lines[-1].startswith("epoch 37/300: loss ")
    assert len(set(lines)) == len(lines)


def on_a_terminal(program: str, columns: int = 120) -> str:
    """Return what a program writes to stderr when that is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(pieces).decode()


def test_a_bar_on_a_terminal() -> None:
    text = on_a_terminal(code(1))
    assert "\r" in text
    last = text.strip().split("\r")[-1]
    assert "epoch 5/5" in last
    assert "100%" in last
    assert "rows/s" in last
    assert "loss 0." in last
    assert "val_loss 0." in last


def test_a_bar_ends_with_the_last_epoch_that_was_run() -> None:
    assert on_a_terminal(STOPPED).strip().split("\r")[-1].startswith("epoch 37/300: ")


def test_lines_on_a_terminal_of_no_width() -> None:
    assert "epoch 5/5: loss 0." in on_a_terminal(code(1), columns=0)


def test_lines_on_a_terminal_where_tqdm_is_missing() -> None:
    text = on_a_terminal("import sys; sys.modules['tqdm'] = None\n" + code(1))
    assert "epoch 5/5: loss 0." in text
    assert "%" not in text


def test_lines_of_every_epoch_on_a_terminal() -> None:
    assert on_a_terminal(code(2)).count("epoch ") == 5


def test_a_bar_in_a_notebook_without_warnings() -> None:
    pretended = """if True:
        import sys, types
        class Shell:
            kernel = object()
            config = {"IPKernelApp": {}}
        sys.modules["IPython"] = types.ModuleType("IPython")
        sys.modules["IPython"].get_ipython = Shell
        sys.modules["IPython"].version_info = (8, 0)
        import warnings
        warnings.simplefilter("error")
    """
    text = stderr_of(pretended + "\n" + code(1))
    assert "epoch 5/5" in text
    assert "100%" in text


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("stderr", ["/dev/full", "closed", "None"])
def test_a_broken_stderr_does_not_stop_the_training(verbose: int, stderr: str) -> None:
    if stderr == "/dev/full" and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    breaks = {
        "/dev/full": "import sys; sys.stderr = open('/dev/full', 'w')",
        "closed": "import sys; sys.stderr.close()",
        "None": "import sys; sys.stderr = None",
    }
    program = breaks[stderr] + "\n" + code(verbose) + "\nimport os; sys.stdout.flush(); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["5"]


def test_verbosity_does_not_change_the_model(X: Any, capfd: Any) -> None:
    weights = [
        AutoEncoder(2, epochs=3, random_state=0, verbose=verbose).fit(X).get_weights()
        for verbose in (0, 1, 2)
    ]
    for others in weights[1:]:
        assert all(np.array_equal(weights[0][name], others[name]) for name in others)
