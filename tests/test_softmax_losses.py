"""Losses of groups of columns, and hinge: the core against the oracle, and the estimators that take them."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_noise
import reference_softmax
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    forced_isa,
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

# Groups that begin and end beside the borders of registers, one column wide, wider than a panel; and gaps.
GROUPS: dict[str, list[tuple[int, int]]] = {
    "one": [(0, 70)],
    "several": [(0, 3), (3, 4), (4, 21), (21, 70)],
    "with numbers between": [(2, 5), (17, 33), (33, 50), (60, 69)],
}
LOSSES = ["categorical_crossentropy", "kl_divergence"]


def one_hot(rows: int, features: int, groups: list[tuple[int, int]], seed: int = 0) -> Float32Array:
    """Return rows of numbers, in the groups one column 1 and the others 0; now and then all 0."""
    random = np.random.default_rng(seed)
    x = random.random((rows, features)).astype(np.float32)
    for begin, end in groups:
        x[:, begin:end] = np.eye(end - begin + 1, end - begin)[random.integers(0, end - begin + 1, rows)]
    return x


def distributions(rows: int, features: int, groups: list[tuple[int, int]], seed: int = 0) -> Float32Array:
    """Return rows whose groups are distributions, with zeros."""
    random = np.random.default_rng(seed)
    x = random.random((rows, features)) * (random.random((rows, features)) < 0.7)
    x[:, ::3] += 0.01
    for begin, end in groups:
        x[:, begin:end] += 1e-3
        x[:, begin:end] /= x[:, begin:end].sum(axis=1, keepdims=True)
    return x.astype(np.float32)


ROWS = {"categorical_crossentropy": one_hot, "kl_divergence": distributions}


def softmax_model(
    architecture: Architecture, groups: list[tuple[int, int]], isa: str | None = None, before: Any = ()
) -> _core.Model:
    dense = architecture.trained_looking_model(isa)
    layers = [*before, *architecture.specs(), _core.Softmax(architecture.features, groups)]
    with forced_isa(isa):
        model = _core.Model(layers, architecture.code_layers + len(before), 1)
    return model.with_weights(dense.get_weights())


def network(tied: bool = False) -> Architecture:
    return Architecture([70, 33, 70], ["tanh", "identity"], tied)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_the_oracle_s_gradients(groups: list[tuple[int, int]], loss: str) -> None:
    """By a complex step along a random direction in all weights."""
    architecture = network()
    x = ROWS[loss](13, 70, groups).astype(np.float64)
    weights = {n: w.astype(np.float64) for n, w in architecture.trained_looking_model().get_weights().items()}
    random = np.random.default_rng(1)
    direction = {name: random.normal(size=w.shape) for name, w in weights.items()}
    element_weights, row_weights = random.random(x.shape), random.random(13)

    def run(step: complex) -> Any:
        moved = {name: w + step * direction[name] for name, w in weights.items()}
        return reference_softmax.network_loss(
            architecture.layers, moved, x, x, groups, loss, element_weights, row_weights
        )

    gradients = run(0.0)[1]
    along = sum(float(np.sum(gradients[name] * direction[name])) for name in weights)
    assert run(1e-30j)[0].imag / 1e-30 == pytest.approx(along, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, tied: bool, groups: list[tuple[int, int]], loss: str) -> None:
    """Over three slabs of a batch; and what inference makes of the same rows."""
    architecture = network(tied)
    model = softmax_model(architecture, groups, isa)
    x = ROWS[loss](600, 70, groups)
    got_loss, got_reconstruction, gradients = trainer(model, x, loss=loss, batch_size=600).gradients(
        _core.Rows(x)
    )
    weights = {name: w.astype(np.float64) for name, w in model.get_weights().items()}
    exact = x.astype(np.float64)
    value, expected = reference_softmax.network_loss(architecture.layers, weights, exact, exact, groups, loss)
    assert got_loss == got_reconstruction == pytest.approx(value, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name

    z = reference.forward(architecture.layers, weights, exact).z["decoder.0"]
    outputs = reference_softmax.outputs(z, groups)
    got = model.reconstruct(_core.Rows(x), 1)
    assert got is not None
    np.testing.assert_allclose(got, outputs, rtol=1e-5, atol=1e-6)
    for begin, end in groups:
        np.testing.assert_allclose(got[:, begin:end].sum(axis=1), 1.0, rtol=1e-6)
    of_rows = reference_softmax.loss_and_gradient(z, exact, groups, loss)[2]
    np.testing.assert_allclose(model.row_errors(_core.Rows(x), loss, 1), of_rows, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        model.row_errors(_core.Rows(x), "mse", 1), np.mean((outputs - exact) ** 2, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        model.row_errors(_core.Rows(x), "mae", 1), np.mean(np.abs(outputs - exact), axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("isa", ISAS)
def test_groups_of_every_width_at_every_place(isa: str) -> None:
    """Neighbours must not be touched: every column of the outputs is compared."""
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 40)).astype(np.float32) * 3
    layers = [_core.Dense("encoder.0", 40, 40, "identity", "normal")]
    last = _core.Dense("decoder.0", 40, 40, "identity", "normal")
    with forced_isa(isa):
        for begin, width in itertools.product((0, 1, 7, 15, 16, 23), (1, 2, 15, 16, 17)):
            groups = [(begin, begin + width)]
            model = _core.Model([*layers, last, _core.Softmax(40, groups)], 1, 1)
            weights = model.get_weights()
            weights["encoder.0.kernel"] = weights["decoder.0.kernel"] = np.eye(40, dtype=np.float32)
            got = model.with_weights(weights).reconstruct(_core.Rows(x), 1)
            expected = reference_softmax.outputs(x.astype(np.float64), groups)
            np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_overflows(isa: str) -> None:
    """Pre-activations of thousands: the loss is their distance, and a column of -1e30 is no harm."""
    x = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    layers = [
        _core.Dense("encoder.0", 3, 1, "identity", "normal"),
        _core.Dense("decoder.0", 1, 3, "identity", "normal"),
        _core.Softmax(3, [(0, 3)]),
    ]
    with forced_isa(isa):
        model = _core.Model(layers, 1, 1)
    weights = model.get_weights()
    weights["encoder.0.kernel"] = np.zeros((3, 1), dtype=np.float32)
    weights["decoder.0.bias"] = np.array([5000.0, -3000.0, -1e30], dtype=np.float32)
    model = model.with_weights(weights)
    errors = model.row_errors(_core.Rows(x), "categorical_crossentropy", 1)
    np.testing.assert_array_equal(errors, [0.0, 8000.0])
    gradients = trainer(model, x, loss="categorical_crossentropy").gradients(_core.Rows(x))[2]
    np.testing.assert_allclose(gradients["decoder.0.bias"], [0.5, -0.5, 0.0])


@pytest.mark.parametrize("isa", ISAS)
def test_emphasis_on_corrupted_elements(isa: str) -> None:
    """The weights of elements count in a group as in any other loss."""
    groups = GROUPS["with numbers between"]
    architecture = network()
    noise = _core.Corruption(70, "masking", 0.4, 1.0, 0.25)
    model = softmax_model(architecture, groups, isa, [noise])
    x = one_hot(300, 70, groups)
    loss, _, gradients = trainer(model, x, loss="categorical_crossentropy", batch_size=300).gradients(
        _core.Rows(x)
    )
    word = reference_noise.words(*x.shape, 3, reference_noise.TRAINING)
    noisy, where = reference_noise.corrupted(x, "masking", 0.4, word)
    value, expected = reference_softmax.network_loss(
        architecture.layers,
        model.get_weights(),
        noisy.astype(np.float64),
        x.astype(np.float64),
        groups,
        element_weights=np.where(where, 1.0, 0.25),
    )
    assert loss == pytest.approx(value, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected[name]) < 5e-6, name


@pytest.mark.parametrize("loss", [*LOSSES, "hinge"])
def test_same_bits_for_any_number_of_threads(loss: str) -> None:
    groups = GROUPS["several"]
    x = data(701, 70) * 2 - 1 if loss == "hinge" else ROWS[loss](701, 70, groups)
    found = {}
    for isa in ISAS:
        if loss == "hinge":
            model = hourglass([70, 33]).trained_looking_model(isa)
        else:
            model = softmax_model(network(), groups, isa)
        for threads in (1, 2, 7):
            of = trainer(model, x, x[:300], threads=threads, batch_size=300, loss=loss)
            report = of.run_epoch(None)
            assert report.outcome == "completed"
            found[isa, threads] = digest(completed_weights(of)), report.loss, of.validation_losses()
            assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


# ------------------------------------------------------------------------------------------------------------
# The estimators
# ------------------------------------------------------------------------------------------------------------

MIXED = [range(3), range(5, 9)]  # of 10 columns, of which 3, 4 and 9 are numbers


def mixed_rows(rows: int = 400) -> Float32Array:
    """Return rows whose categories follow from a number."""
    random = np.random.default_rng(0)
    hidden = random.random(rows)
    x = np.zeros((rows, 10), dtype=np.float32)
    x[np.arange(rows), (hidden * 3).astype(int)] = 1.0
    x[np.arange(rows), 5 + (hidden * 4).astype(int)] = 1.0
    x[:, [3, 4, 9]] = 100.0 + hidden[:, None] * [10.0, -20.0, 30.0]
    return x


def test_a_table_of_categories_and_numbers() -> None:
    x = mixed_rows()
    ae = AutoEncoder(
        2,
        hidden_layer_sizes=(32,),
        loss="categorical_crossentropy",
        categorical_groups=MIXED,
        scale="standard",
        learning_rate=1e-2,
        epochs=60,
        batch_size=32,
        validation_fraction=0.1,
        random_state=0,
    ).fit(x)
    y = ae.reconstruct(x)
    for group in MIXED:
        columns = list(group)
        np.testing.assert_allclose(y[:, columns].sum(axis=1), 1.0, rtol=1e-5)
        assert np.mean(y[:, columns].argmax(axis=1) == x[:, columns].argmax(axis=1)) > 0.95
    np.testing.assert_allclose(y[:, [3, 4, 9]], x[:, [3, 4, 9]], atol=4.0)  # of 30 at most
    errors = ae.reconstruction_error(x, metric="loss")
    assert errors.mean() < 0.5 * ae.history_["loss"][0]
    assert ae.history_["val_loss"][-1] < 0.5 * ae.history_["val_loss"][0]


def test_distributions() -> None:
    random = np.random.default_rng(0)
    x = random.dirichlet([0.3] * 6, 400)
    ae = AutoEncoder(5, loss="kl_divergence", epochs=40, learning_rate=1e-2, batch_size=32, random_state=0)
    y = ae.fit(x).reconstruct(x)
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-5)
    divergence = np.sum(x * np.log(np.where(x > 0, x, 1.0) / y), axis=1)
    np.testing.assert_allclose(ae.reconstruction_error(x, metric="loss"), divergence, rtol=1e-3, atol=1e-5)
    assert divergence.mean() < 0.2


def test_signs() -> None:
    x = np.sign(np.random.default_rng(0).normal(size=(300, 2)) @ np.random.default_rng(1).normal(size=(2, 8)))
    ae = AutoEncoder(2, hidden_layer_sizes=(32,), loss="hinge", epochs=60, learning_rate=1e-2, random_state=0)
    y = ae.fit(x).reconstruct(x)
    assert np.mean(np.sign(y) == x) > 0.95
    expected = np.maximum(0.0, 1.0 - x * y).mean(axis=1)
    np.testing.assert_allclose(ae.reconstruction_error(x, metric="loss"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        AutoEncoder(2, loss="categorical_crossentropy", categorical_groups=MIXED, tied_weights=True),
        DenoisingAutoEncoder(2, loss="categorical_crossentropy", categorical_groups=MIXED),
        SparseAutoEncoder(16, loss="categorical_crossentropy", categorical_groups=MIXED),
        SparseAutoEncoder(16, sparsity="top_k", k=2, loss="hinge"),
        DenoisingAutoEncoder(2, loss="hinge"),
        AutoEncoder(2, loss="kl_divergence"),
        VariationalAutoEncoder(2, likelihood="categorical"),
        VariationalAutoEncoder(2, likelihood="categorical", categorical_groups=[range(3), range(3, 10)]),
    ],
    ids=repr,
)
def test_kinds_saved_pickled_and_loaded(kind: Any, tmp_path: Path) -> None:
    x = mixed_rows(100)
    x[:, [3, 4, 9]] = x[:, [3, 4, 9]] / 100 - 1
    groups = getattr(kind, "categorical_groups", None)
    if isinstance(kind, VariationalAutoEncoder) or kind.loss == "kl_divergence":
        x = one_hot(300, 10, [(g[0], g[-1] + 1) for g in groups or [range(10)]])
        x = x[[all(row[list(g)].sum() == 1 for g in groups or [range(10)]) for row in x]]
    fitted = kind.set_params(epochs=4, batch_size=32, random_state=0).fit(x)
    assert fitted.history_["loss"][-1] < fitted.history_["loss"][0]
    fitted.save(tmp_path / "model.safetensors")
    for copy in (diabolo.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.reconstruct(x), fitted.reconstruct(x))
        np.testing.assert_array_equal(
            copy.reconstruction_error(x, metric="loss"), fitted.reconstruction_error(x, metric="loss")
        )
        copy.partial_fit(x)


@pytest.mark.filterwarnings("ignore::diabolo.PosteriorCollapseWarning")
def test_the_bound_of_a_categorical_likelihood() -> None:
    """In nats of all groups together: with a code that says nothing, the entropy of the columns."""
    x = one_hot(500, 5, [(0, 2), (2, 5)], seed=4)
    x = x[(x[:, :2].sum(axis=1) == 1) & (x[:, 2:].sum(axis=1) == 1)]
    vae = VariationalAutoEncoder(
        1, likelihood="categorical", categorical_groups=[[0, 1], [2, 3, 4]], epochs=100, learning_rate=3e-3
    )
    vae.set_params(random_state=0, batch_size=64)
    vae.fit(x)
    p = x.mean(axis=0)
    assert vae.elbo(x, n_samples=20).mean() == pytest.approx(np.sum(p * np.log(p)), abs=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge", "scale": "minmax"}, "scale must be None when loss='hinge'"),
        ({"categorical_groups": [[0, 1]]}, "categorical_groups must be None unless loss="),
        ({"loss": "kl_divergence", "categorical_groups": [[0, 1]]}, "categorical_groups must be None when"),
        ({"loss": "kl_divergence", "scale": "minmax"}, "scale must be None when loss='kl_divergence'"),
        ({"loss": "categorical_crossentropy", "scale": "standard"}, "scale must be None when"),
        (
            {"loss": "categorical_crossentropy", "output_activation": "sigmoid"},
            "output_activation must be 'auto' when loss='categorical_crossentropy'",
        ),
        *(
            (
                {"loss": "categorical_crossentropy", "categorical_groups": groups},
                "categorical_groups must be None or a sequence of groups of consecutive columns",
            )
            for groups in (
                [],
                [[]],
                [[0, 2]],
                [[1, 0]],
                [[0, 1], [1, 2]],
                [0, 1],
                "ab",
                [[-1, 0]],
                [["a"]],
                3,
            )
        ),
        (
            {"loss": "categorical_crossentropy", "categorical_groups": [range(2, 5)]},
            r"categorical_groups must be groups of the 4 columns of X. Got \[range\(2, 5\)\]",
        ),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"AutoEncoder: {message}"):
        AutoEncoder(2, **changes).fit(data(10, 4))


def test_bad_parameters_of_a_categorical_likelihood() -> None:
    x = np.eye(4)
    for changes, message in (
        ({"scale": "standard"}, "scale must be None when likelihood='categorical'"),
        ({"output_variance": 0.1}, "output_variance must be 'learned', its default, when likelihood='categ"),
        ({"categorical_groups": [[0, 1]]}, "categorical_groups must be groups of all the 4 columns of X"),
        (
            {"likelihood": "bernoulli", "categorical_groups": [[0, 1]]},
            "categorical_groups must be None unles",
        ),
    ):
        with pytest.raises(InvalidParameterError, match=f"VariationalAutoEncoder: {message}"):
            VariationalAutoEncoder(2, **{"likelihood": "categorical", **changes}).fit(x)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "row", "words"),
    [
        (
            "categorical_crossentropy",
            [0.5, 0.4, 0.0],
            r"have the sum 1, or all be 0 when .* Got \[0.5, 0.4, 0.0\]",
        ),
        ("categorical_crossentropy", [2.0, -1.0, 0.0], r"must be in \[0, 1\]"),
        ("kl_divergence", [0.0, 0.0, 0.0], r"have the sum 1 when .* Got \[0.0, 0.0, 0.0\] in row 40"),
        ("hinge", [0.0, 1.0, 1.5], r"lie in \[-1, 1\] when loss='hinge' .* Got 1.5 at row 40, column 2"),
    ],
)
def test_rows_that_are_no_probabilities(loss: str, row: list[float], words: str) -> None:
    x = np.eye(3)[np.arange(60) % 3]
    ae = AutoEncoder(2, loss=loss, epochs=1, random_state=0).fit(x)
    before = ae.get_weights()
    x[40] = row
    for use in (ae.fit, ae.partial_fit, lambda x: ae.reconstruction_error(x, metric="loss")):
        with pytest.raises(InvalidDataError, match=f"(?s)AutoEncoder: .*{words}"):
            use(x)
    assert digest(before) == digest(ae.get_weights())
    assert np.isfinite(ae.score_samples(x)).all()


def test_a_category_nobody_knows() -> None:
    """A group of zeros costs nothing and teaches nothing."""
    x = np.eye(3)[np.arange(60) % 3]
    x[::5] = 0.0
    ae = AutoEncoder(2, loss="categorical_crossentropy", epochs=3, random_state=0).fit(x)
    errors = ae.reconstruction_error(x, metric="loss")
    assert (errors[::5] == 0).all()
    assert (np.delete(errors, np.arange(0, 60, 5)) > 0).all()
