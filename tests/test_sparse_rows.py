"""Sparse rows: the core against the oracle and the dense rows, bit for bit; the estimators."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import diabolo
import reference
from core_helpers import (
    EMULATED_ISAS,
    FUSED_ISAS,
    ISAS,
    Architecture,
    completed_weights,
    digest,
    float32_branches,
    hourglass,
    relative_error,
    trainer,
)
from diabolo import (
    AutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from sparse_matrices import counts, rows_of, stored

# ---- The core ----

NETWORKS = {
    "deep": lambda loss: hourglass([130, 70, 5], "tanh", loss),
    "shallow": lambda loss: hourglass([130, 9], "prelu", loss),
    "tied": lambda loss: hourglass([130, 33, 5], "tanh", loss, tied=True),
}


@pytest.mark.parametrize("stored_only", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_crossentropy"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, loss: str, network: str, stored_only: bool) -> None:
    """Over three slabs of a batch; a missing element weighs nothing, and each row has the mean of its own."""
    architecture = NETWORKS[network](loss)
    model = architecture.trained_looking_model(isa)
    X = counts(600, 130)
    of = trainer(model, rows_of(X), loss=loss, batch_size=600, l2=1e-3, stored_only=stored_only)
    got_loss, got_reconstruction, gradients = of.gradients(rows_of(X))
    x, mask = X.toarray(), stored(X)
    per_row = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    expected = reference.loss_and_gradients(
        architecture.layers,
        model.get_weights(),
        x,
        x,
        loss,
        l2=1e-3,
        branches=float32_branches(architecture, model, x, loss, isa),
        element_weights=mask * (X.shape[1] / per_row) if stored_only else 1.0,
    )
    assert got_loss == pytest.approx(expected.loss, rel=1e-6)
    assert got_reconstruction == pytest.approx(expected.reconstruction_loss, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected.gradients[name]) < 5e-6, name


RULES = {
    "adam": _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0),
    "adamw": _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.01),
    "momentum": _core.UpdateRule.sgd(0.9, True),
    "rmsprop": _core.UpdateRule.rmsprop(0.9, 1e-7),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 32},
        {"batch_size": 300},  # two slabs, whose gradients add up
        {"batch_size": 64, "clip_norm": 0.1, "l1": 1e-4},
    ],
    ids=["small batches", "two slabs", "clipped"],
)
def test_the_same_bits_as_dense_rows(settings: dict[str, Any], rule: str) -> None:
    """On every instruction set and for any number of threads; weights whose inputs were all 0 decay alike."""
    architecture = Architecture([137, 250, 33, 250, 137], ["gelu", "prelu", "tanh", "sigmoid"])
    X = counts(401, 137)
    digests = {}
    for isa in ISAS:
        results = set()
        for x, threads in ((X.toarray(), 2), (rows_of(X), 1), (rows_of(X), 2), (rows_of(X), 5)):
            model = architecture.trained_looking_model(isa)
            of = trainer(model, x, epochs=2, threads=threads, rule=RULES[rule], **settings)
            reports = [of.run_epoch(None) for _ in range(2)]
            assert [report.outcome for report in reports] == ["completed"] * 2
            results.add((digest(completed_weights(of)), reports[-1].loss))
        assert len(results) == 1
        digests[isa] = results
    assert len({next(iter(digests[isa])) for isa in FUSED_ISAS}) <= 1


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("precision", ["bfloat16_3x", "bfloat16"])
@pytest.mark.parametrize("isa", [None, *EMULATED_ISAS])
def test_less_precise_products(
    isa: str | None, precision: str, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored elements are multiplied as float32; the other layers as they are asked to."""
    monkeypatch.setenv("DIABOLO_FORCE_MATMUL_PRECISION", "1")
    if isa is not None:
        monkeypatch.setenv("DIABOLO_ISA", isa)
    architecture = hourglass([130, 33, 5], "tanh", tied=tied)
    X = counts(600, 130)
    specs = [
        _core.Dense(
            layer.name, inputs, outputs, "tanh", "glorot_uniform", layer.tied_to or "", products=precision
        )
        for layer, inputs, outputs in zip(
            architecture.layers, architecture.widths, architecture.widths[1:], strict=False
        )
    ]
    weights = architecture.trained_looking_model().get_weights()
    model = _core.Model(specs, architecture.code_layers, 1).with_weights(weights)
    assert set(model.products()) == {precision}
    _, _, gradients = trainer(model, rows_of(X), batch_size=600).gradients(rows_of(X))
    expected = reference.loss_and_gradients(architecture.layers, weights, X.toarray(), X.toarray(), "mse")
    for name, gradient in gradients.items():
        tolerance = 1e-2 if precision == "bfloat16" else 3e-5
        assert 1e-7 < relative_error(gradient, expected.gradients[name]) < tolerance, name
    for batch_size in (50, 600):  # of one slab, and of several, more or less according to the threads
        digests = set()
        for threads in (1, 2, 5, 9):
            of = trainer(model, rows_of(X), batch_size=batch_size, threads=threads)
            assert of.run_epoch(None).outcome == "completed"
            digests.add(digest(completed_weights(of)))
        assert len(digests) == 1


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize(
    "type_", [np.float16, np.float32, np.float64, np.int8, np.uint16, np.int32, np.uint64, np.bool_]
)
def test_any_type_of_values_and_indices(type_: Any, index_type: Any) -> None:
    X = counts()
    X.data = np.trunc(5 * X.data)
    dense = X.toarray().astype(type_)
    expected = AutoEncoder(3, epochs=2, random_state=0).fit(dense)
    X.data = X.data.astype(type_)
    X.indices, X.indptr = X.indices.astype(index_type), X.indptr.astype(index_type)
    ae = AutoEncoder(3, epochs=2, random_state=0).fit(X)
    assert digest(ae.get_weights()) == digest(expected.get_weights())
    np.testing.assert_array_equal(ae.transform(X), expected.transform(dense))


