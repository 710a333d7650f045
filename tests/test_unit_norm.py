"""Decoder vectors of norm 1: steps against the oracle, the same bits everywhere, and the estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_sparse
from core_helpers import FUSED_ISAS, ISAS, completed_weights, data, digest, relative_error, trainer
from diabolo import InvalidParameterError, SparseAutoEncoder, _core
from reference_unit_norm import UnitNorm
from top_k_networks import FEATURES, FEW, MANY, UNITS, TopKNetwork, widened

NETWORKS = {
    "listed": TopKNetwork(FEW, unit_norm=True),
    "listed, deep": TopKNetwork(FEW, deep_encoder=True, deep_decoder=True, unit_norm=True),
    "listed, tied": TopKNetwork(FEW, tied=True, unit_norm=True),
    "listed, deep, tied": TopKNetwork(FEW, deep_encoder=True, deep_decoder=True, tied=True, unit_norm=True),
    "dense": TopKNetwork(MANY, unit_norm=True),
    "dense, deep": TopKNetwork(MANY, deep_encoder=True, deep_decoder=True, unit_norm=True),
    "dense, tied": TopKNetwork(MANY, tied=True, unit_norm=True),
}
ADAM = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0)
# The core's rule, the oracle's, and further settings of both.
RULES: dict[str, tuple[Any, Any, dict[str, float]]] = {
    "adam": (ADAM, reference.Adam, {}),
    "sgd": (_core.UpdateRule.sgd(0.0, False), reference.SGD, {}),
    "momentum": (_core.UpdateRule.sgd(0.9, True), lambda: reference.SGD(0.9, nesterov=True), {}),
    "adamw": (
        _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.1),
        lambda: reference.AdamW(weight_decay=0.1),
        {},
    ),
    "penalties": (ADAM, reference.Adam, {"l1": 1e-3, "l2": 1e-2}),
    "clipping": (_core.UpdateRule.sgd(0.0, False), reference.SGD, {"clip_norm": 0.02}),
}


def norms(network: TopKNetwork, weights: Any) -> np.ndarray[Any, Any]:
    kernel, axis = network.of_code
    return np.asarray(np.linalg.norm(weights[kernel].astype(np.float64), axis=1 - axis))


@pytest.mark.parametrize("name", NETWORKS)
def test_vectors_begin_with_norm_1(name: str) -> None:
    network = NETWORKS[name]
    ours = network.model().get_weights()
    np.testing.assert_allclose(norms(network, ours), 1.0, rtol=2e-7)
    kernel, axis = network.of_code
    plain = TopKNetwork(network.k, network.deep_encoder, network.deep_decoder, network.tied)
    theirs = plain.model().get_weights()
    lengths = np.expand_dims(norms(plain, theirs), 1 - axis)
    np.testing.assert_allclose(ours.pop(kernel), theirs.pop(kernel) / lengths, rtol=1e-6)
    assert digest(ours) == digest(theirs)


@pytest.mark.parametrize(
    ("name", "rule"),
    [*((name, "adam") for name in NETWORKS), *(("listed", rule) for rule in RULES)]
    + [(name, rule) for rule in ("clipping", "penalties") for name in ("dense", "dense, tied")],
)
@pytest.mark.parametrize("isa", ISAS)
def test_steps(isa: str, name: str, rule: str) -> None:
    """Of batches of 300 rows, which pass in two slabs but for lists."""
    network = NETWORKS[name]
    of_core, of_oracle, settings = RULES[rule]
    model = network.model(isa)
    x = data(900, FEATURES)
    rate = 1e-2
    of = trainer(model, x, rule=of_core, learning_rate=rate, batch_size=300, shuffle="none", **settings)
    weights = widened(model.get_weights())
    kernel, axis = network.of_code
    clip_norm = settings.get("clip_norm")
    l1, l2 = settings.get("l1", 0.0), settings.get("l2", 0.0)
    optimizer = UnitNorm(of_oracle(), kernel, axis, clip_norm)
    lengths = []
    for step in range(3):
        batch = x[300 * step : 300 * step + 300].astype(np.float64)
        mask = network.kept(weights, batch)
        gradients = reference_sparse.loss_and_gradients(
            network.encoder, network.decoder, weights, batch, "mse", mask=mask
        )[2]
        for each in weights:
            if reference.is_kernel(each):
                gradients[each] = gradients[each] + reference.kernel_penalty_gradient(weights[each], l1, l2)
        lengths.append(np.sqrt(sum(np.sum(g * g) for g in gradients.values())))
        weights = optimizer.update(weights, gradients, rate)
    assert clip_norm is None or min(lengths) > 2 * clip_norm  # or there is nothing to clip
    assert of.run_epoch(None).outcome == "completed"
    got = completed_weights(of)
    for each, weight in got.items():
        assert relative_error(weight, weights[each]) < 2e-5, each
    np.testing.assert_allclose(norms(network, got), 1.0, rtol=2e-7)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_lazy_steps(isa: str, tied: bool) -> None:
    """Small batches, so that most units are active in none, and keep every bit of their vectors."""
    network = TopKNetwork(2, tied=tied, unit_norm=True)
    model = network.model(isa)
    steps, rows = 4, 3
    x = data(steps * rows, FEATURES)
    of = trainer(model, x, rule=ADAM.lazy(), learning_rate=1e-2, batch_size=rows, shuffle="none")
    weights = widened(model.get_weights())
    kernel, axis = network.of_code
    lazy = reference_sparse.LazyAdam("encoder.0.kernel", None if tied else "decoder.0.kernel")
    optimizer = UnitNorm(lazy, kernel, axis)
    ever = np.zeros(UNITS, dtype=bool)
    for step in range(steps):
        batch = x[rows * step : rows * step + rows].astype(np.float64)
        mask = network.kept(weights, batch)
        lazy.active = mask.any(axis=0)
        ever |= lazy.active
        weights = optimizer.update(
            weights,
            reference_sparse.loss_and_gradients(
                network.encoder, network.decoder, weights, batch, "mse", mask=mask
            )[2],
            1e-2,
        )
    assert of.run_epoch(None).outcome == "completed"
    got = completed_weights(of)
    for each, weight in got.items():
        assert relative_error(weight, weights[each]) < 2e-5, each
    untouched = np.compress(~ever, got[kernel], axis)
    assert untouched.size > 0
    np.testing.assert_array_equal(untouched, np.compress(~ever, model.get_weights()[kernel], axis))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_same_bits_for_any_number_of_threads(name: str, clip_norm: float) -> None:
    x = data(701, FEATURES)
    found: dict[tuple[str, int], str] = {}
    for isa in ISAS:
        model = NETWORKS[name].model(isa)
        for threads in (1, 2, 3, 7):
            of = trainer(model, x, threads=threads, batch_size=300, clip_norm=clip_norm)
            assert of.run_epoch(None).outcome == "completed"
            found[isa, threads] = digest(completed_weights(of))
            assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


def test_a_vector_of_zeros_stays_one() -> None:
    """And turns none of the others' numbers into NaN."""
    network = NETWORKS["listed"]
    model = network.model()
    weights = model.get_weights()
    weights["decoder.0.kernel"][3] = 0.0
    weights["encoder.0.bias"][3] = -100.0  # never active
    of = trainer(model.with_weights(weights), data(300, FEATURES), l2=0.01)
    assert of.run_epoch(None).outcome == "completed"
    got = completed_weights(of)
    assert not got["decoder.0.kernel"][3].any()
    np.testing.assert_allclose(np.delete(norms(network, got), 3), 1.0, rtol=2e-7)


