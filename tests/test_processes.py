"""Training beside other threads, after a fork, and on data larger than the memory it may take."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diabolo import AutoEncoder


def test_the_gil_is_released(X: Any) -> None:
    data = np.tile(X, (500, 1))
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    started = time.monotonic()
    AutoEncoder(16, hidden_layer_sizes=(64,), epochs=3, batch_size=32, n_jobs=1, random_state=0).fit(data)
    seconds = time.monotonic() - started
    done.set()
    thread.join()
    # A thread that had to wait for epochs would tick a few times.
    assert ticks > 0.1 * seconds / 0.001


def test_threads_predict_while_another_fits(X: Any) -> None:
    ae = AutoEncoder(2, epochs=3, random_state=0).fit(X)
    expected = ae.reconstruct(X)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        fitting = pool.submit(AutoEncoder(2, epochs=200, random_state=1).fit, X)
        results = list(pool.map(lambda _: ae.reconstruct(X), range(100)))
        fitting.result(60)
    assert all(np.array_equal(result, expected) for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_works(X: Any) -> None:
    ae = AutoEncoder(2, hidden_layer_sizes=(5,), epochs=3, random_state=0)
    expected = ae.fit(X).get_weights()  # the parent's threads are there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)  # to die of, should it hang
        status = 1
        try:
            ae.reconstruct(X)
            again = AutoEncoder(2, hidden_layer_sizes=(5,), epochs=3, random_state=0).fit(X).get_weights()
            status = 0 if all(np.array_equal(again[name], expected[name]) for name in expected) else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ae.fit(X)


@pytest.mark.parametrize("shuffle", ["blocks", "True"])
def test_a_large_memmap_is_not_copied(shuffle: str, tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    path = tmp_path / "large.bin"
    rows, features = 300_000, 1000
    with open(path, "wb") as file:
        file.truncate(rows * features)  # sparse: it takes no room on the disk
    code = f"""if True:
        import threading
        import numpy as np
        from diabolo import AutoEncoder

        def anonymous():
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))

        X = np.memmap({str(path)!r}, np.uint8, "r", shape=({rows}, {features}))
        before = anonymous()
        highest = 0
        done = threading.Event()
        def watch():
            global highest
            while not done.wait(0.01):
                highest = max(highest, anonymous())
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        AutoEncoder(4, epochs=1, shuffle={"'blocks'" if shuffle == "blocks" else True}, scale="minmax",
                    validation_fraction=0.1).fit(X)
        done.set()
        thread.join()
        print(highest - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300
    )
    assert int(done.stdout) < 100  # MB, of 300