def test_arrays_that_change_meanwhile_are_never_read_out_of_bounds() -> None:
    """What has come out of place is left out: a wrong result of a wrong use, but no crash."""
    X = counts()
    model = hourglass([60, 5]).model()
    of = trainer(model, rows_of(X), epochs=9)
    assert of.run_epoch(None).outcome == "completed"
    X.indices[::3] = 2**31 - 1
    X.indices[1::3] = -(2**31)
    assert of.run_epoch(None).outcome == "completed"
    X.indices[:] = X.indices[::-1].copy()
    assert of.run_epoch(None).outcome == "completed"
    X.indptr[1::2] = 2**31 - 1
    X.indptr[2::4] = -7
    assert of.run_epoch(None).outcome == "completed"
    model.reconstruct(rows_of(X), 2)


# ---- The estimators ----

KINDS = {
    "plain": AutoEncoder(4, hidden_layer_sizes=(70,), activation="gelu"),
    "tied": AutoEncoder(4, tied_weights=True, loss="mae", validation_fraction=0.2),
    "masking": DenoisingAutoEncoder(4, noise_fraction=0.4),
    "l1": SparseAutoEncoder(70),
    "kl": SparseAutoEncoder(4, sparsity="kl", validation_fraction=0.2),
    "top_k": SparseAutoEncoder(8, sparsity="top_k", k=2, loss="huber"),
    "bernoulli": VariationalAutoEncoder(4, likelihood="bernoulli", validation_fraction=0.2),
    "gaussian": VariationalAutoEncoder(4, hidden_layer_sizes=(33,)),
}


def made_of(kind: str, **changes: Any) -> Any:
    made = pickle.loads(pickle.dumps(KINDS[kind]))
    return made.set_params(epochs=3, batch_size=64, random_state=0, **changes)


