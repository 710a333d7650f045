"""Training that goes on: partial_fit, blocks of rows, warm_start; and the core's part in it."""

import copy
import importlib
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import diabolo
import reference
from core_helpers import ISAS, Architecture, completed_weights, data, digest, trainer
from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from diabolo._core import Rows
from diabolo._scaling import fit_scaler, fit_scaler_of_blocks
from estimator_helpers import estimator
from test_determinism import RULES

SMALL = Architecture([7, 5, 3, 5, 7], ["tanh", "prelu", "gelu", "sigmoid"])


def bits(ae: AutoEncoder) -> dict[str, bytes]:
    return {name: weight.tobytes() for name, weight in ae.get_weights().items()}


# ---- The core: a trainer that takes over from another ----


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("clip_norm", [0.0, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("rule", RULES)
def test_a_chain_of_trainers_is_one_trainer(rule: str, clip_norm: float, isa: str) -> None:
    x = data(90, 7)
    settings = {
        "rule": RULES[rule](),
        "batch_size": 20,
        "shuffle": "none",
        "l2": 1e-4,
        "clip_norm": clip_norm,
    }
    whole = trainer(SMALL.model(isa), x, **{**settings, "epochs": 3})
    model, moments, updates = SMALL.model(isa), None, 0
    for _ in range(3):
        report = whole.run_epoch(None)
        link = trainer(model, x, updates_before=updates, **settings)
        if moments is not None:
            link.take_moments(moments)
        assert link.run_epoch(None).loss == report.loss
        model, moments, updates = link.completed_model(), link.moments(), updates + 5
        assert model is not None
        assert digest(model.get_weights()) == digest(completed_weights(whole))
    for one, other in zip(moments, whole.moments(), strict=True):
        assert digest(one) == digest(other)


@pytest.mark.parametrize("rule", ["adam", "momentum"])
def test_the_moments_matter(rule: str) -> None:
    """Or the chain would prove nothing."""
    x = data(90, 7)
    first = trainer(SMALL.model(None), x, rule=RULES[rule]())
    first.run_epoch(None)
    model = first.completed_model()
    assert model is not None
    digests = set()
    for moments, updates in ((None, 0), (first.moments(), 0), (first.moments(), 1)):
        link = trainer(model, x, rule=RULES[rule](), updates_before=updates)
        if moments is not None:
            link.take_moments(moments)
        link.run_epoch(None)
        digests.add(digest(completed_weights(link)))
    assert len(digests) == (3 if rule == "adam" else 2)


def test_moments_that_do_not_fit() -> None:
    of = trainer(SMALL.model(None), data(9, 7))
    with pytest.raises(ValueError, match="another number of moments"):
        of.take_moments(of.moments()[:1])
    first, second = of.moments()
    with pytest.raises(ValueError, match="another size"):
        of.take_moments([first, {**second, "decoder.1.bias": np.ones(3, np.float32)}])
    with pytest.raises(KeyError):
        of.take_moments([first, {}])


# ---- partial_fit ----


def test_partial_fit_against_the_reference() -> None:
    """Blocks of different sizes, each a few batches: weights as float64 NumPy has them."""
    blocks = [data(rows, 4, seed) for rows, seed in ((50, 0), (16, 1), (33, 2))]
    ae = AutoEncoder(2, activation="tanh", batch_size=16, shuffle=False, random_state=0, learning_rate=0.01)
    start = AutoEncoder(2, activation="tanh", epochs=1, random_state=0).fit(blocks[0])  # for its layers
    model = _core.Model(start._require_fitted().architecture.core_layers(), 1, 0)
    layers = [
        reference.Layer("encoder.0", "identity"),
        reference.Layer("decoder.0", "identity"),
    ]
    batches = [(b[i : i + 16],) * 2 for b in blocks for i in range(0, len(b), 16)]
    weights = {name: weight.astype(np.float64) for name, weight in model.get_weights().items()}
    expected, losses = reference.train(layers, weights, batches, "mse", reference.Adam(), 0.01)
    for block in blocks:
        ae.partial_fit(block)
    for name, weight in ae.get_weights().items():
        np.testing.assert_allclose(weight, expected[name], rtol=2e-5, atol=2e-6)
    rows = np.array([len(x) for x, _ in batches])
    np.testing.assert_allclose(ae.history_["loss"][0], np.average(losses[:4], weights=rows[:4]), rtol=1e-5)
    assert ae.n_iter_ == 3
    assert ae.stop_reason_ == "partial_fit"


@pytest.mark.parametrize(
    "kind",
    [
        ContractiveAutoEncoder(2),
        ContractiveAutoEncoder(2, hidden_layer_sizes=(3,)),
        DenoisingAutoEncoder(2),
        SparseAutoEncoder(2, sparsity="l1"),
        SparseAutoEncoder(2, sparsity="kl"),
        SparseAutoEncoder(3, sparsity="top_k", k=2),
        VariationalAutoEncoder(2),
    ],
    ids=repr,
)
def test_every_kind_goes_on(kind: AutoEncoder, X: Any) -> None:
    kind.set_params(random_state=0, scale="minmax", epochs=1, batch_size=16)
    first = copy.deepcopy(kind).fit(X)
    ae = kind.partial_fit(X)
    assert bits(ae) == bits(first)
    assert ae.history_["reconstruction_loss"] == first.history_["reconstruction_loss"]
    losses = [float(ae.partial_fit(X).history_["loss"][-1]) for _ in range(20)]
    assert losses[-1] < losses[0]
    for blocks in ([X], [X[:40], X[40:]]):
        assert np.isfinite(kind.fit_blocks(blocks).history_["loss"]).all()


def test_what_would_begin_again_with_every_block(X: Any) -> None:
    kind = VariationalAutoEncoder(2, kl_warmup_epochs=1)
    for fit, data_of in ((kind.partial_fit, X), (kind.fit_blocks, [X])):
        with pytest.raises(InvalidParameterError, match=f"kl_warmup_epochs must be 0 for {fit.__name__}"):
            fit(data_of)
    assert not kind.__sklearn_is_fitted__()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (DenoisingAutoEncoder(2), {"noise_fraction": 0.9}),
        (SparseAutoEncoder(2), {"sparsity_weight": 0.1}),
        (SparseAutoEncoder(2, sparsity="kl"), {"sparsity_decay": 0.0}),
        (SparseAutoEncoder(3, sparsity="top_k", k=2), {"k": 1}),
        (VariationalAutoEncoder(2), {"beta": 5.0}),
        (AutoEncoder(2, hidden_layer_sizes=(4,), dropout=0.1), {"dropout": 0.5}),
    ],
    ids=repr,
)
def test_changed_layers_take_effect(kind: AutoEncoder, change: dict[str, Any], X: Any) -> None:
    """Of the same weights, where training goes on: as in a network that was never another."""
    kind.set_params(random_state=0, epochs=1, batch_size=16, warm_start=True)
    ae = copy.deepcopy(kind).fit(X)
    same = copy.deepcopy(ae)
    other = copy.deepcopy(kind).set_params(**change).fit(X).set_weights(ae.get_weights())
    for going_on in ("fit", "partial_fit"):
        as_changed = getattr(copy.deepcopy(ae).set_params(**change), going_on)(X)
        assert bits(as_changed) == bits(getattr(copy.deepcopy(other), going_on)(X))
        assert bits(as_changed) != bits(getattr(copy.deepcopy(same), going_on)(X))


