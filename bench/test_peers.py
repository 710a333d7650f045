"""The benchmark compares equal work: all peers, from the same weights, go through the same losses."""

import numpy as np
import pytest

from environment import environment
from peers import LIBRARIES, Task
from peers.diabolo import DiaboloTrainer
from peers.numpy import NumpyTrainer
from turns import AGREEMENT, DifferentWorkError, Missing, open_side, reference_losses

NETWORKS = pytest.mark.parametrize("widths", [(20, 7, 20), (32, 16, 8, 16, 32)], ids=str)


@NETWORKS
def test_numpy_is_a_reference(widths: tuple[int, ...]) -> None:
    """The last batch is not full, which the comparison itself avoids."""
    task = Task(widths, batch_size=64, threads=1)
    X = np.random.default_rng(0).random((3 * 64 + 40, widths[0]), dtype=np.float32)
    ours, theirs = DiaboloTrainer(task), NumpyTrainer(task)
    for trainer in (ours, theirs):
        trainer.start(X, shuffle=False)
    for _ in range(20):
        assert ours.epoch() == pytest.approx(theirs.epoch(), rel=AGREEMENT["float32"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_peers_do_the_same_work(library: str, precision: str) -> None:
    task = Task((20, 7, 20), batch_size=32, threads=1, precision=precision)
    expected = reference_losses(task, 8 * 32, None)
    try:
        # Raises if losses differ. What is compiled takes its time: the first form stands for all.
        side = open_side("test", library, task, 8 * 32, None, expected, first_form_only=True)
    except Missing as missing:
        pytest.skip(str(missing))
    if side is None:
        pytest.skip(f"{library} has no {precision}")
    side.worker.close()


def test_other_work_is_refused() -> None:
    task = Task((20, 7, 20), batch_size=32, threads=1)
    wrong = 1.01 * reference_losses(task, 8 * 32, None)
    with pytest.raises(DifferentWorkError):
        open_side("test", "numpy", task, 8 * 32, None, wrong)


def test_environment_forces_an_instruction_set() -> None:
    assert environment(2, "avx2")["DIABOLO_ISA"] == "avx2"
    assert "DIABOLO_ISA" not in environment(2, None)
