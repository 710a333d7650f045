"""Runs cut in two give the bits of the uninterrupted one: every estimator, every option that keeps something.

What a checkpoint is otherwise, and what it refuses, is in test_checkpoints.py.
"""

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
from sklearn.base import clone

import diabolo
from core_helpers import trainer
from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    ReduceOnPlateau,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from every_kind import public_estimators
from test_checkpoints import assert_same, interrupted_fit

# Wide enough that three threads get a share of each step; the last batch is smaller than the others.
ROWS, FEATURES, EPOCHS = 250, 48, 4
SETTINGS: dict[str, Any] = {
    "n_components": 20,
    "hidden_layer_sizes": (40,),
    "epochs": EPOCHS,
    "batch_size": 120,
    "learning_rate": 1e-2,
    "random_state": 5,
}
WIDE = {**SETTINGS, "n_components": 64, "sparsity": "top_k", "k": 4}

# By what training keeps from step to step, or makes of the number of the step.
RUNS: dict[str, Any] = {
    "plain": AutoEncoder(**SETTINGS),
    "batch normalisation": AutoEncoder(**SETTINGS, batch_norm=True, activation="prelu"),
    "dropout": AutoEncoder(**SETTINGS, dropout=0.2),
    "missing values": AutoEncoder(**SETTINGS, missing="mask", batch_norm=True),
    "weights of rows": AutoEncoder(**SETTINGS),
    "sparse rows": AutoEncoder(**SETTINGS, zeros="missing"),
    "bfloat16": AutoEncoder(**SETTINGS, matmul_precision="bfloat16"),
    "plateau": AutoEncoder(
        **{**SETTINGS, "epochs": 12, "learning_rate": 0.3}, schedule=ReduceOnPlateau(patience=1)
    ),
    "plateau of validation": AutoEncoder(
        **{**SETTINGS, "epochs": 12, "learning_rate": 0.3},
        schedule=ReduceOnPlateau(patience=1),
        validation_fraction=0.2,
        early_stopping=True,
    ),
    "masking": DenoisingAutoEncoder(**SETTINGS, corrupted_weight=2.0),
    "gaussian noise": DenoisingAutoEncoder(**SETTINGS, corruption="gaussian", dropout=0.1, batch_norm=True),
    "salt and pepper": DenoisingAutoEncoder(**SETTINGS, corruption="salt_and_pepper"),
    "l1": SparseAutoEncoder(**SETTINGS),
    "kl": SparseAutoEncoder(**SETTINGS, sparsity="kl", sparsity_weight=0.1),
    "kl, slowly": SparseAutoEncoder(
        **SETTINGS, sparsity="kl", sparsity_weight=0.1, sparsity_decay=0.99, batch_norm=True, dropout=0.1
    ),
    "kl, early stopping": SparseAutoEncoder(
        **{**SETTINGS, "epochs": 9, "learning_rate": 0.3},
        sparsity="kl",
        validation_fraction=0.2,
        early_stopping=True,
        patience=2,
    ),
    "kl of each batch": SparseAutoEncoder(**SETTINGS, sparsity="kl", sparsity_decay=0.0),
    "top_k": SparseAutoEncoder(**{**WIDE, "k": 10}),
    "top_k, listed": SparseAutoEncoder(**WIDE),
    "top_k, lazy": SparseAutoEncoder(**WIDE, lazy_adam=True),
    "top_k, unit norm": SparseAutoEncoder(**WIDE, unit_norm_decoder=True, clip_norm=0.1),
    "top_k, dead units": SparseAutoEncoder(
        **{**WIDE, "k": 10, "hidden_layer_sizes": ()}, auxiliary_k=12, dead_after=150, unit_norm_decoder=True
    ),
    "top_k, listed, dead units": SparseAutoEncoder(
        **WIDE, decoder_layer_sizes=(), auxiliary_k=12, dead_after=150, lazy_adam=True
    ),
    "contractive": ContractiveAutoEncoder(**SETTINGS),
    "contractive, exact": ContractiveAutoEncoder(**{**SETTINGS, "hidden_layer_sizes": ()}),
    "variational": VariationalAutoEncoder(**SETTINGS, kl_warmup_epochs=3, batch_norm=True),
    "variational, free bits": VariationalAutoEncoder(**SETTINGS, free_bits=0.1, output_variance="learned"),
    "stacked": StackedAutoEncoder(**SETTINGS, pretraining="denoising", pretraining_epochs=2),
    "stacked, kl": StackedAutoEncoder(
        **SETTINGS,
        activation="sigmoid",
        code_activation="sigmoid",
        pretraining="sparse",
        pretraining_parameters={"sparsity": "kl"},
        pretraining_epochs=2,
    ),
    "stacked, rbm": StackedAutoEncoder(
        **SETTINGS, activation="sigmoid", pretraining="rbm", pretraining_epochs=7
    ),
}


