"""Batch normalisation and dropout: the core against the oracle, and the estimators that use them."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_noise
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    completed_weights,
    data,
    digest,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import (
    AutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    ModelFileError,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from estimator_helpers import estimator
from reference import Layer
from reference_regularized import Drop, Norm, loss_and_gradients

FEATURES, HIDDEN, UNITS = 70, 45, 19
RATE = 0.3


def core_model(norm: str | None, drop: bool, isa: str | None = None, output: str = "sigmoid") -> _core.Model:
    """Return a network with batch normalisation of this activation, and dropout, of its hidden layers."""
    own = norm is None

    def hidden(name: str, inputs: int) -> list[Any]:
        dense = _core.Dense(
            name, inputs, HIDDEN, "tanh" if own else "identity", "glorot_uniform", trains_bias=own
        )
        more: list[Any] = [] if norm is None else [_core.BatchNorm(f"{name}.norm", HIDDEN, norm)]
        return [dense, *more, *([_core.Dropout(HIDDEN, RATE)] if drop else [])]

    encoder = [*hidden("encoder.0", FEATURES), _core.Dense("encoder.1", HIDDEN, UNITS, "tanh", "normal")]
    decoder = [*hidden("decoder.0", UNITS), _core.Dense("decoder.1", HIDDEN, FEATURES, output, "normal")]
    with forced_isa(isa):
        model = _core.Model([*encoder, *decoder], len(encoder), 1)
    random = np.random.default_rng(0)
    weights = model.get_weights()
    for name, w in weights.items():
        if name.endswith("variance"):
            weights[name] = random.uniform(0.5, 2.0, w.shape).astype(np.float32)
        elif not name.endswith("kernel") and (own or not name.endswith("0.bias")):
            weights[name] = w + 0.1 * random.normal(size=w.shape).astype(np.float32)
    return model.with_weights(weights)


def oracle_layers(norm: str | None, drop: bool, rows: int, step: int = 0, output: str = "sigmoid") -> Any:
    layers: list[Any] = []

    def add_hidden(name: str) -> None:
        layers.append(Layer(name, "tanh" if norm is None else "identity"))
        if norm is not None:
            layers.append(Norm(f"{name}.norm", norm))
        if drop:
            word = reference_noise.words(rows, HIDDEN, 3, reference_noise.TRAINING, step, layer=len(layers))
            dropped = reference_noise.bits(word) < round(RATE * 2**24)
            layers.append(Drop(np.where(dropped, 0.0, 1.0 / (1.0 - RATE))))

    add_hidden("encoder.0")
    layers.append(Layer("encoder.1", "tanh"))
    add_hidden("decoder.0")
    layers.append(Layer("decoder.1", output))
    return layers


CASES = [
    (None, True),
    ("tanh", False),
    ("tanh", True),
    ("gelu", False),
    ("prelu", False),
    ("identity", True),
]


@pytest.mark.parametrize(("norm", "drop"), CASES)
def test_the_oracle_s_gradients(norm: str | None, drop: bool) -> None:
    """By a complex step along a random direction in all weights."""
    weights = {name: w.astype(np.float64) for name, w in core_model(norm, drop).get_weights().items()}
    x, layers = data(13, FEATURES).astype(np.float64), oracle_layers(norm, drop, 13)
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=w.shape) for name, w in weights.items()}
    w = random.random(13) + 0.5
    moved = {name: value + 1e-30j * direction[name] for name, value in weights.items()}
    loss, _ = loss_and_gradients(layers, moved, x, "binary_crossentropy", w / w.mean())
    _, gradients = loss_and_gradients(layers, weights, x, "binary_crossentropy", w / w.mean())
    along = sum(float(np.sum(gradients[name] * direction[name])) for name in weights)
    assert loss.imag / 1e-30 == pytest.approx(along, rel=1e-11)


def assert_gradients(got: Any, expected: Any, norm: str | None) -> None:
    for name, gradient in got.items():
        if norm is not None and name.endswith("0.bias"):  # not trained: its gradient is 0
            assert not gradient.any()
            np.testing.assert_allclose(expected[name], 0.0, atol=1e-12)
        elif name.endswith((".mean", ".variance")):
            assert not gradient.any()
        else:
            assert relative_error(gradient, expected[name]) < 2e-5, name


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("norm", "drop"), CASES)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, norm: str | None, drop: bool, weighted: bool) -> None:
    """Over several blocks of rows."""
    model = core_model(norm, drop, isa)
    x = data(600, FEATURES)
    w = np.random.default_rng(0).random(600) + 0.5
    rows = _core.Rows(x).weighted(w) if weighted else _core.Rows(x)
    for threads in (1, 3):
        of = trainer(model, rows, loss="binary_crossentropy", batch_size=600, threads=threads)
        loss, _, gradients = of.gradients(rows)
        value, expected = loss_and_gradients(
            oracle_layers(norm, drop, 600),
            model.get_weights(),
            x.astype(np.float64),
            "binary_crossentropy",
            w / w.mean() if weighted else 1.0,
        )
        assert loss == pytest.approx(value, rel=1e-6)
        assert_gradients(gradients, expected, norm)


@pytest.mark.parametrize("isa", ISAS)
def test_training_and_running_statistics(isa: str) -> None:
    """Two epochs of SGD, whose last batch is a single row: that is normalised by the running statistics."""
    model = core_model("tanh", True, isa)
    x = data(201, FEATURES)
    rule = _core.UpdateRule.sgd(0.0, False)
    of = trainer(
        model, x, x, loss="binary_crossentropy", batch_size=100, epochs=2, rule=rule, learning_rate=0.3,
        shuffle="none",
    )  # fmt: skip
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    for epoch in range(2):
        sum_of_losses = 0.0
        for step, (begin, end) in enumerate(((0, 100), (100, 200), (200, 201))):
            layers = oracle_layers("tanh", True, end - begin, 3 * epoch + step)
            batch = x[begin:end].astype(np.float64)
            norms = [(i, layer) for i, layer in enumerate(layers) if isinstance(layer, Norm)]
            if end - begin == 1:
                for i, layer in norms:
                    given = weights[f"{layer.name}.mean"], weights[f"{layer.name}.variance"]
                    layers[i] = Norm(layer.name, layer.activation, given)
            loss, gradients = loss_and_gradients(layers, weights, batch, "binary_crossentropy")
            if end - begin > 1:
                weights = with_running_statistics(layers, weights, batch)
            for name in gradients:
                if not name.endswith((".mean", ".variance", "0.bias")):
                    weights[name] = weights[name] - 0.3 * gradients[name]
            sum_of_losses += loss * (end - begin)
        assert of.run_epoch(None).loss == pytest.approx(sum_of_losses / 201, rel=1e-6)
    for name, w in completed_weights(of).items():
        assert relative_error(w, weights[name]) < 2e-5, name

    # Afterwards: by the running statistics, without dropout.
    trained = of.completed_model()
    assert trained is not None
    layers = [
        Norm(layer.name, layer.activation, (weights[f"{layer.name}.mean"], weights[f"{layer.name}.variance"]))
        if isinstance(layer, Norm)
        else layer
        for layer in oracle_layers("tanh", True, 201)
        if not isinstance(layer, Drop)
    ]
    value, _ = loss_and_gradients(layers, weights, x.astype(np.float64), "binary_crossentropy")
    assert of.validation_losses()[0] == pytest.approx(value, rel=1e-5)


def with_running_statistics(layers: Any, weights: Any, batch: Any) -> Any:
    """Return the weights with the running statistics after a batch: momentum 0.9."""
    weights, y = dict(weights), batch
    for layer in layers:
        if isinstance(layer, Layer):
            y = reference.forward([layer], weights, y).y[layer.name]
        elif isinstance(layer, Norm):
            mean, variance = y.mean(axis=0), y.var(axis=0)
            z = (y - mean) / np.sqrt(variance + 1e-5)
            z = weights[f"{layer.name}.scale"] * z + weights[f"{layer.name}.shift"]
            y = reference.ACTIVATIONS[layer.activation].value(z)
            for name, new in (("mean", mean), ("variance", variance)):
                name = f"{layer.name}.{name}"
                weights[name] = 0.9 * weights[name] + 0.1 * new
        else:
            y = y * layer.factors
    return weights


@pytest.mark.parametrize("batch_size", [20, 300])
def test_same_bits_for_any_number_of_threads(batch_size: int) -> None:
    """Also with fewer rows than the workers have tiles for, and workers without a row."""
    x = data(301, FEATURES)
    found = {}
    for isa, threads in itertools.product(ISAS, (1, 2, 3, 7)):
        model = core_model("gelu", True, isa)
        of = trainer(model, x, x, threads=threads, batch_size=batch_size, loss="binary_crossentropy")
        report = of.run_epoch(None)
        found[isa, threads] = digest(completed_weights(of)), report.loss, of.validation_losses()
        assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


def test_the_rate_of_dropout() -> None:
    """Of very many units, in the mean over rows the sum stays."""
    model = core_model(None, True)
    x = data(1, FEATURES).repeat(4000, axis=0)
    layers = oracle_layers(None, True, 4000)
    factors = layers[1].factors
    assert np.mean(factors == 0) == pytest.approx(RATE, abs=0.005)
    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    assert (
        trainer(model, x, loss="binary_crossentropy", batch_size=4000).run_epoch(None).outcome == "completed"
    )


# ------------------------------------------------------------------------------------------------------------
# The estimators
# ------------------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": (16,),
    "dropout": 0.2,
    "batch_norm": True,
    "epochs": 3,
    "batch_size": 32,
    "random_state": 0,
}


@pytest.mark.parametrize(
    "kind",
    [
        AutoEncoder(2),
        AutoEncoder(2, tied_weights=True, activation="prelu"),
        AutoEncoder(2, missing="mask", scale="standard"),
        DenoisingAutoEncoder(2),
        SparseAutoEncoder(8, sparsity="kl", sparsity_decay=0.0),
        SparseAutoEncoder(8, sparsity="top_k", k=2),
        VariationalAutoEncoder(2),
    ],
    ids=repr,
)
def test_every_kind(kind: Any, X: Any, tmp_path: Path) -> None:
    kind.set_params(**SETTINGS)
    fitted = copy.deepcopy(kind).set_params(validation_fraction=0.1).fit(X)
    weights = fitted.get_weights()
    assert not weights["encoder.0.bias"].any()
    assert (weights["encoder.0.norm.variance"] > 0).all()
    assert "encoder.1.norm.scale" not in weights
    assert np.isfinite(fitted.history_["val_loss"]).all()
    fitted.save(tmp_path / "model.safetensors")
    for twin in (diabolo.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(twin.reconstruct(X), fitted.reconstruct(X))
        twin.set_params(validation_fraction=0.0).partial_fit(X)
    # Interrupted and resumed: the running statistics are among the weights.
    whole = copy.deepcopy(kind).fit(X)
    run = tmp_path / "run"
    stop = type("Stop", (), {"on_epoch_end": lambda self, state: True})()
    copy.deepcopy(kind).set_params(checkpoint=run, callbacks=[stop]).fit(X)
    resumed = copy.deepcopy(kind).fit(X, resume_from=run)
    assert digest(resumed.get_weights()) == digest(whole.get_weights())
    assert np.isfinite(copy.deepcopy(kind).fit_blocks([X[:100], X[100:]]).transform(X)).all()


def test_predictions_do_not_depend_on_the_batch(X: Any) -> None:
    ae = estimator(**SETTINGS).fit(X)
    np.testing.assert_array_equal(ae.transform(X)[:1], ae.transform(X[:1]))
    np.testing.assert_array_equal(ae.reconstruct(X), ae.reconstruct(X))
    assert digest(ae.get_weights()) == digest(estimator(**SETTINGS, n_jobs=1).fit(X).get_weights())


def test_rates_of_each_layer(X: Any) -> None:
    one = estimator(hidden_layer_sizes=(7, 5), dropout=[0.5, 0.0, 0.0, 0.2], epochs=1).fit(X)
    assert one._fitted is not None
    names = [type(layer).__name__ for layer in one._fitted.architecture.layers]
    assert names == ["DenseLayer", "DropoutLayer", *["DenseLayer"] * 4, "DropoutLayer", "DenseLayer"]
    none = estimator(dropout=(0.0, 0.0)).fit(X)
    assert digest(none.get_weights()) == digest(estimator().fit(X).get_weights())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\) or a sequence of which each is"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"dropout": [0.1]}, "dropout must be one rate, or one for each of the 2 hidden layers"),
        ({"dropout": 0.1, "hidden_layer_sizes": ()}, "dropout must be 0 when there are no hidden layers"),
        ({"batch_norm": 1}, "batch_norm must be True or False"),
        ({"batch_norm": True, "hidden_layer_sizes": ()}, "batch_norm must be False when there are no hidden"),
        ({"batch_norm": True, "batch_size": 1}, "batch_size must be >= 2 when batch_norm=True"),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str, X: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"AutoEncoder: {message}"):
        estimator(**changes).fit(X)


def test_a_single_row(X: Any) -> None:
    """There is no variance over one row: the running statistics stay what they were at first."""
    ae = estimator(batch_norm=True).fit(X[:1])
    weights = ae.get_weights()
    assert not weights["encoder.0.norm.mean"].any()
    assert (weights["encoder.0.norm.variance"] == 1).all()
    assert np.isfinite(ae.reconstruct(X)).all()


def test_variances_must_not_be_negative(X: Any, tmp_path: Path) -> None:
    ae = estimator(**SETTINGS).fit(X)
    weights = ae.get_weights()
    weights["decoder.0.norm.variance"][3] = -1
    with pytest.raises(InvalidDataError, match=r"variance'\] must not be negative. Got -1.0"):
        ae.set_weights(weights)
    ae.save(tmp_path / "model")
    metadata, tensors = _core.read_model_file(str(tmp_path / "model"))
    tensors = {name: np.array(tensor) for name, tensor in tensors.items()}
    tensors["decoder.0.norm.variance"][3] = -1
    _core.write_model_file(str(tmp_path / "model"), metadata, tensors)
    with pytest.raises(ModelFileError, match="variance' must not be negative"):
        diabolo.load(tmp_path / "model")
