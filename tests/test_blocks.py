"""Fits on rows in blocks, from any source: as one table, or an error that leaves the last completed epoch."""

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import diabolo
from core_helpers import data
from diabolo import (
    InvalidDataError,
    InvalidParameterError,
)
from diabolo._core import Rows
from diabolo._scaling import fit_scaler, fit_scaler_of_blocks
from estimator_helpers import bits, estimator


class Source:
    """Blocks of the rows of X that can be read again; it counts how often."""

    def __init__(self, X: Any, rows: int) -> None:
        self.X, self.rows, self.readings = X, rows, 0

    def __iter__(self) -> Iterator[Any]:
        self.readings += 1
        return (self.X[i : i + self.rows] for i in range(0, len(self.X), self.rows))


def test_one_block_of_all_rows_is_fit(X: Any) -> None:
    for changes in ({}, {"scale": "standard"}, {"loss": "binary_crossentropy", "optimizer": "rmsprop"}):
        changes = {**changes, "shuffle": False, "batch_size": 30}
        assert bits(estimator(**changes).fit_blocks([X])) == bits(estimator(**changes).fit(X))


def test_blocks_of_whole_batches_are_fit(X: Any) -> None:
    changes = {"shuffle": False, "batch_size": 20, "epochs": 4, "clip_norm": 0.1}
    source = Source(X, 60)
    ae = estimator(**changes).fit_blocks(source, X_val=X[:50])
    assert source.readings == 4
    same = estimator(**changes).fit(X, X_val=X[:50])
    assert bits(ae) == bits(same)
    for name in ("val_loss", "learning_rate"):
        assert ae.history_[name] == same.history_[name]
    np.testing.assert_allclose(ae.history_["loss"], same.history_["loss"], rtol=1e-12)
    assert ae.stop_reason_ == "epochs"


def test_what_may_be_blocks(X: Any) -> None:
    def generator() -> Iterator[Any]:
        yield from (X[:120], X[120:])

    expected = bits(estimator(scale="minmax").fit_blocks([X[:120], X[120:]]))
    for blocks in (generator, lambda: [X[:120], X[120:].tolist()], lambda: iter((X[:120], X[120:]))):
        assert bits(estimator(scale="minmax").fit_blocks(blocks)) == expected
    frames = [pd.DataFrame(X[:120], columns=list("abcdef")), pd.DataFrame(X[120:], columns=list("abcdef"))]
    named = estimator(scale="minmax").fit_blocks(frames)
    assert bits(named) == expected
    assert list(named.feature_names_in_) == list("abcdef")
    once = estimator(epochs=1)
    assert bits(once.fit_blocks(generator())) == bits(estimator(epochs=1).fit_blocks(generator))


def slices(dataset: Any, rows: int = 80) -> Any:
    return lambda: (dataset[begin : begin + rows] for begin in range(0, dataset.shape[0], rows))


@pytest.mark.parametrize("package", ["h5py", "zarr", "pyarrow"])
def test_blocks_of_files(package: str, X: Any, tmp_path: Path) -> None:
    """Read from the disk again for each epoch, by the packages that write them."""
    library = pytest.importorskip(package)
    path = tmp_path / "rows"
    ae = estimator(scale="standard")
    if package == "h5py":
        with library.File(path, "w") as file:
            file["X"] = X
        with library.File(path) as file:
            ae.fit_blocks(slices(file["X"]))
    elif package == "zarr":
        library.save_array(path, X)
        ae.fit_blocks(slices(library.open(path, mode="r")))
    else:
        parquet = importlib.import_module("pyarrow.parquet")
        parquet.write_table(library.table({name: X[:, i] for i, name in enumerate("abcdef")}), path)
        file = parquet.ParquetFile(path)
        ae.fit_blocks(lambda: file.iter_batches(batch_size=80))
        assert list(ae.feature_names_in_) == list("abcdef")
        parquet.write_table(library.table({"a": [1.0, None], "b": [2.0, 3.0]}), path)
        with pytest.raises(InvalidDataError, match=r"a block must not contain NaN .* row 1, column 0"):
            estimator().fit_blocks(lambda: parquet.ParquetFile(path).iter_batches())
    assert bits(ae) == bits(estimator(scale="standard").fit_blocks([X[:80], X[80:160], X[160:]]))