@pytest.fixture
def rows() -> npt.NDArray[np.float32]:
    random = np.random.default_rng(3)
    mixed = np.tanh(random.normal(size=(ROWS, 5)) @ random.normal(size=(5, FEATURES)))
    return ((mixed + 1) / 2).astype(np.float32)


def arguments(run: str, X: npt.NDArray[np.float32]) -> tuple[Any, dict[str, Any]]:
    """Return X as this run takes it, and what else its fit gets."""
    if run == "missing values":
        X = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.float32(np.nan), X)
    if run == "sparse rows":
        return scipy.sparse.csr_array(np.where(X > 0.6, X, np.float32(0))), {}
    weights = {"sample_weight": np.arange(ROWS) % 4 + 0.5} if run == "weights of rows" else {}
    return X, weights


def test_none_is_left_out() -> None:
    resumable = {cls for cls in public_estimators().values() if "checkpoint" in cls._defaults()}
    assert {type(run) for run in RUNS.values()} == resumable


@pytest.mark.filterwarnings("ignore::diabolo.MatmulPrecisionWarning")
@pytest.mark.parametrize("run", RUNS)
def test_resumed(run: str, rows: Any, tmp_path: Path) -> None:
    """With one, two and three threads before the interruption, and other numbers of them after it."""
    X, options = arguments(run, rows)
    whole = clone(RUNS[run]).set_params(n_jobs=1).fit(X, **options)
    path = tmp_path / "run"
    for before, after, epochs in ((1, 3, 1), (2, 1, 3), (3, 2, 2)):
        cut = clone(RUNS[run]).set_params(n_jobs=before, checkpoint=path)
        interrupted_fit(cut, X, epochs, **options)
        assert cut.n_iter_ == epochs
        resumed = clone(RUNS[run]).set_params(n_jobs=after).fit(X, resume_from=path, **options)
        assert_same(resumed, whole, X)
        if isinstance(resumed, StackedAutoEncoder):
            assert len(resumed.pretraining_history_) == len(whole.pretraining_history_)


def test_what_was_kept_matters(rows: Any, tmp_path: Path) -> None:
    """Or the bits of the resumed runs would prove nothing."""
    path = tmp_path / "run"
    kl = RUNS["kl, slowly"]
    whole = clone(kl).fit(rows)
    interrupted_fit(clone(kl).set_params(checkpoint=path), rows, 2)
    metadata, tensors = _core.read_model_file(str(path))
    means = tensors["kept.4.mean_activity"]
    assert means.shape == (20,)
    assert ((means > 0) & (means < 1)).all()
    np.testing.assert_array_equal(tensors["kept.4.begun"], np.ones(20))
    means += 0.1
    _core.write_model_file(str(path), metadata, tensors)
    resumed = clone(kl).fit(rows, resume_from=path)
    assert resumed.history_["loss"][:2] == whole.history_["loss"][:2]
    assert resumed.history_["loss"][2:] != whole.history_["loss"][2:]


# ---- partial_fit and blocks ----

