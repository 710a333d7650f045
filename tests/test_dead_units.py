"""Dead units that learn from the residual: the auxiliary loss against the oracle, and the estimator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_sparse
import test_cpp_load
import test_sample_weights
from core_helpers import FUSED_ISAS, ISAS, completed_weights, data, digest, relative_error, trainer
from diabolo import InvalidParameterError, SparseAutoEncoder, _core
from reference_dead_units import Held, RowsSinceActive, loss_and_gradients
from reference_unit_norm import UnitNorm
from top_k_networks import FEATURES, FEW, MANY, UNITS, TopKNetwork, widened

ALL_AT_ONCE = (6, 0.5, 1)  # units are dead that are active in no row of a batch
NETWORKS = {
    "listed": TopKNetwork(FEW, auxiliary=ALL_AT_ONCE),
    "listed, many": TopKNetwork(FEW, auxiliary=(UNITS, 0.5, 1)),  # more than are dead
    "listed, deep": TopKNetwork(FEW, deep_encoder=True, code_activation="tanh", auxiliary=ALL_AT_ONCE),
    "listed, tied": TopKNetwork(FEW, tied=True, auxiliary=ALL_AT_ONCE),
    "listed, relu": TopKNetwork(FEW, code_activation="relu", auxiliary=ALL_AT_ONCE),
    "dense": TopKNetwork(MANY, auxiliary=ALL_AT_ONCE),
    "dense, many": TopKNetwork(MANY, auxiliary=(UNITS, 0.5, 1)),
    "dense, deep": TopKNetwork(MANY, deep_encoder=True, code_activation="tanh", auxiliary=ALL_AT_ONCE),
    "dense, tied": TopKNetwork(MANY, tied=True, auxiliary=ALL_AT_ONCE),
    "dense, prelu": TopKNetwork(MANY, code_activation="prelu", auxiliary=ALL_AT_ONCE),
}


def oracle(
    network: TopKNetwork,
    weights: reference.Weights,
    x: np.ndarray[Any, Any],
    dead: reference.Array | None = None,
    held: Held | None = None,
    mask: reference.Array | None = None,
) -> Any:
    if mask is None:
        mask = network.kept(weights, x)
    if dead is None:
        active = mask & (network.activities(weights, x) != 0)
        dead = RowsSinceActive(UNITS, network.auxiliary[2]).dead_after_batch(active)
    k, weight, _ = network.auxiliary
    return loss_and_gradients(network.encoder, network.decoder[0], weights, x, mask, dead, k, weight, held)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_oracle_s_gradients(name: str) -> None:
    """By a complex step along a random direction in all weights; the residual, and who is dead, stay."""
    network = NETWORKS[name]
    weights = widened(network.model().get_weights())
    x = data(13, FEATURES).astype(np.float64)
    mask = network.kept(weights, x)
    *_, gradients, held = oracle(network, weights, x, mask=mask)
    random = np.random.default_rng(1)
    direction = {each: random.normal(size=w.shape) for each, w in weights.items()}
    moved = {each: w + 1e-30j * direction[each] for each, w in weights.items()}
    loss = oracle(network, moved, x, mask=mask, dead=np.zeros(UNITS, dtype=bool), held=held)[0]
    along = sum(float(np.sum(gradients[each] * direction[each])) for each in weights)
    assert loss.imag / 1e-30 == pytest.approx(along, rel=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, name: str) -> None:
    network = NETWORKS[name]
    model = network.model(isa)
    x = data(600, FEATURES)
    expected_loss, expected_reconstruction, auxiliary, expected, held = oracle(
        network, widened(model.get_weights()), x.astype(np.float64)
    )
    chosen = held.chosen.sum(axis=1)
    assert (chosen == chosen[0]).all()
    assert 0 < chosen[0] <= network.auxiliary[0]
    assert (chosen[0] < network.auxiliary[0]) == ("many" in name)
    assert auxiliary > 0.5
    loss, reconstruction, gradients = trainer(model, x, batch_size=600).gradients(_core.Rows(x))
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert reconstruction == pytest.approx(expected_reconstruction, rel=1e-6)
    for each, gradient in gradients.items():
        assert relative_error(gradient, expected[each]) < 5e-6, each


@pytest.mark.parametrize("name", ["listed", "dense", "listed, tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_weighted_rows(isa: str, name: str) -> None:
    """A row of weight k is k copies of it."""
    network = NETWORKS[name]
    model = network.model(isa)
    x = data(test_sample_weights.ROWS, FEATURES)
    many = test_sample_weights.copies(x)
    loss, reconstruction, _, expected, _ = oracle(network, widened(model.get_weights()), many)
    got = test_sample_weights.gradients(model, x, test_sample_weights.COUNTS, loss="mse")
    test_sample_weights.assert_same(got, loss, reconstruction, expected)


ADAM = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0)


@pytest.mark.parametrize("unit_norm", [False, True], ids=["any norm", "unit norm"])
@pytest.mark.parametrize("name", ["listed", "listed, lazy", "listed, tied", "listed, tied, lazy", "dense"])
@pytest.mark.parametrize("isa", ISAS)
def test_steps(isa: str, name: str, unit_norm: bool) -> None:
    """Batches of 3 rows; after 7 rows without it, a unit is dead until it is active again."""
    steps, rows, rate = 8, 3, 1e-2
    lazy = name.endswith("lazy")
    network = dataclasses.replace(
        NETWORKS[name.removesuffix(", lazy")], auxiliary=(4, 0.5, 7), unit_norm=unit_norm
    )
    model = network.model(isa)
    x = data(steps * rows, FEATURES)
    of = trainer(
        model,
        x,
        batch_size=rows,
        rule=ADAM.lazy() if lazy else ADAM,
        learning_rate=rate,
        shuffle="none",
    )
    weights = widened(model.get_weights())
    adam = (
        reference_sparse.LazyAdam("encoder.0.kernel", None if network.tied else "decoder.0.kernel")
        if lazy
        else reference.Adam()
    )
    optimizer = UnitNorm(adam, *network.of_code) if unit_norm else adam
    since_active = RowsSinceActive(UNITS, network.auxiliary[2])
    losses, auxiliaries, numbers = [], [], []
    for step in range(steps):
        batch = x[rows * step : rows * step + rows].astype(np.float64)
        mask = network.kept(weights, batch)
        dead = since_active.dead_after_batch(mask)
        loss, _, auxiliary, gradients, held = oracle(network, weights, batch, dead)
        losses.append(loss)
        auxiliaries.append(auxiliary)
        numbers.append(int(dead.sum()))
        if isinstance(adam, reference_sparse.LazyAdam):
            adam.active = (mask | held.chosen).any(axis=0)
        weights = optimizer.update(weights, gradients, rate)
    assert numbers[1] == 0 < numbers[2]  # 6 rows, and then 9
    report = of.run_epoch(None)
    assert report.outcome == "completed"
    assert report.measures["auxiliary_loss"] == pytest.approx(np.mean(auxiliaries), rel=1e-5)
    assert report.loss == pytest.approx(np.mean(losses), rel=1e-5)
    for each, weight in completed_weights(of).items():
        assert relative_error(weight, weights[each]) < 5e-5, each


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch_size", [20, 300])
def test_same_bits_for_any_number_of_threads(name: str, batch_size: int) -> None:
    """Also with few rows for each worker, which then pass layer by layer."""
    x = data(701, FEATURES)
    found: dict[tuple[str, int], Any] = {}
    network = dataclasses.replace(NETWORKS[name], auxiliary=(6, 0.5, 200))
    for isa in ISAS:
        model = network.model(isa)
        for threads in (1, 2, 3, 7):
            of = trainer(model, x, x[:100], threads=threads, batch_size=batch_size)
            report = of.run_epoch(None)
            assert report.outcome == "completed"
            assert report.measures["auxiliary_loss"] > 0
            losses = (report.loss, report.reconstruction_loss, report.measures, of.validation_losses())
            found[isa, threads] = digest(completed_weights(of)), losses
            assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


def test_nothing_is_added_where_there_is_no_residual() -> None:
    """A decoder that says nothing reconstructs zeros."""
    network = NETWORKS["listed"]
    model = network.model()
    weights = model.get_weights()
    weights["decoder.0.kernel"][:] = weights["decoder.0.bias"][:] = 0.0
    loss, reconstruction, gradients = trainer(
        model.with_weights(weights), np.zeros((50, FEATURES), dtype=np.float32), batch_size=50
    ).gradients(_core.Rows(np.zeros((50, FEATURES), dtype=np.float32)))
    assert loss == reconstruction == 0.0
    assert not any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("k", [FEW, MANY])
def test_without_dead_units_the_bits_are_the_same(k: int) -> None:
    x = data(300, FEATURES)
    found = []
    for auxiliary in ((0, 0.0, 1), (6, 0.5, 10_000)):
        of = trainer(TopKNetwork(k, auxiliary=auxiliary).model(), x, batch_size=100)
        report = of.run_epoch(None)
        found.append((digest(completed_weights(of)), report.loss))
    assert found[0] == found[1]


def test_a_network_that_has_no_residual_is_refused() -> None:
    code = _core.TopK(9, 2, 3, 0.1, 5)
    encoder = _core.Dense("encoder.0", 4, 9, "identity", "normal")
    decoder = _core.Dense("decoder.0", 9, 4, "sigmoid", "normal")
    with pytest.raises(ValueError, match="the residual of an identity"):
        _core.Model([encoder, code, decoder], 2, 1)
    with pytest.raises(ValueError, match="between a dense layer and a last one"):
        _core.Model([encoder, code, _core.Dense("decoder.0", 9, 4, "identity", "normal"), decoder], 2, 1)
    for bad in (
        {"auxiliary_k": 10},
        {"auxiliary_k": -1},
        {"auxiliary_weight": -1.0},
        {"auxiliary_weight": float("nan")},
        {"dead_after": 0},
        {"dead_after": 2**24 + 1},
    ):
        with pytest.raises(ValueError, match=r"auxiliary|dead"):
            _core.Model([encoder, _core.TopK(9, 2, **bad), decoder], 2, 1)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------
# The estimator
# ------------------------------------------------------------------------------------------------------------


def sparse(**changes: Any) -> SparseAutoEncoder:
    settings: dict[str, Any] = {
        "n_components": 48,
        "sparsity": "top_k",
        "k": 3,
        "auxiliary_k": 8,
        "dead_after": 200,
        "epochs": 4,
        "batch_size": 32,
        "random_state": 0,
    }
    return SparseAutoEncoder(**{**settings, **changes})


@pytest.mark.parametrize("k", [3, 4])
def test_dead_units_come_back_to_life(k: int) -> None:
    """Half of the units never reach the code, until the residual teaches them what is missing there."""
    random = np.random.default_rng(0)
    parts = random.normal(size=(64, 20))  # of which each row has k
    which = np.argsort(random.random((1000, 64)), axis=1)[:, :k]
    x = (parts[which] * random.random((1000, k, 1))).sum(axis=1).astype(np.float32)
    settings: dict[str, Any] = {"n_components": 64, "k": k, "dead_after": 500, "batch_size": 50}
    dead, loss = {}, {}
    for auxiliary_k in (0, 16):
        begun = sparse(**settings, epochs=1, auxiliary_k=0, warm_start=True).fit(x)
        weights = begun.get_weights()
        weights["encoder.0.bias"][32:] = -6.0
        begun.set_weights(weights).set_params(auxiliary_k=auxiliary_k, epochs=60, learning_rate=1e-2)
        history = begun.fit(x).history_
        assert history["dead_units"][0] >= 32
        dead[auxiliary_k] = history["dead_units"][-1]
        loss[auxiliary_k] = history["reconstruction_loss"][-1]
        assert ("auxiliary_loss" in history) == (auxiliary_k > 0)
    assert dead[0] >= 32
    assert dead[16] < 8
    assert loss[16] < 0.9 * loss[0]


def test_history_and_validation() -> None:
    """The auxiliary loss is in the loss, apart, and no part of what validation rows lose."""
    fitted = sparse(validation_fraction=0.2, auxiliary_weight=0.25).fit(data(400, 9))
    history = fitted.history_
    for loss, reconstruction, auxiliary in zip(
        history["loss"], history["reconstruction_loss"], history["auxiliary_loss"], strict=True
    ):
        assert loss == pytest.approx(reconstruction + 0.25 * auxiliary, rel=1e-6)
    assert history["auxiliary_loss"][-1] > 0
    assert history["val_loss"] == history["val_reconstruction_loss"]


def test_saved_and_loaded(tmp_path: Path) -> None:
    x = data(300, 9)
    fitted = sparse(scale="standard").fit(x)
    fitted.save(tmp_path / "sparse")
    copy = diabolo.load(tmp_path / "sparse")
    assert copy.get_params() == fitted.get_params()
    assert copy.history_ == fitted.history_
    np.testing.assert_array_equal(copy.reconstruct(x), fitted.reconstruct(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auxiliary_k": -1}, "auxiliary_k must be an int >= 0. Got -1"),
        ({"auxiliary_k": 49}, "auxiliary_k must be at most n_components=48. Got 49"),
        ({"auxiliary_weight": -1.0}, "auxiliary_weight must be a finite number >= 0. Got -1.0"),
        ({"dead_after": 0}, "dead_after must be an int >= 1. Got 0"),
        ({"dead_after": 2**24 + 1}, r"dead_after must be at most 2\*\*24 = 16777216. Got 16777217"),
        ({"sparsity": "l1"}, "auxiliary_k must be 0 unless sparsity='top_k'. Got 8"),
        ({"loss": "huber"}, "loss must be 'mse' when auxiliary_k > 0"),
        ({"output_activation": "sigmoid"}, "output_activation must be 'auto' or 'identity' when auxiliary_k"),
        ({"hidden_layer_sizes": (5,)}, r"decoder_layer_sizes must be \(\) when auxiliary_k > 0"),
        ({"missing": "mask"}, "missing must be 'error' when auxiliary_k > 0"),
        ({"zeros": "missing"}, "zeros must be 'values' when auxiliary_k > 0"),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"SparseAutoEncoder: {message}"):
        sparse(**changes).fit(data(10, 3))


@pytest.mark.parametrize("k", [3, 4])
def test_partial_fit_counts_on(k: int) -> None:
    """The rows without activity add up from call to call, also where another `dead_after` counts them."""
    x = data(100, 9)
    patient = sparse(k=k, dead_after=250, shuffle=False)
    losses = []
    for _ in range(4):
        losses.append(patient.partial_fit(x).history_["loss"][-1])
    impatient = sparse(k=k, dead_after=250, auxiliary_k=0, shuffle=False)
    plain = [impatient.partial_fit(x).history_["loss"][-1] for _ in range(4)]
    assert losses[:2] == plain[:2]
    assert losses[2] > plain[2]  # in the third call units are dead
    patient.set_params(dead_after=10).partial_fit(x).set_params(dead_after=10_000).partial_fit(x)


def test_exports_know_nothing_of_it(tmp_path: Path) -> None:
    """The code, in C or ONNX, is that of any other network with these weights; files tell more."""
    x = data(100, 9)
    fitted = sparse(scale="standard", unit_norm_decoder=True).fit(x)
    plain = sparse(scale="standard", auxiliary_k=0).fit(x).set_weights(fitted.get_weights())
    for method, name in (("to_c", "model.h"), ("to_onnx", "model.onnx")):
        made = []
        for estimator, folder in ((fitted, tmp_path / "ours"), (plain, tmp_path / "theirs")):
            folder.mkdir(exist_ok=True)
            getattr(estimator, method)(folder / name)
            made.append((folder / name).read_bytes())
        assert made[0] == made[1]


def test_cpp_programs_load_it(tmp_path: Path) -> None:
    x = data(100, 9)
    fitted = sparse(scale="standard", unit_norm_decoder=True, checkpoint=tmp_path / "run").fit(x)
    fitted.save(tmp_path / "model")
    for name in ("model", "run"):
        test_cpp_load.assert_same(tmp_path / name, fitted, x)