@pytest.mark.filterwarnings("ignore::diabolo.PosteriorCollapseWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_what_it_gives_of_dense_rows(kind: str) -> None:
    X = counts()
    dense = X.toarray()
    ae, expected = made_of(kind).fit(X), made_of(kind).fit(dense)
    assert digest(ae.get_weights()) == digest(expected.get_weights())
    for name in ("loss", "reconstruction_loss", *(["val_loss"] if ae.validation_fraction else [])):
        assert ae.history_[name] == expected.history_[name]
    for method in ("transform", "reconstruct", "reconstruction_error", "score_samples"):
        np.testing.assert_array_equal(getattr(ae, method)(X), getattr(expected, method)(dense))
    for options in ({"metric": "loss"}, {"per_feature": True}):
        np.testing.assert_array_equal(
            ae.reconstruction_error(X, **options), expected.reconstruction_error(dense, **options)
        )
    if isinstance(ae, VariationalAutoEncoder):
        for method in ("elbo", "log_likelihood"):
            np.testing.assert_array_equal(
                getattr(ae, method)(X, n_samples=3), getattr(expected, method)(dense, n_samples=3)
            )
        deviations, others = (
            of.transform(rows, return_std=True)[1] for of, rows in ((ae, X), (expected, dense))
        )
        np.testing.assert_array_equal(deviations, others)


@pytest.mark.filterwarnings("ignore::diabolo.PosteriorCollapseWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_missing_elements_count_for_nothing(kind: str) -> None:
    """Where everything is stored, nothing is missing; else errors are means over what is stored."""
    X = counts()
    full = sparse.csr_array(np.random.default_rng(3).random((90, 20)).astype(np.float32))
    ae, expected = made_of(kind, zeros="missing").fit(full), made_of(kind).fit(full)
    assert digest(ae.get_weights()) == digest(expected.get_weights())

    ae = made_of(kind, zeros="missing").fit(X)
    x, mask = X.toarray(), stored(X)
    squares = np.where(mask, (ae.reconstruct(X) - x) ** 2, 0.0)
    np.testing.assert_array_equal(ae.reconstruction_error(X, per_feature=True), squares)
    mean = squares.sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
    np.testing.assert_allclose(ae.reconstruction_error(X), mean, rtol=1e-5)
    assert ae.score(X) == pytest.approx(-mean.mean())
    assert (mean[66:69] == 0).all()  # the empty rows
    assert made_of(kind).fit(X).score(X) != ae.score(X)
    if isinstance(ae, VariationalAutoEncoder):
        assert np.isfinite(ae.elbo(X)).all()


def test_missing_elements_are_predicted() -> None:
    """Three of ten ratings are known; of the others a network that takes them for zeros knows nothing."""
    random = np.random.default_rng(0)
    ratings = 3 + random.normal(size=(2000, 2)) @ random.normal(size=(2, 40))
    known = random.random(ratings.shape) < 0.3
    rows, columns = known.nonzero()
    X = sparse.csr_array((ratings[known], (rows, columns)), shape=ratings.shape)
    errors = {}
    for zeros in ("values", "missing"):
        ae = AutoEncoder(4, hidden_layer_sizes=(40,), activation="tanh", zeros=zeros, learning_rate=1e-2)
        ae.set_params(epochs=40, batch_size=64, random_state=0).fit(X)
        errors[zeros] = np.mean((ae.reconstruct(X) - ratings)[~known] ** 2)
    assert errors["missing"] < 0.3 * np.var(ratings)
    assert errors["values"] > 2 * np.var(ratings)


@pytest.mark.parametrize("extra", [{}, {"batch_norm": True}, {"dropout": 0.2}, {"loss": "hinge"}], ids=str)
def test_weights_of_rows_and_other_layers(extra: dict[str, Any]) -> None:
    X = counts()
    weights = np.random.default_rng(2).integers(0, 3, 200)
    ae, expected = (
        AutoEncoder(4, hidden_layer_sizes=(20,), epochs=2, batch_size=64, random_state=0, **extra).fit(
            rows, sample_weight=weights
        )
        for rows in (X, X.toarray())
    )
    assert digest(ae.get_weights()) == digest(expected.get_weights())
    np.testing.assert_array_equal(ae.score_samples(X), expected.score_samples(X.toarray()))


def test_partial_fit_blocks_and_validation_rows() -> None:
    X = counts(300)
    parts = [X[:120], X[120:200], X[200:]]
    dense = [part.toarray() for part in parts]

    def after(blocks: Any, how: str) -> Any:
        ae = AutoEncoder(4, epochs=2, random_state=0)
        if how == "fit_blocks":
            return ae.fit_blocks(blocks, X_val=blocks[0]).get_weights()
        for block in blocks:
            ae.partial_fit(block)
        return ae.get_weights()

    for how in ("fit_blocks", "partial_fit"):
        assert digest(after(parts, how)) == digest(after(dense, how))
    # Each of them may be sparse or not.
    mixed = AutoEncoder(4, epochs=2, random_state=0).fit(X, X_val=dense[0]).history_["val_loss"]
    assert (
        mixed
        == AutoEncoder(4, epochs=2, random_state=0).fit(X.toarray(), X_val=parts[0]).history_["val_loss"]
    )


def test_files_and_checkpoints(tmp_path: Path) -> None:
    X = counts()
    file = tmp_path / "run.safetensors"
    whole = AutoEncoder(4, zeros="missing", epochs=4, random_state=0).fit(X)
    ae = AutoEncoder(4, zeros="missing", epochs=4, random_state=0, checkpoint=file, checkpoint_every=3)

    class Stop(Exception):
        pass

    class Interrupts:
        def on_epoch_end(self, state: Any) -> None:
            if len(state.history["loss"]) == 3:
                raise Stop

    with pytest.raises(Stop):
        ae.set_params(callbacks=[Interrupts()]).fit(X)
    ae.set_params(callbacks=None)
    with pytest.raises(InvalidDataError, match=r"X must be as in the checkpoint .* the same values"):
        ae.fit(X + X, resume_from=file)
    ae.fit(X, resume_from=file)
    assert digest(ae.get_weights()) == digest(whole.get_weights())
    ae.save(file)
    loaded: Any = diabolo.load(file)
    assert loaded.zeros == "missing"
    for twin in (loaded, pickle.loads(pickle.dumps(ae))):
        np.testing.assert_array_equal(twin.score_samples(X), whole.score_samples(X))


# ---- In company ----


def test_a_pipeline_of_words() -> None:
    texts = ["the cat sat", "the dog sat", "a dog and a cat", "cats and dogs", "the mat"] * 8
    search = GridSearchCV(
        make_pipeline(TfidfVectorizer(), MaxAbsScaler(), AutoEncoder(epochs=2, random_state=0)),
        {"autoencoder__n_components": [1, 2]},
        cv=2,
        error_score="raise",
    )
    assert search.fit(texts).transform(texts).shape == (40, search.best_params_["autoencoder__n_components"])


def test_dense_rows_load_no_scipy() -> None:
    code = """if True:
        import sys, numpy as np, diabolo
        diabolo.AutoEncoder(1, epochs=1).fit(np.eye(3)).transform(np.eye(3))
        assert "scipy" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


PEAK_OF_A_FIT = """if True:
    import sys
    import numpy as np
    from scipy import sparse
    from diabolo import AutoEncoder
    rows, features, stored, code = map(int, sys.argv[1:])
    random = np.random.default_rng(0)
    steps = random.integers(1, 2 * features // stored, (rows, stored), dtype=np.int32)
    columns = np.minimum(np.cumsum(steps, axis=1, dtype=np.int32), features - stored) + np.arange(stored)
    columns = np.sort(columns % features, axis=1).astype(np.int32).ravel()
    starts = np.arange(rows + 1, dtype=np.int32) * stored
    X = sparse.csr_array((random.random(rows * stored, np.float32), columns, starts), shape=(rows, features))
    AutoEncoder(code, epochs=1, random_state=0, n_jobs=2).fit(X).score_samples(X)
    with open("/proc/self/status", encoding="ascii") as status:  # getrusage counts the parent's memory too
        print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:")))
"""


@pytest.mark.parametrize(
    ("rows", "megabytes"), [(20_000, 300), pytest.param(100_000, 1000, marks=pytest.mark.slow)]
)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_memory(rows: int, megabytes: int) -> None:
    """Made dense, X alone would take 80,000 bytes a row."""
    command = [sys.executable, "-c", PEAK_OF_A_FIT, str(rows), "20000", "100", "2"]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(finished.stdout) < megabytes


def test_a_listed_gradient_has_no_product_with_sparse_rows() -> None:
    X = counts(features=64)
    with pytest.raises(InvalidParameterError, match="k must be above n_components / 16 when X is sparse"):
        SparseAutoEncoder(64, sparsity="top_k", k=4, epochs=1).fit(X)
    deep = SparseAutoEncoder(64, hidden_layer_sizes=(20,), sparsity="top_k", k=4, epochs=2, random_state=0)
    first = deep.fit(X).get_weights()
    second = deep.fit(X.toarray()).get_weights()
    assert all(np.allclose(first[name], second[name], atol=1e-5) for name in first)


def test_the_core_takes_no_dense_rows_for_sparse_ones() -> None:
    X = counts()
    model = hourglass([60, 5]).model()
    with pytest.raises(ValueError, match="only sparse rows tell which elements are stored"):
        trainer(model, X.toarray(), stored_only=True)
    with pytest.raises(ValueError, match="only sparse rows tell which elements are stored"):
        model.row_errors(_core.Rows(X.toarray()), "mse", 1, stored_only=True)
    with pytest.raises(ValueError, match="a trainer for sparse rows takes only such"):
        trainer(model, rows_of(X)).gradients(_core.Rows(X.toarray()))
    with pytest.raises(ValueError, match="are read by their stored elements"):
        rows_of(X).column_moments(1)
    model.set_scaler(np.ones(60), np.ones(60))
    with pytest.raises(ValueError, match="sparse rows are not scaled"):
        trainer(model, rows_of(X))
    with pytest.raises(ValueError, match="sparse rows are not scaled"):
        model.transform(rows_of(X), 1)


def test_the_plan_counts_sparse_rows() -> None:
    layers = Architecture([20_000, 64, 20_000], ["relu", "identity"]).specs()
    rule = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0)
    dense, thin, full = (
        _core.Trainer.planned_bytes(
            layers, 1000, batch_size=256, rule=rule, clip=False, shuffle="rows", threads=1, most_stored=stored
        )
        for stored in (None, 100, 20_000)
    )
    assert thin < dense < full
    assert full - thin == 3 * 4 * 256 * (20_000 - 112)
