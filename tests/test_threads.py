"""One estimator, many threads: readers see a model whole, the old one or the new; with and without a GIL."""

import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from diabolo import AutoEncoder

READERS = 4


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_importing_leaves_the_lock_off() -> None:
    program = "import sys, diabolo; sys.exit(sys._is_gil_enabled())"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_readers_while_weights_are_published(X: Any) -> None:
    two = [AutoEncoder(2, hidden_layer_sizes=(5,), epochs=1, random_state=seed).fit(X) for seed in (0, 1)]
    weights = [ae.get_weights() for ae in two]
    expected = [(ae.transform(X), ae.score_samples(X)) for ae in two]
    ae = AutoEncoder(2, hidden_layer_sizes=(5,), epochs=1, random_state=0, n_jobs=1).fit(X)
    begin, done = threading.Barrier(READERS + 1), threading.Event()

    def read() -> int:
        begin.wait()
        seen = 0
        while not done.is_set() or seen == 0:
            codes, scores = ae.transform(X), ae.score_samples(X)
            assert any(np.array_equal(codes, one) for one, _ in expected)
            assert any(np.array_equal(scores, one) for _, one in expected)
            seen += 1
        return seen

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read) for _ in range(READERS)]
        begin.wait()
        try:
            for round_ in range(200):
                ae.set_weights(weights[round_ % 2])
        finally:
            done.set()
        assert all(reader.result(60) > 0 for reader in readers)


def test_savers_of_one_file(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    two = [AutoEncoder(2, epochs=1, random_state=seed).fit(X) for seed in (0, 1)]
    expected = [ae.transform(X) for ae in two]
    two[0].save(path)

    def save(ae: AutoEncoder) -> None:
        for _ in range(20):
            ae.save(path)

    with ThreadPoolExecutor(3) as pool:
        savers = [pool.submit(save, ae) for ae in two]
        while not all(saver.done() for saver in savers):
            codes = diabolo.load(path).transform(X)
            assert any(np.array_equal(codes, one) for one in expected)
        for saver in savers:
            saver.result()
    assert list(tmp_path.iterdir()) == [path]


def test_fits_of_many_estimators(X: Any) -> None:
    def fitted(seed: int) -> AutoEncoder:
        return AutoEncoder(2, hidden_layer_sizes=(5,), epochs=2, random_state=seed).fit(X)

    expected = [fitted(seed).transform(X) for seed in range(6)]
    with ThreadPoolExecutor(READERS) as pool:
        for found, one in zip(pool.map(fitted, range(6)), expected, strict=True):
            np.testing.assert_array_equal(found.transform(X), one)