def test_the_first_partial_fit_is_a_fit_of_one_epoch(X: Any) -> None:
    for scale in (None, "standard", "minmax"):
        one = estimator(scale=scale, epochs=1).fit(X)
        other = estimator(scale=scale, epochs=1).partial_fit(X)
        assert bits(one) == bits(other)
        assert one.history_["loss"] == other.history_["loss"]
        np.testing.assert_array_equal(one.reconstruct(X), other.reconstruct(X))


def test_partial_fit_goes_on(X: Any) -> None:
    ae = estimator().partial_fit(X).partial_fit(X[:70])
    for twin in (copy.deepcopy(ae), pickle.loads(pickle.dumps(ae)), copy.copy(ae)):
        assert bits(twin.partial_fit(X[70:])) == bits(copy.deepcopy(ae).partial_fit(X[70:]))
    # Each call shuffles anew, though random_state is an int: without shuffling two calls differ as well.
    assert ae.n_iter_ == 2
    losses = [float(ae.partial_fit(X).history_["loss"][-1]) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]


def test_partial_fit_after_fit(X: Any) -> None:
    ae = estimator(validation_fraction=0.1).fit(X).set_params(validation_fraction=0.0)
    ae.partial_fit(X)
    assert ae.n_iter_ == 4
    assert math.isnan(ae.history_["val_loss"][3])
    assert np.isfinite(ae.history_["val_loss"][:3]).all()
    # New moments after weights that another training, or the user, has made.
    again = estimator().partial_fit(X)
    fresh = copy.deepcopy(again).set_weights(again.get_weights())
    assert bits(fresh.partial_fit(X)) != bits(again.partial_fit(X))