# Without noise, which is drawn anew for each call.
WITHOUT_NOISE = (
    "plain", "batch normalisation", "missing values", "weights of rows", "sparse rows", "l1", "kl",
    "kl of each batch", "top_k", "top_k, listed", "top_k, lazy", "top_k, unit norm", "top_k, dead units",
    "top_k, listed, dead units", "contractive, exact",
)  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", "sgd", diabolo.SGD(momentum=0.9), "rmsprop"], ids=str)
@pytest.mark.parametrize("run", WITHOUT_NOISE)
def test_partial_fit_goes_on_as_fit(run: str, optimizer: Any, rows: Any) -> None:
    """Three calls, with pickles between them, are three epochs of one run."""
    if RUNS[run].get_params().get("lazy_adam") and optimizer != "adam":
        pytest.skip("lazy Adam is Adam")
    X, options = arguments(run, rows)
    ae = clone(RUNS[run]).set_params(shuffle=False, epochs=3, optimizer=optimizer, learning_rate=1e-3)
    whole = copy.deepcopy(ae).fit(X, **options)
    for threads in (1, 2, 3):
        ae.set_params(n_jobs=threads).partial_fit(X, **options)
        ae = pickle.loads(pickle.dumps(ae))
    for name, weight in whole.get_weights().items():
        np.testing.assert_array_equal(ae.get_weights()[name], weight, err_msg=name)
    # Means over blocks, of which each call has one, are rounded once more.
    np.testing.assert_allclose(ae.history_["loss"], whole.history_["loss"], rtol=1e-14)


@pytest.mark.parametrize(
    "run", ["batch normalisation", "kl", "kl of each batch", "top_k, lazy", "top_k, dead units"]
)
def test_blocks_of_whole_batches_are_one_table(run: str, rows: Any) -> None:
    X = rows[:240]
    ae = clone(RUNS[run]).set_params(shuffle=False, batch_size=40)
    whole = copy.deepcopy(ae).fit(X, X_val=rows[240:])
    for size in (120, 80):
        blocks = [X[begin : begin + size] for begin in range(0, 240, size)]
        of_blocks = copy.deepcopy(ae).fit_blocks(blocks, X_val=rows[240:])
        for name, weight in whole.get_weights().items():
            np.testing.assert_array_equal(of_blocks.get_weights()[name], weight, err_msg=name)
        assert of_blocks.history_["val_loss"] == whole.history_["val_loss"]


def test_layers_that_keep_other_things_than_before(rows: Any) -> None:
    """A running mean that is wanted no more is forgotten, and one that is new begins with its first batch."""
    ae = clone(RUNS["kl"]).partial_fit(rows)
    kept = ae._fitted.optimizer_state.kept
    assert kept.keys() == {"2.mean_activity", "2.begun"}
    ae.set_params(sparsity_decay=0.0).partial_fit(rows)
    assert ae._fitted.optimizer_state.kept == {}
    anew = copy.deepcopy(ae).set_params(sparsity_decay=0.9).partial_fit(rows)
    assert anew._fitted.optimizer_state.kept["2.begun"].all()
    # Another optimizer begins its moments anew; the layers go on.
    going_on, forgetful = clone(RUNS["kl"]).partial_fit(rows), clone(RUNS["kl"]).partial_fit(rows)
    forgetful._fitted.optimizer_state = forgetful._fitted.optimizer_state._replace(kept=None)
    losses = {
        tuple(some.set_params(optimizer="sgd").partial_fit(rows).history_["loss"])
        for some in (going_on, forgetful)
    }
    assert len(losses) == 2


# ---- Refused ----

