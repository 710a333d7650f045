"""Threads: fewer than asked for, too many, nested, forked, beside busy neighbours; and the caller's state.

What could hang runs in a process of its own, with an alarm to die of.
"""

from __future__ import annotations

import os
import platform
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import diabolo
from core_helpers import (
    Architecture,
    completed_weights,
    data,
    digest,
    hourglass,
    native_program,
    run,
    trainer,
)
from diabolo import _core

ALARM = 100  # seconds; an idle machine needs one or two

# A step of this network is worth more than seven threads.
SETTING = """
import os, signal, sys, threading, time, warnings
signal.alarm({alarm})
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
import numpy as np
from core_helpers import completed_weights, data, digest, hourglass, trainer
from diabolo import _core

ARCHITECTURE = hourglass([150, 200, 40], "gelu")
X = data(1000, 150)

def trained(threads, epochs=2, model=None):
    of = trainer(model or ARCHITECTURE.model(), X, batch_size=64, l2=1e-5, threads=threads)
    for _ in range(epochs):
        assert of.run_epoch(None).outcome == "completed"
    return digest(completed_weights(of))

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            status = 0 if work() else 3
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def script(body: str, **environment: str) -> str:
    """Run Python code after the setting above, in a process of its own; return what it prints."""
    folders = [str(Path(__file__).parent), str(Path(diabolo.__file__).parents[1])]
    code = SETTING.format(alarm=ALARM) + textwrap.dedent(body)
    environment["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    return run([sys.executable, "-c", code], timeout=ALARM + 30.0, **environment)


@pytest.fixture(scope="module")
def expected() -> str:
    """Return the digest that two epochs on one thread give."""
    of = trainer(
        hourglass([150, 200, 40], "gelu").model(), data(1000, 150), batch_size=64, l2=1e-5, threads=1
    )
    for _ in range(2):
        of.run_epoch(None)
    return digest(completed_weights(of))


# ------------------------------------------------------------------------------------------------------------
# Other numbers of threads than asked for
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_NUM_THREADS": "1"},
        {"OMP_WAIT_POLICY": "passive"},
        {"OMP_PROC_BIND": "true"},
    ],
    ids=lambda environment: "=".join(*environment.items()),
)
def test_fewer_threads_than_asked_for(environment: dict[str, str], expected: str) -> None:
    assert script("print(trained(4), trained(2), trained(7))", **environment).split() == [expected] * 3


def test_more_threads_than_processors(expected: str) -> None:
    assert script("print(trained(7), trained(64))").split() == [expected] * 2


def test_beside_busy_neighbours(expected: str) -> None:
    """Threads that spin at a meeting must not keep away the one they wait for."""
    body = """
    import subprocess
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
    try:
        print(trained(7), trained(2))
    finally:
        for neighbour in busy:
            neighbour.kill()
            neighbour.wait()
    """
    assert script(body).split() == [expected] * 2


def test_inside_a_parallel_region() -> None:
    """A C++ program that trains inside regions of its own: one level, two levels, sections, dynamic."""
    output = run([native_program("nested_region")], timeout=150.0)
    assert output.splitlines()[-1] == "ok"
    assert "DIFFERENT" not in output
    assert output.count(": same") == 6


def test_inside_a_parallel_region_under_a_limit() -> None:
    assert "ok\n" in run([native_program("nested_region")], timeout=150.0, OMP_THREAD_LIMIT="3")


def test_pieces_of_a_late_worker_are_done_by_others() -> None:
    assert "WRONG" not in run([native_program("shared_work")], timeout=150.0)


def test_all_threads_or_one_whichever_is_faster() -> None:
    """The choice, from times that are made up."""
    assert "WRONG" not in run([native_program("team_size")])


def test_same_bits_from_stretches_of_either_size() -> None:
    """A run long enough for several trials of one thread alone: the first after eight stretches of 20 ms."""
    architecture = hourglass([64, 48, 16], "relu")
    X = data(20_000, 64)

    def trained(threads: int) -> str:
        of = trainer(architecture.model(), X, batch_size=256, threads=threads)
        for _ in range(40):
            assert of.run_epoch(None).outcome == "completed"
        return digest(completed_weights(of))

    assert trained(3) == trained(1)


def test_in_several_threads_at_once(expected: str) -> None:
    """Each caller has its own team; none of them is the main thread."""
    body = """
    results = []
    callers = [threading.Thread(target=lambda: results.append(trained(3))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    print(*results)
    """
    assert script(body).split() == [expected] * 4


def test_usable_threads() -> None:
    """OMP_NUM_THREADS, else what the affinity leaves."""
    count = "print(_core.usable_threads())"
    assert script(count, OMP_NUM_THREADS="5").strip() == "5"
    assert script(count, OMP_NUM_THREADS="3,2").strip() == "3"
    one = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + count
    for no_wish in ("0", "-2", "many", ""):
        assert script(one, OMP_NUM_THREADS=no_wish).strip() == "1"
    if hasattr(os, "sched_getaffinity") and "OMP_NUM_THREADS" not in os.environ:
        assert 1 <= _core.usable_threads() <= len(os.sched_getaffinity(0))


# ------------------------------------------------------------------------------------------------------------
# Forks
# ------------------------------------------------------------------------------------------------------------


def test_fork_after_training(expected: str) -> None:
    """OpenMP's threads don't follow into a child, which must not wait for them; its own children neither."""
    body = """
    first = trained(2)
    def grandchild():
        return trained(2) == first and in_child(lambda: trained(3) == first) == 0
    print(first, in_child(lambda: trained(4) == first), in_child(grandchild), trained(2))
    """
    assert script(body).split() == [expected, "0", "0", expected]


def test_fork_before_training(expected: str) -> None:
    body = f"""
    print(in_child(lambda: trained(2) == "{expected}"), trained(2))
    """
    assert script(body).split() == ["0", expected]


def test_fork_while_another_thread_trains(expected: str) -> None:
    """The child has the forking thread alone, at any point of the other's step."""
    body = """
    done = threading.Event()
    results = []
    def keep_training():
        while not done.is_set():
            results.append(trained(2))
    other = threading.Thread(target=keep_training)
    other.start()
    statuses = set()
    for _ in range(5):
        time.sleep(0.01)
        statuses.add(in_child(lambda: trained(2) == sys.modules["__main__"].EXPECTED))
    done.set()
    other.join()
    print(*statuses, *set(results))
    """
    assert script(f"EXPECTED = '{expected}'\n" + textwrap.dedent(body)).split() == ["0", expected]


def test_inference_in_a_forked_child() -> None:
    body = """
    model = ARCHITECTURE.model()
    rows = _core.Rows(np.tile(X, (20, 1)))
    before = model.reconstruct(rows, 2)
    def same():
        return np.array_equal(model.reconstruct(rows, 2), before) and rows.find_invalid(0.0, 1.0, 2) is None
    print(in_child(same), same())
    """
    assert script(body).split() == ["0", "True"]


# ------------------------------------------------------------------------------------------------------------
# The caller's own state
# ------------------------------------------------------------------------------------------------------------

ROUND_UP = "0x400000" if platform.machine() in ("aarch64", "arm64") else "0x800"

FLOAT_STATE = f"""
import ctypes
libm = ctypes.CDLL("libm.so.6")
UPWARD = {ROUND_UP}
def denormals_live():
    return bool(np.float32(1e-40) * np.float32(1.0) != 0.0 and np.float64(1e-310) * 0.5 != 0.0)
"""


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_denormals_live_on_after_training(threads: int) -> None:
    """Flushed while phases run, in every worker; the caller's arithmetic, and numpy's, is as it was."""
    body = f"""
    seen = set()
    of = trainer(ARCHITECTURE.model(), data(20_000, 150), batch_size=64, threads={threads})
    of.run_epoch(lambda rows, loss: seen.add(denormals_live()))
    alive = denormals_live()
    model = of.completed_model()
    model.reconstruct(_core.Rows(X), {threads})
    tiny = np.full(100_000, 1e-40, np.float32)
    print(alive, denormals_live(), bool((tiny * np.float32(1.0)).all()), *seen)
    """
    # The last: in the poll hook, called amid the epoch.
    assert script(FLOAT_STATE + textwrap.dedent(body)).split() == ["True"] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_rounding_is_the_callers_own(threads: int, expected: str) -> None:
    """Kept for the caller and seen by its hook; without influence on the weights."""
    body = f"""
    model = ARCHITECTURE.model()
    libm.fesetround(UPWARD)
    result = trained({threads}, model=model)
    kept = libm.fegetround() == UPWARD
    seen = set()
    of = trainer(model, data(20_000, 150), batch_size=64, threads={threads})
    of.run_epoch(lambda rows, loss: seen.add(libm.fegetround() == UPWARD))
    kept = kept and libm.fegetround() == UPWARD
    libm.fesetround(0)
    print(result, kept, *seen)
    """
    assert script(FLOAT_STATE + textwrap.dedent(body)).split() == [expected, "True", "True"]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_denormals_are_flushed_while_phases_run(threads: int) -> None:
    """In every worker: what would be denormal, and cost twenty times as much on many CPUs, is zero."""
    architecture = Architecture([150, 200, 150], ["identity", "identity"])
    model = architecture.model()
    tiny = {name: np.full(shape, 2e-38, np.float32) for name, shape in model.parameter_shapes().items()}
    model = model.with_weights(tiny)
    # Products of 2e-40, whose sum would not be denormal, and a bias that isn't.
    rows = np.full((1000, 150), 0.01, np.float32)
    assert np.all(model.layer_output(_core.Rows(rows), 0, threads) == np.float32(2e-38))
    # A step that halves every kernel; the gradients are zero.
    half = _core.UpdateRule.adam(0.9, 0.999, 1.0, 5.0)
    of = trainer(model, np.zeros((64, 150), np.float32), rule=half, learning_rate=0.1, threads=threads)
    of.run_epoch(None)
    for name, weights in completed_weights(of).items():
        assert np.all(weights == (0.0 if name.endswith(".kernel") else np.float32(2e-38))), name


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_hook_is_called_often_and_by_the_caller(threads: int) -> None:
    """About every 20 ms, inside one step of a large batch as well as between steps."""
    body = f"""
    x = data(40_000, 150)
    for batch_size in (64, len(x)):
        times, callers, progress = [time.perf_counter()], set(), []
        def poll(rows, loss):
            times.append(time.perf_counter())
            callers.add(threading.get_ident())
            progress.append(rows)
        of = trainer(ARCHITECTURE.model(), x, batch_size=batch_size, threads={threads})
        of.run_epoch(poll)
        times.append(time.perf_counter())
        assert callers == {{threading.get_ident()}}
        assert progress == sorted(progress) and 0 <= progress[0] and progress[-1] <= len(x)
        gaps = np.diff(times)
        assert len(gaps) >= 4, "too short an epoch to tell"
        # Each gap is 20 ms and what the machine's other work adds.
        print(np.median(gaps))
    """
    assert all(0.015 <= float(gap) <= 0.1 for gap in script(body).split())