def test_partial_fit_with_another_optimizer_begins_its_moments_anew(X: Any) -> None:
    ae = estimator().partial_fit(X).set_params(optimizer="sgd").partial_fit(X)
    assert ae._require_fitted().optimizer_state.moments == ()
    ae.set_params(optimizer="adam").partial_fit(X)
    state = ae._require_fitted().optimizer_state
    assert (len(state.moments), state.updates, state.passes, state.epochs) == (2, 7, 3, 3)


@pytest.mark.parametrize("schedule", ["step", "exponential", "cosine"])
def test_each_partial_fit_is_an_epoch_of_the_schedule(schedule: str, X: Any) -> None:
    ae = estimator(schedule=schedule, epochs=4)
    for _ in range(5):
        ae.partial_fit(X)
    core = {
        "step": _core.Schedule.step(10, 0.5),
        "exponential": _core.Schedule.exponential(0.95),
        "cosine": _core.Schedule.cosine(0, 0.0),
    }[schedule]
    assert ae.history_["learning_rate"] == [1e-3 * core.factor_at(epoch, 1, 4) for epoch in range(5)]


def test_partial_fit_refuses(X: Any) -> None:
    ae = estimator().partial_fit(X)
    before = bits(ae), ae.history_
    for bad, error, words in (
        (X[:, :4], InvalidDataError, "X has 4 features, but AutoEncoder is expecting 6 features as input"),
        (X * math.nan, InvalidDataError, "X must not contain NaN"),
        (X[:0], InvalidDataError, "0 sample"),
    ):
        with pytest.raises(error, match=words):
            ae.partial_fit(bad)
    for changes, words in (
        ({"n_components": 3}, r"layers must be .*encoder.1 \(5, 2\).* Got .*encoder.1 \(5, 3\)"),
        ({"activation": "tanh"}, "relu.* Got .*tanh"),
        ({"scale": "minmax"}, "scale must be None for partial_fit and warm_start=True.* Got 'minmax'"),
        ({"early_stopping": True}, "early_stopping must be False for partial_fit"),
        ({"validation_fraction": 0.1}, "validation_fraction must be 0.0 for partial_fit"),
        ({"checkpoint": "run.safetensors"}, "checkpoint must be None for partial_fit"),
    ):
        spoilt = copy.copy(ae).set_params(**changes)
        with pytest.raises(InvalidParameterError, match=words):
            spoilt.partial_fit(X)
    diverging = ae.set_params(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(diabolo.TrainingDivergedError, match="epoch 1, step"):
        diverging.partial_fit(X)
    assert (bits(ae), ae.history_) == before
    fresh = estimator()
    with pytest.raises(InvalidDataError):
        fresh.partial_fit(X * math.nan)
    assert not fresh.__sklearn_is_fitted__()


# ---- Blocks ----


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


# ---- warm_start ----


def test_warm_start(X: Any) -> None:
    ae = estimator(scale="standard", optimizer="sgd", shuffle=False).fit(X)
    # SGD without momentum has no state: three epochs and three more are six.
    six = estimator(scale="standard", optimizer="sgd", shuffle=False, epochs=6).fit(X)
    ae.set_params(warm_start=True).fit(X)
    assert bits(ae) == bits(six)
    assert ae.history_["loss"] == six.history_["loss"][3:]
    # The scaling is that of the first fit.
    shifted = copy.deepcopy(ae).fit(X + 5)
    np.testing.assert_array_equal(
        shifted._require_fitted().model.scaler(), six._require_fitted().model.scaler()
    )
    assert bits(estimator(warm_start=True).fit(X)) == bits(estimator().fit(X))
    for changes in ({"hidden_layer_sizes": (4,)}, {"scale": None}):
        spoilt = copy.copy(ae).set_params(**changes)
        with pytest.raises(InvalidParameterError, match="warm_start"):
            spoilt.fit(X)
    with pytest.raises(InvalidParameterError, match=r"encoder.0 \(6, 5\).* Got .*encoder.0 \(4, 5\)"):
        ae.fit(X[:, :4])
    blocks = estimator(shuffle=False, batch_size=200, optimizer="sgd", warm_start=True).fit_blocks([X])
    same = copy.deepcopy(blocks)
    assert bits(blocks.fit_blocks([X])) == bits(same.fit(X))