def test_a_norm_beyond_float32_is_a_divergence() -> None:
    network = NETWORKS["listed"]
    model = network.model()
    weights = model.get_weights()
    weights["decoder.0.kernel"][3] = 1e30
    weights["encoder.0.bias"][3] = -100.0
    of = trainer(model.with_weights(weights), data(300, FEATURES))
    assert of.run_epoch(None).outcome == "weight_not_finite"


# ------------------------------------------------------------------------------------------------------------
# The estimator
# ------------------------------------------------------------------------------------------------------------


def sparse(**changes: Any) -> SparseAutoEncoder:
    settings: dict[str, Any] = {"sparsity": "top_k", "k": 3, "epochs": 4, "batch_size": 32, "random_state": 0}
    return SparseAutoEncoder(48, **{**settings, "unit_norm_decoder": True, **changes})


def decoder_norms(fitted: SparseAutoEncoder) -> np.ndarray[Any, Any]:
    return np.asarray(np.linalg.norm(fitted.get_weights()["decoder.0.kernel"], axis=1))


def test_the_estimator_keeps_them(tmp_path: Path) -> None:
    x = data(200, 9)
    fitted = sparse(checkpoint=tmp_path / "run").fit(x)
    np.testing.assert_allclose(decoder_norms(fitted), 1.0, rtol=3e-7)
    sparse(epochs=2, checkpoint=tmp_path / "half").fit(x)
    for start in ("run", "half"):
        assert isinstance(diabolo.load(tmp_path / start), SparseAutoEncoder)
    further = sparse().partial_fit(x).partial_fit(x[:50])
    np.testing.assert_allclose(decoder_norms(further), 1.0, rtol=3e-7)
    warm = sparse(warm_start=True, unit_norm_decoder=False).fit(x)
    assert abs(decoder_norms(warm) - 1.0).max() > 0.1
    np.testing.assert_allclose(decoder_norms(warm.set_params(unit_norm_decoder=True).fit(x)), 1.0, rtol=3e-7)


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    x = data(200, 9)

    def stop_after_two(state: Any) -> bool:
        return len(state.history["loss"]) == 2

    class Stop:
        on_epoch_end = staticmethod(stop_after_two)

    whole = sparse().fit(x)
    path = tmp_path / "run"
    sparse(checkpoint=path, callbacks=[Stop()]).fit(x)
    assert digest(sparse().fit(x, resume_from=path).get_weights()) == digest(whole.get_weights())


def test_exports_know_nothing_of_it() -> None:
    """The network of unit vectors is the same network as any other of these weights."""
    x = data(100, 9)
    fitted = sparse(scale="standard").fit(x)
    plain = sparse(scale="standard", unit_norm_decoder=False).fit(x).set_weights(fitted.get_weights())
    np.testing.assert_array_equal(fitted.reconstruct(x), plain.reconstruct(x))


def test_bad_parameters() -> None:
    message = "SparseAutoEncoder: unit_norm_decoder must be False unless sparsity='top_k'. Got True"
    for sparsity in ("l1", "kl"):
        with pytest.raises(InvalidParameterError, match=message):
            sparse(sparsity=sparsity).fit(data(10, 3))
    with pytest.raises(InvalidParameterError, match="unit_norm_decoder must be True or False"):
        sparse(unit_norm_decoder=1.5).fit(data(10, 3))