SPOILT: dict[str, tuple[Any, str]] = {
    "none": (
        lambda t: [t.pop(name) for name in list(t) if name.startswith("kept.")],
        r"run: the file lacks the tensor, 'kept\.2\.begun'$",
    ),
    "one too few": (lambda t: t.pop("kept.2.mean_activity"), r"lacks the tensor, 'kept\.2\.mean_activity'$"),
    "one too many": (
        lambda t: t.update({"kept.1.mean_activity": np.zeros(40, np.float32)}),
        r"the file has a tensor that is none of a checkpoint's, 'kept\.1\.mean_activity'$",
    ),
    "another size": (
        lambda t: t.update({"kept.2.mean_activity": np.zeros(19, np.float32)}),
        r"run: '2\.mean_activity' has another size\.$",
    ),
    "two dimensions": (
        lambda t: t.update({"kept.2.mean_activity": np.zeros((20, 1), np.float32)}),
        r"its tensors kept\.\* are not all vectors of float32$",
    ),
    "another type": (
        lambda t: t.update({"kept.2.mean_activity": np.zeros(20)}),
        r"its tensors kept\.\* are not all vectors of float32$",
    ),
    "NaN": (
        lambda t: t["kept.2.mean_activity"].fill(np.nan),
        r"run: '2\.mean_activity' has values that no training leaves\.$",
    ),
    "infinite": (lambda t: t["kept.2.mean_activity"].fill(np.inf), "values that no training leaves"),
    "negative": (lambda t: t["kept.2.mean_activity"].fill(-0.1), "values that no training leaves"),
    "above 1": (lambda t: t["kept.2.mean_activity"].fill(1.1), "values that no training leaves"),
    "begun, and more": (lambda t: t["kept.2.begun"].fill(2.0), r"'2\.begun' has values that no training"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_no_training_kept(case: str, rows: Any, tmp_path: Path) -> None:
    spoil, message = SPOILT[case]
    path = tmp_path / "run"
    interrupted_fit(clone(RUNS["kl"]).set_params(checkpoint=path), rows, 2)
    metadata, tensors = _core.read_model_file(str(path))
    spoil(tensors)
    _core.write_model_file(str(path), metadata, tensors)
    ae = clone(RUNS["kl"])
    with pytest.raises(diabolo.ModelFileError, match=message):
        ae.fit(rows, resume_from=path)
    assert not ae.__sklearn_is_fitted__()


def test_checkpoints_of_layers_that_keep_nothing(rows: Any, tmp_path: Path) -> None:
    """They have no tensors for it, as before there were any: older ones can be resumed."""
    path = tmp_path / "run"
    for run in ("plain", "kl of each batch", "top_k"):
        interrupted_fit(clone(RUNS[run]).set_params(checkpoint=path), rows, 2)
        metadata, tensors = _core.read_model_file(str(path))
        assert "checkpoint" in metadata
        assert not any(name.startswith("kept.") for name in tensors)


def test_a_checkpoint_with_what_was_kept_is_a_model(rows: Any, tmp_path: Path) -> None:
    cut = interrupted_fit(clone(RUNS["kl"]).set_params(checkpoint=tmp_path / "run"), rows, 2)
    loaded = diabolo.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.transform(rows), cut.transform(rows))
    loaded.save(tmp_path / "model")
    _, tensors = _core.read_model_file(str(tmp_path / "model"))
    assert tensors.keys() == set(cut.get_weights())


def test_the_core_takes_all_or_nothing() -> None:
    layers = [
        _core.Dense("encoder.0", 3, 2, "sigmoid", "normal"),
        _core.ActivityPenalty(2, 0.0, 0.1, 0.1, 0.9),
        _core.Dense("decoder.0", 2, 3, "identity", "normal"),
    ]
    of = trainer(_core.Model(layers, 2, 1), np.ones((4, 3), np.float32))
    names = ("1.mean_activity", "1.begun")
    assert tuple(of.kept_states()) == names
    good = {name: np.full(2, value, np.float32) for name, value in zip(names, (0.25, 1.0), strict=True)}
    for bad in itertools.chain(
        ({**good, name: np.full(2, np.nan, np.float32)} for name in names),
        ({**good, name: np.ones(3, np.float32)} for name in names),
        ({name: good[name]} for name in names),
        [{**good, "2.begun": np.ones(3, np.float32)}],
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            of.take_kept_states(bad)
        assert not any(values.any() for values in of.kept_states().values())
    of.take_kept_states(good)
    for name, values in of.kept_states().items():
        np.testing.assert_array_equal(values, good[name])
