"""Training that goes on: partial_fit, warm_start; and the core's part in it."""

import copy
import math
import pickle
from typing import Any

import numpy as np
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
from estimator_helpers import bits, estimator
from test_determinism import RULES

SMALL = Architecture([7, 5, 3, 5, 7], ["tanh", "prelu", "gelu", "sigmoid"])


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