def test_shuffled_blocks_differ_from_each_other(X: Any) -> None:
    twice = [X[:100], X[:100]]
    orders = []
    for seed in (0, 1):
        ae = estimator(random_state=seed, epochs=1, batch_size=10).fit_blocks(twice)
        orders.append(bits(ae))
    assert orders[0] != orders[1]
    for threads in (1, 2):
        ae = estimator(random_state=0, epochs=1, batch_size=10, n_jobs=threads).fit_blocks(twice)
        assert bits(ae) == orders[0]


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_the_scaling_of_blocks_is_that_of_all_rows(scale: str) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(1000, 5)) * [1, 1e-3, 1e6, 0, 1] + [0, 5, 1e9, 0.1, -3]
    X[:300, 4] += 100
    blocks = [Rows(np.ascontiguousarray(X[a:b])) for a, b in ((0, 300), (300, 301), (301, 1000))]
    joined, whole = fit_scaler_of_blocks(scale, blocks, 1), fit_scaler(scale, Rows(X), 1)
    assert joined is not None
    assert whole is not None
    for one, other in zip(joined, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert fit_scaler_of_blocks(None, blocks, 1) is None


def test_early_stopping_and_callbacks_of_blocks(X: Any) -> None:
    changes = {"shuffle": False, "batch_size": 25, "epochs": 60, "early_stopping": True, "patience": 2}
    changes["learning_rate"] = 0.05
    ae = estimator(**changes).fit_blocks(Source(X, 100), X_val=X[::3])
    same = estimator(**changes).fit(X, X_val=X[::3])
    assert ae.stop_reason_ == same.stop_reason_ == "early_stopping"
    assert ae.n_iter_ == same.n_iter_
    assert bits(ae) == bits(same)


def test_lines_of_blocks(X: Any, capsys: Any) -> None:
    estimator(verbose=2).fit_blocks(Source(X, 100))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("rows/s" in line for line in lines)


@pytest.mark.parametrize("epochs_before", [0, 2])
@pytest.mark.parametrize("kind", ["raises", "width", "names", "nan", "nothing", "interrupt"])
def test_blocks_that_fail_half_way(kind: str, epochs_before: int, X: Any) -> None:
    """The estimator is that of the last completed epoch, or as it was."""
    frame = pd.DataFrame(X, columns=list("abcdef"))
    readings = 0

    def blocks() -> Iterator[Any]:
        nonlocal readings
        readings += 1
        broken = readings > epochs_before
        if broken and kind == "nothing":
            return
        yield frame[:100]
        if not broken:
            yield frame[100:]
        elif kind == "raises":
            raise OSError("the disk is gone")
        elif kind == "interrupt":
            raise KeyboardInterrupt
        elif kind == "width":
            yield frame[["a", "b"]].to_numpy()
        elif kind == "names":
            yield frame.rename(columns={"c": "x"})
        else:
            yield frame * math.nan

    errors = {"raises": OSError, "interrupt": KeyboardInterrupt}
    for ae in (estimator(epochs=5), estimator(epochs=5).fit(frame)):
        readings = 0
        before = bits(ae) if ae.__sklearn_is_fitted__() else None
        with pytest.raises(errors.get(kind, InvalidDataError)):
            ae.fit_blocks(blocks)
        if epochs_before:
            assert (ae.stop_reason_, ae.n_iter_) == ("interrupted", epochs_before)
            assert bits(ae) == bits(estimator(epochs=2).fit_blocks([frame[:100], frame[100:]]))
        else:
            assert (bits(ae) if before is not None else None) == before
            assert ae.__sklearn_is_fitted__() == (before is not None)


def test_blocks_that_diverge_leave_the_estimator_as_it_was(X: Any) -> None:
    ae = estimator().fit(X)
    before = bits(ae)
    ae.set_params(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(diabolo.TrainingDivergedError, match="epoch 1, step"):
        ae.fit_blocks([X, X])
    assert bits(ae) == before


@pytest.mark.parametrize(
    ("changes", "blocks", "error", "words"),
    [
        (
            {},
            lambda X: iter([X]),
            InvalidParameterError,
            "epochs must be 1 when blocks is an iterator.* Got 3",
        ),
        (
            {"epochs": 1, "scale": "minmax"},
            lambda X: iter([X]),
            InvalidParameterError,
            "scale must be None when",
        ),
        (
            {"validation_fraction": 0.1},
            lambda X: [X],
            InvalidParameterError,
            "validation_fraction must be 0 for",
        ),
        (
            {"early_stopping": True},
            lambda X: [X],
            InvalidParameterError,
            "early_stopping must be False unless",
        ),
        (
            {},
            lambda X: 5,
            InvalidDataError,
            "blocks must be an iterable of blocks of rows, or a callable.* Got 5",
        ),
        ({}, lambda X: "rows.h5", InvalidDataError, "blocks must be an iterable"),
        ({}, lambda X: [], InvalidDataError, "at least one block of rows in every epoch. Got none"),
        ({}, lambda X: X, InvalidDataError, "Got one table, of type ndarray"),
        ({}, lambda X: pd.DataFrame(X), InvalidDataError, "Got one table, of type DataFrame"),
        ({}, lambda X: pl.DataFrame(X), InvalidDataError, "Got one table, of type DataFrame"),
        ({}, lambda X: list(X), InvalidDataError, "a block must be 2-D"),
        ({}, lambda X: [X[:0]], InvalidDataError, "a block must have at least one row"),
        ({}, lambda X: lambda: 5, TypeError, "not iterable"),
    ],
)
def test_blocks_that_are_refused(changes: Any, blocks: Any, error: type, words: str, X: Any) -> None:
    ae = estimator(**changes)
    with pytest.raises(error, match=words):
        ae.fit_blocks(blocks(X))
    assert not ae.__sklearn_is_fitted__()


def test_blocks_larger_than_memory_by_a_memmap(tmp_path: Path) -> None:
    rows = data(5000, 6)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    from_disk = estimator().fit_blocks(lambda: (mapped[i : i + 999] for i in range(0, 5000, 999)))
    assert bits(from_disk) == bits(estimator().fit_blocks(Source(rows, 999)))
