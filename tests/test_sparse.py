"""Sparse autoencoders: penalties and k-sparse codes against the oracle, and the estimator."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_sparse
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    Float32Array,
    completed_weights,
    data,
    digest,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import InvalidParameterError, SparseAutoEncoder, _core
from reference import Layer

FEATURES, HIDDEN, UNITS = 70, 45, 83
# Layers between the code's dense one and the decoder, by their settings in the core and in the oracle.
KINDS: dict[str, dict[str, Any]] = {
    "l1": {"l1": 1e-2},
    "kl": {"kl": 1e-1, "rho": 0.1},
    "both": {"l1": 1e-2, "kl": 1e-1, "rho": 0.2},
    "top_k": {"k": 7},
    "top_k, listed": {"k": 5},  # few enough that neighbouring layers work on lists
}
CODE_ACTIVATIONS = {
    "l1": "tanh",
    "kl": "sigmoid",
    "both": "sigmoid",
    "top_k": "tanh",
    "top_k, listed": "tanh",
}


def layers_of(
    kind: str, code_activation: str | None = None, tied: bool = False
) -> tuple[list[Layer], list[Layer]]:
    activation = code_activation or CODE_ACTIVATIONS[kind]
    encoder = [Layer("encoder.0", "tanh"), Layer("encoder.1", activation)]
    mirrored = ("encoder.1", "encoder.0") if tied else (None, None)
    return encoder, [Layer("decoder.0", "tanh", mirrored[0]), Layer("decoder.1", "sigmoid", mirrored[1])]


def core_model(
    kind: str,
    isa: str | None = None,
    decay: float = 0.0,
    code_activation: str | None = None,
    tied: bool = False,
) -> _core.Model:
    settings = KINDS[kind]
    sparse: _core.TopK | _core.ActivityPenalty
    if "k" in settings:
        sparse = _core.TopK(UNITS, settings["k"])
    else:
        sparse = _core.ActivityPenalty(
            UNITS, settings.get("l1", 0.0), settings.get("kl", 0.0), settings.get("rho", 0.05), decay
        )
    encoder, decoder = layers_of(kind, code_activation, tied)
    widths = {"encoder.0": (FEATURES, HIDDEN), "encoder.1": (HIDDEN, UNITS)}
    widths |= {"decoder.0": (UNITS, HIDDEN), "decoder.1": (HIDDEN, FEATURES)}
    dense = [
        _core.Dense(layer.name, *widths[layer.name], layer.activation, "glorot_uniform", layer.tied_to or "")
        for layer in (*encoder, *decoder)
    ]
    with forced_isa(isa):
        model = _core.Model([*dense[:2], sparse, *dense[2:]], 3, 1)
    random = np.random.default_rng(0)
    return model.with_weights(
        {
            name: w if name.endswith(".kernel") else w + 0.1 * random.normal(size=w.shape).astype(np.float32)
            for name, w in model.get_weights().items()
        }
    )


def oracle(
    kind: str,
    weights: dict[str, Any],
    x: np.ndarray[Any, Any],
    mask: Any = None,
    running: Any = None,
    code_activation: str | None = None,
    tied: bool = False,
) -> Any:
    settings = {name: value for name, value in KINDS[kind].items() if name != "k"}
    encoder, decoder = layers_of(kind, code_activation, tied)
    return reference_sparse.loss_and_gradients(
        encoder, decoder, weights, x, "binary_crossentropy", mask=mask, running=running, **settings
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_s_gradients(kind: str) -> None:
    """By a complex step along a random direction in all weights."""
    weights = {name: w.astype(np.float64) for name, w in core_model(kind).get_weights().items()}
    x = data(13, FEATURES).astype(np.float64)
    mask = None
    if "k" in KINDS[kind]:
        encoder, _ = layers_of(kind)
        code = reference.forward(encoder, weights, x).y["encoder.1"]
        mask = reference_sparse.kept_by_top_k(code, KINDS[kind]["k"])
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=w.shape) for name, w in weights.items()}
    loss = oracle(kind, {n: w + 1e-30j * direction[n] for n, w in weights.items()}, x, mask)[0]
    gradients = oracle(kind, weights, x, mask)[2]
    along = sum(float(np.sum(gradients[name] * direction[name])) for name in weights)
    assert loss.imag / 1e-30 == pytest.approx(along, rel=1e-12)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize(
    ("kind", "code_activation"),
    [
        *((kind, None) for kind in KINDS),
        *((kind, "gelu") for kind in ("l1", "top_k", "top_k, listed")),
        *((kind, "prelu") for kind in ("top_k", "top_k, listed")),
    ],
)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, kind: str, code_activation: str | None, tied: bool) -> None:
    """Over three slabs of a batch, or with kl or lists over a batch as a whole."""
    model = core_model(kind, isa, code_activation=code_activation, tied=tied)
    x = data(600, FEATURES)
    mask = None
    if "k" in KINDS[kind]:
        code = model.transform(_core.Rows(x), 1)
        mask = code != 0
        assert (mask.sum(axis=1) == KINDS[kind]["k"]).all()
    loss, reconstruction, gradients = trainer(model, x, loss="binary_crossentropy", batch_size=600).gradients(
        _core.Rows(x)
    )
    expected_loss, expected_reconstruction, expected, _ = oracle(
        kind, model.get_weights(), x.astype(np.float64), mask, code_activation=code_activation, tied=tied
    )
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert reconstruction == pytest.approx(expected_reconstruction, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


@pytest.mark.parametrize("isa", ISAS)
def test_running_means(isa: str) -> None:
    """Two epochs of three steps with SGD: the mean activities are remembered from step to step."""
    model = core_model("kl", isa, decay=0.7)
    x = data(300, FEATURES)
    rule = _core.UpdateRule.sgd(0.0, False)
    of = trainer(
        model,
        x,
        x[:50],
        loss="binary_crossentropy",
        batch_size=100,
        epochs=2,
        rule=rule,
        learning_rate=0.5,
        shuffle="none",
    )
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    sgd, r = reference.SGD(), None
    for _ in range(2):
        losses = []
        for step in range(3):
            batch = x[100 * step : 100 * step + 100].astype(np.float64)
            loss, _, gradients, r = oracle("kl", weights, batch, running=None if r is None else (0.7, r))
            weights = sgd.update(weights, gradients, 0.5)
            losses.append(loss)
        assert of.run_epoch(None).loss == pytest.approx(np.mean(losses), rel=1e-6)
    for name, weight in completed_weights(of).items():
        assert relative_error(weight, weights[name]) < 1e-5, name
    penalty = 0.1 * reference_sparse.divergence(r, 0.1)[0]
    loss, reconstruction = of.validation_losses()
    assert loss - reconstruction == pytest.approx(penalty, rel=1e-5)


@pytest.mark.parametrize("lazy", [False, True], ids=["exact", "lazy"])
@pytest.mark.parametrize("isa", ISAS)
def test_adam_on_lists(isa: str, lazy: bool) -> None:
    """Small batches, so that most units are active in none: their moments decay, or stay."""
    kind, steps, rows = "top_k, listed", 6, 4
    model = core_model(kind, isa)
    x = data(steps * rows, FEATURES)
    rule = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0)
    of = trainer(
        model,
        x,
        loss="binary_crossentropy",
        batch_size=rows,
        rule=rule.lazy() if lazy else rule,
        learning_rate=1e-2,
        shuffle="none",
    )
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    adam = reference_sparse.LazyAdam("encoder.1.kernel", "decoder.0.kernel") if lazy else reference.Adam()
    seldom_active = 0
    for step in range(steps):
        batch = x[rows * step : rows * step + rows].astype(np.float64)
        code = reference.forward(layers_of(kind)[0], weights, batch).y["encoder.1"]
        mask = reference_sparse.kept_by_top_k(code, KINDS[kind]["k"])
        if isinstance(adam, reference_sparse.LazyAdam):
            adam.active = mask.any(axis=0)
        seldom_active += int(np.sum(~mask.any(axis=0)))
        weights = adam.update(weights, oracle(kind, weights, batch, mask)[2], 1e-2)
    assert seldom_active > 0.5 * steps * UNITS  # or lazy and exact are the same
    assert of.run_epoch(None).outcome == "completed"
    for name, weight in completed_weights(of).items():
        assert relative_error(weight, weights[name]) < 2e-5, name


def top_k(x: Float32Array, k: int, isa: str, threads: int = 1) -> Float32Array:
    """Return the k greatest of each row, by a network that does nothing else."""
    units = x.shape[1]
    layers = [_core.Dense("encoder.0", units, units, "identity", "normal"), _core.TopK(units, k)]
    with forced_isa(isa):
        model = _core.Model([*layers, _core.Dense("decoder.0", units, units, "identity", "normal")], 2, 1)
    weights = model.get_weights()
    weights["encoder.0.kernel"] = np.eye(units, dtype=np.float32)
    return model.with_weights(weights).transform(_core.Rows(x), threads)


@pytest.mark.parametrize("units", [1, 2, 15, 16, 17, 64, 97, 300, 1500])
@pytest.mark.parametrize("isa", ISAS)
def test_top_k(isa: str, units: int) -> None:
    """With ties, signed zeros and negative numbers; every k of a narrow code, some of a wide one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, units)).astype(np.float32)
    x[10:20] = np.round(x[10:20])
    x[20:30] = -np.abs(x[20:30])
    x[30:] = 0.25
    x[31, units // 2 :] = 0.5  # many equals, some of them above the rest
    for k in {1, 2, units // 50, units // 20, units // 2, units - 1, units} & set(range(1, units + 1)):
        expected = np.where(reference_sparse.kept_by_top_k(x, k), x, np.float32(0))
        np.testing.assert_array_equal(top_k(x, k, isa), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [100, 600])
def test_same_bits_for_any_number_of_threads(kind: str, batch_size: int) -> None:
    x = data(701, FEATURES)
    found: dict[tuple[str, int], Any] = {}
    for isa in ISAS:
        model = core_model(kind, isa, decay=0.5)
        for threads in (1, 2, 3, 7):
            of = trainer(
                model, x, x[:300], threads=threads, batch_size=batch_size, loss="binary_crossentropy"
            )
            report = of.run_epoch(None)
            assert report.outcome == "completed"
            losses = (report.loss, report.reconstruction_loss, report.measures, of.validation_losses())
            found[isa, threads] = digest(completed_weights(of)), losses
            assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


# ------------------------------------------------------------------------------------------------------------
# The estimator
# ------------------------------------------------------------------------------------------------------------


def sparse(**changes: Any) -> SparseAutoEncoder:
    settings: dict[str, Any] = {"n_components": 24, "epochs": 5, "batch_size": 32, "random_state": 0, "k": 3}
    return SparseAutoEncoder(**{**settings, **changes})


def test_history_counts_activities() -> None:
    """At a learning rate of next to nothing, the epoch's counts are those of the codes afterwards."""
    x = data(200, 6)
    for kind, threshold in (("l1", 0.0), ("kl", 0.1), ("top_k", 0.0)):
        fitted = sparse(sparsity=kind, learning_rate=1e-30, epochs=2, validation_fraction=0.1, shuffle=False)
        history = fitted.fit(x).history_
        active = np.abs(fitted.transform(x[:180])) > threshold
        assert history["active_units"] == [pytest.approx(active.sum(axis=1).mean())] * 2
        assert history["dead_units"] == [float(np.sum(~active.any(axis=0)))] * 2
        assert len(history["val_loss"]) == 2


def test_sparsity_is_reached() -> None:
    x = data(1000, 20)
    plain = sparse(sparsity_weight=0.0, epochs=40).fit(x)
    l1 = sparse(sparsity_weight=1e-2, epochs=40).fit(x)
    assert np.abs(l1.transform(x)).sum() < 0.5 * np.abs(plain.transform(x)).sum()
    kl = sparse(sparsity="kl", sparsity_weight=1.0, sparsity_target=0.1, epochs=100).fit(x)
    np.testing.assert_allclose(kl.transform(x).mean(axis=0), 0.1, atol=0.03)
    codes = sparse(sparsity="top_k").fit_transform(x)
    assert ((codes != 0).sum(axis=1) <= 3).all()


def test_no_penalty_is_the_plain_network() -> None:
    x = data(200, 6)
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 32, "random_state": 0}
    plain = diabolo.AutoEncoder(24, code_activation="relu", **settings).fit(x)
    for changes in ({"sparsity_weight": 0.0}, {"sparsity": "top_k", "k": 24, "code_activation": "relu"}):
        fitted = SparseAutoEncoder(24, **settings, **changes).fit(x)  # type: ignore[arg-type]
        assert digest(fitted.get_weights()) == digest(plain.get_weights())
        np.testing.assert_array_equal(fitted.reconstruct(x), plain.reconstruct(x))


@pytest.mark.parametrize("kind", ["l1", "kl", "top_k"])
@pytest.mark.parametrize("tied", [False, True])
def test_saved_pickled_and_loaded(kind: str, tied: bool, tmp_path: Path) -> None:
    x = data(100, 6)
    fitted = sparse(sparsity=kind, tied_weights=tied, scale="standard", hidden_layer_sizes=(8,)).fit(x)
    fitted.save(tmp_path / "sparse.safetensors")
    for copy in (diabolo.load(tmp_path / "sparse.safetensors"), pickle.loads(pickle.dumps(fitted))):
        assert isinstance(copy, SparseAutoEncoder)
        assert copy.get_params() == fitted.get_params()
        assert copy.history_ == fitted.history_
        np.testing.assert_array_equal(copy.transform(x), fitted.transform(x))
        np.testing.assert_array_equal(copy.reconstruct(x), fitted.reconstruct(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": "l0"}, "sparsity must be one of 'l1', 'kl', 'top_k'. Got 'l0'"),
        ({"sparsity_weight": -1.0}, "sparsity_weight must be a finite number >= 0. Got -1.0"),
        ({"sparsity_target": 0.0}, r"sparsity_target must be a number in \(0, 1\). Got 0.0"),
        ({"sparsity_target": 1.0}, r"sparsity_target must be a number in \(0, 1\). Got 1.0"),
        ({"sparsity_decay": 1.0}, r"sparsity_decay must be a number in \[0, 1\). Got 1.0"),
        ({"k": 0}, "k must be an int >= 1. Got 0"),
        (
            {"lazy_adam": True},
            "lazy_adam must be False unless sparsity='top_k' and k is at most n_components / 16. Got True",
        ),
        ({"lazy_adam": True, "sparsity": "top_k", "k": 2}, "lazy_adam must be False unless sparsity='top_k'"),
        (
            {"lazy_adam": True, "sparsity": "top_k", "k": 1, "optimizer": "sgd"},
            "optimizer must be 'adam' or an Adam when lazy_adam=True. Got SGD",
        ),
        (
            {"lazy_adam": True, "sparsity": "top_k", "k": 1, "optimizer": "adamw"},
            "optimizer must be 'adam' or an Adam when lazy_adam=True. Got AdamW",
        ),
        (
            {"lazy_adam": True, "sparsity": "top_k", "k": 1, "l2": 1e-3},
            "l2 must be 0 when lazy_adam=True",
        ),
        ({"lazy_adam": "yes"}, "lazy_adam must be True or False"),
        ({"k": 25, "sparsity": "top_k"}, "k must be at most n_components=24 when sparsity='top_k'. Got 25"),
        (
            {"sparsity": "kl", "code_activation": "relu"},
            "code_activation must be 'auto' or 'sigmoid' when sparsity='kl'",
        ),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"SparseAutoEncoder: {message}"):
        sparse(**changes).fit(data(10, 3))


def test_a_divergence_is_seen() -> None:
    """Top-k must not drop the NaN that would tell of it."""
    with pytest.raises(diabolo.TrainingDivergedError):
        sparse(sparsity="top_k", learning_rate=1e30, optimizer="sgd").fit(data(100, 6))


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.2}, {"batch_norm": True}], ids=str)
def test_lazy_adam_beside_regularisation(changes: dict[str, Any]) -> None:
    """Dropout and batch normalisation do not stand between the code and the weights it leaves alone."""
    x = data(40, 20)
    settings: dict[str, Any] = {"n_components": 400, "sparsity": "top_k", "k": 2, "hidden_layer_sizes": (30,)}
    fitted = {}
    for lazy in (False, True):
        begun = sparse(**settings, **changes, epochs=1, learning_rate=1e-2, lazy_adam=lazy).fit(x)
        fitted[lazy] = begun.get_weights()
    names = ("encoder.1.kernel", "decoder.0.kernel")
    begin = sparse(**settings, **changes, epochs=1, learning_rate=1e-30, lazy_adam=True).fit(x).get_weights()
    for name in names:
        axis = 1 if name.startswith("encoder") else 0
        moved = (fitted[True][name] != begin[name]).any(axis=1 - axis)
        assert 0 < moved.sum() < 200  # units that were active in a batch, and no others
        assert digest({"": fitted[True][name]}) != digest({"": fitted[False][name]})


def test_a_lazy_rule_without_a_list_is_refused() -> None:
    model = core_model("top_k")
    rule = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0).lazy()
    with pytest.raises(ValueError, match="a lazy optimizer needs a code that goes on as a list"):
        trainer(model, data(10, FEATURES), rule=rule)
