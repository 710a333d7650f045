"""Losses and gradients against the float64 oracle, for every instruction set and shape."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from core_helpers import (
    ACTIVATIONS,
    AWKWARD_ROWS,
    AWKWARD_WIDTHS,
    ISAS,
    KNOWN_ISAS,
    LOSSES,
    UNIT_ROUNDOFF,
    Architecture,
    Float32Array,
    data,
    float32_branches,
    hourglass,
    preactivations,
    relative_error,
    trainer,
)
from diabolo import _core

GRADIENT_TOLERANCE = 5e-6  # normwise, per tensor
PIECEWISE = [name for name, function in reference.ACTIVATIONS.items() if function.piecewise]

Float64Array = npt.NDArray[np.float64]


@pytest.mark.parametrize("isa", KNOWN_ISAS)
def test_isa_is_on_this_machine(isa: str) -> None:
    """Skips say which instruction sets this run says nothing about."""
    assert set(ISAS) <= set(KNOWN_ISAS)
    if isa not in ISAS:
        pytest.skip(f"not on this machine: {isa}")
    assert Architecture([3, 2, 3], ["tanh", "identity"]).model(isa).get_weights()


def test_isa_of_that_name_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests believe that DIABOLO_ISA is looked at for every model."""
    for isa in ISAS:
        monkeypatch.setenv("DIABOLO_ISA", isa)
        assert _core.selected_isa() == isa
    monkeypatch.setenv("DIABOLO_ISA", "abacus")
    with pytest.raises(ValueError, match=f"levels of this machine: {', '.join(ISAS)}. Got 'abacus'"):
        Architecture([3, 2, 3], ["tanh", "identity"]).model()


# ------------------------------------------------------------------------------------------------------------
# Gradients
# ------------------------------------------------------------------------------------------------------------


def assert_gradients(
    architecture: Architecture,
    model: _core.Model,
    x: Float32Array,
    loss: str,
    isa: str,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    allowance: Mapping[str, float] | None = None,
    **changes: Any,
) -> None:
    """Compare the losses and every gradient tensor of one batch with the oracle on float32's branches."""
    got = trainer(model, x, loss=loss, l1=l1, l2=l2, **changes).gradients(_core.Rows(x))
    loss_value, reconstruction_loss, gradients = got
    branches = float32_branches(architecture, model, x, loss, isa)
    expected = reference.loss_and_gradients(
        architecture.layers, model.get_weights(), x, x, loss, l1, l2, branches
    )
    assert loss_value == pytest.approx(expected.loss, rel=1e-6, abs=1e-7)
    assert reconstruction_loss == pytest.approx(expected.reconstruction_loss, rel=1e-6, abs=1e-7)
    assert gradients.keys() == expected.gradients.keys()
    for name, gradient in gradients.items():
        exact = expected.gradients[name]
        assert gradient.shape == exact.shape
        error = np.linalg.norm(gradient - exact)
        allowed = GRADIENT_TOLERANCE * np.linalg.norm(exact) + (allowance or {}).get(name, 0.0)
        assert error <= allowed, (
            f"{name}: {relative_error(gradient, exact):.1e} on {isa}, {len(x)} rows of {architecture}"
        )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, activation: str, loss: str) -> None:
    architecture = hourglass([37, 50, 5], activation, loss)
    model = architecture.trained_looking_model(isa)
    assert_gradients(architecture, model, data(300, 37), loss, isa, l1=1e-3, l2=1e-2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_tied_weights(isa: str, activation: str) -> None:
    """Each kernel's gradient has two terms, here over three blocks of rows, and one penalty."""
    architecture = hourglass([37, 50, 5], activation, tied=True)
    model = architecture.trained_looking_model(isa)
    assert_gradients(architecture, model, data(600, 37), "mse", isa, l1=1e-3, l2=1e-2, batch_size=600)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_awkward_shapes(isa: str, tied: bool) -> None:
    """Every pair of widths, every number of rows with every width: a third of all triples."""
    for (i, features), (j, units) in itertools.product(enumerate(AWKWARD_WIDTHS), repeat=2):
        architecture = Architecture([features, units, features], ["prelu", "tanh"], tied)
        for r, rows in enumerate(AWKWARD_ROWS):
            if (i + j + r) % 3 == 0:
                model = architecture.trained_looking_model(isa, seed=r)
                assert_gradients(architecture, model, data(rows, features, seed=r), "mse", isa, threads=1)


# Widths whose panels are two of 48, two of 64, five of 32, seven of 16 and four of 64 columns where the
# instruction set has panels so wide; the last ones end in a whole group of padding.
@pytest.mark.parametrize("features", [81, 128, 150, 97, 250, 232])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_several_panels(isa: str, features: int) -> None:
    for loss in ("mae", "binary_crossentropy"):
        architecture = hourglass([features, features + 7, 150], "gelu", loss)
        model = architecture.trained_looking_model(isa)
        assert_gradients(architecture, model, data(131, features), loss, isa, l2=1e-3)


@pytest.mark.parametrize(("threads", "batch_size"), [(1, 700), (2, 100), (3, 256), (9, 700), (17, 700)])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_whatever_the_slabs(isa: str, threads: int, batch_size: int) -> None:
    """More than eight threads take several blocks of rows at once, and a batch may take several rounds."""
    architecture = hourglass([70, 100, 33], "prelu", tied=True)
    model = architecture.trained_looking_model(isa)
    x = data(1300, 70)
    assert_gradients(
        architecture, model, x, "mse", isa, l1=1e-3, l2=1e-3, threads=threads, batch_size=batch_size
    )


def rounding_sensitivity(
    architecture: Architecture, weights: Mapping[str, Float32Array], x: Float32Array, loss: str, isa: str
) -> dict[str, float]:
    """Return how much each gradient tensor moves when every weight moves by one rounding.

    Random small networks can have gradients that nearly cancel; no float32 computation finds those to 5e-6.
    """
    model = architecture.model(isa).with_weights(weights)
    branches = float32_branches(architecture, model, x, loss, isa)
    random = np.random.default_rng(0)
    moved = {
        name: w * (1.0 + UNIT_ROUNDOFF * random.choice([-1.0, 1.0], size=w.shape))
        for name, w in weights.items()
    }
    here, there = (
        reference.loss_and_gradients(architecture.layers, w, x, x, loss, branches=branches).gradients
        for w in (weights, moved)
    )
    return {name: float(np.linalg.norm(here[name] - there[name])) for name in here}


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 130), min_size=2, max_size=4),
    rows=st.integers(1, 600),
    batch_size=st.integers(1, 700),
    threads=st.integers(1, 10),
    activation=st.sampled_from(ACTIVATIONS),
    loss=st.sampled_from(LOSSES),
    tied=st.booleans(),
    isa=st.sampled_from(ISAS),
    penalty=st.sampled_from([0.0, 1e-3]),
    seed=st.integers(0, 5),
)
def test_gradients_of_random_networks(
    widths: list[int],
    rows: int,
    batch_size: int,
    threads: int,
    activation: str,
    loss: str,
    tied: bool,
    isa: str,
    penalty: float,
    seed: int,
) -> None:
    architecture = hourglass(widths, activation, loss, tied)
    model = architecture.trained_looking_model(isa, seed)
    x = data(rows, widths[0], seed)
    sensitivity = rounding_sensitivity(architecture, model.get_weights(), x, loss, isa)
    # The loss's gradient and the penalty's may cancel almost wholly: each is rounded on its own.
    penalties = {
        name: penalty * float(np.linalg.norm(np.sign(w) + 2.0 * w)) if w.ndim == 2 else 0.0
        for name, w in model.get_weights().items()
    }
    assert_gradients(
        architecture,
        model,
        x,
        loss,
        isa,
        l1=penalty,
        l2=penalty,
        allowance={
            name: 10.0 * moved + GRADIENT_TOLERANCE * penalties[name] for name, moved in sensitivity.items()
        },
        threads=threads,
        batch_size=batch_size,
    )


# ------------------------------------------------------------------------------------------------------------
# Branches: float32 and float64 may take different ones, but only within rounding of the kink
# ------------------------------------------------------------------------------------------------------------


def preactivation_errors(
    architecture: Architecture, weights: Mapping[str, Float32Array], x: Float32Array
) -> dict[str, Float64Array]:
    """Bound |z32 - z64| of every layer, element by element, for activations that nowhere rise faster than x.

    A sum of K products and a bias errs by at most (K + 2) u (|x| |W| + |b|), beside what its x brings along.
    """
    bounds = {}
    inherited: Float64Array = np.zeros_like(x, dtype=np.float64)
    trace = reference.forward(architecture.layers, dict(weights), x)
    for layer in architecture.layers:
        kernel = np.abs(weights[f"{layer.name}.kernel"].astype(np.float64))
        size = (np.abs(trace.inputs[layer.name]) + inherited) @ kernel + np.abs(weights[f"{layer.name}.bias"])
        bounds[layer.name] = inherited @ kernel + (len(kernel) + 2) * UNIT_ROUNDOFF * size
        # The activation itself may err by a few units in the last place of its result.
        inherited = bounds[layer.name] * (1 + 1e-6) + 8 * UNIT_ROUNDOFF * np.abs(trace.y[layer.name])
    return bounds


@pytest.mark.parametrize("activation", PIECEWISE)
@pytest.mark.parametrize("isa", ISAS)
def test_branches_differ_only_at_the_kink(isa: str, activation: str) -> None:
    """Half of the first layer's sums cancel all but completely, so that many arguments stand at the kink."""
    random = np.random.default_rng(5)
    half = data(300, 20)
    x = np.hstack([half, half])
    architecture = Architecture([40, 32, 40], [activation, activation])
    model = architecture.trained_looking_model(isa)
    weights = dict(model.get_weights())
    kernel = weights["encoder.0.kernel"]
    kernel[20:, :16] = -kernel[:20, :16] * (1 + 1e-7 * random.normal(size=(20, 16)))
    weights["encoder.0.bias"][:16] = 0.0
    model = model.with_weights(weights)

    z32 = preactivations(architecture, weights, x, isa)
    z64 = reference.forward(architecture.layers, dict(weights), x).z
    bounds = preactivation_errors(architecture, weights, x)
    for name in z64:
        assert np.all(np.abs(z32[name] - z64[name]) <= bounds[name]), name
        differ = (z32[name] > 0) != (z64[name] > 0)
        assert np.all(np.abs(z64[name][differ]) <= bounds[name][differ]), name
        if name == "encoder.0":
            assert np.count_nonzero(differ) > 100  # or this test sees nothing
    assert_gradients(architecture, model, x, "mse", isa)


@pytest.mark.parametrize("loss", ["mae", "huber"])
@pytest.mark.parametrize("isa", ISAS)
def test_loss_branches_differ_only_at_the_kink(isa: str, loss: str) -> None:
    """The decoder undoes the encoder, so that y - x is 0 or, through the bias, 1, but for roundings."""
    random = np.random.default_rng(6)
    x = data(300, 24)
    rotation, _ = np.linalg.qr(random.normal(size=(24, 24)))
    architecture = Architecture([24, 24, 24], ["identity", "identity"])
    bias = np.zeros(24) if loss == "mae" else np.resize([1.0, -1.0], 24)
    weights = {
        "encoder.0.kernel": rotation.astype(np.float32),
        "encoder.0.bias": np.zeros(24, np.float32),
        "decoder.0.kernel": np.linalg.inv(rotation.astype(np.float32).astype(np.float64)).astype(np.float32),
        "decoder.0.bias": bias.astype(np.float32),
    }
    model = architecture.model(isa).with_weights(weights)
    branch_of = reference.LOSSES[loss].branch_of
    assert branch_of is not None
    y64 = reference.forward(architecture.layers, dict(weights), x).y["decoder.0"]
    y32 = model.reconstruct(_core.Rows(x), 1)
    bound = preactivation_errors(architecture, weights, x)["decoder.0"] + UNIT_ROUNDOFF * 2
    differ = branch_of(y32, x) != branch_of(y64, x.astype(np.float64))
    distance = np.abs(np.abs(y64 - x) - (0.0 if loss == "mae" else 1.0))
    assert np.all(distance[differ] <= bound[differ])
    assert np.count_nonzero(differ) > 100
    assert_gradients(architecture, model, x, loss, isa)


# ------------------------------------------------------------------------------------------------------------
# Products: the bound that holds for every element, and exactness where nothing rounds
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
def test_products_componentwise(isa: str) -> None:
    """|C - C^| <= (K + 2) u (|A| |B| + |b|) in every element of x W + b."""
    for features, units in itertools.product([*AWKWARD_WIDTHS, 300], AWKWARD_WIDTHS):
        architecture = Architecture([features, units, features], ["identity", "identity"])
        weights = architecture.trained_looking_model(isa).get_weights()
        model = architecture.model(isa).with_weights(weights)
        x = data(61, features, seed=units) - np.float32(0.5)
        z = model.layer_output(_core.Rows(x), 0, 1)
        exact = x.astype(np.float64) @ weights["encoder.0.kernel"] + weights["encoder.0.bias"]
        size = np.abs(x).astype(np.float64) @ np.abs(weights["encoder.0.kernel"])
        bound = (features + 2) * UNIT_ROUNDOFF * (size + np.abs(weights["encoder.0.bias"]))
        assert np.all(np.abs(z - exact) <= bound), (features, units)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_whole_numbers_are_exact(isa: str, tied: bool) -> None:
    """Small integers leave nothing to round, so one lost, doubled or misplaced product shows."""
    random = np.random.default_rng(8)
    for features, units in itertools.product(AWKWARD_WIDTHS, repeat=2):
        architecture = Architecture([features, units, features], ["identity", "identity"], tied)
        model = architecture.model(isa)
        weights = {
            name: random.integers(-3, 4, size=shape).astype(np.float32)
            for name, shape in model.parameter_shapes().items()
        }
        model = model.with_weights(weights)
        for rows in (1, 13, 300):
            x = random.integers(-3, 4, size=(rows, features)).astype(np.float32)
            y = reference.forward(architecture.layers, dict(weights), x).y
            where = (features, units, rows)
            assert np.array_equal(model.layer_output(_core.Rows(x), 0, 2), y["encoder.0"]), where
            assert np.array_equal(model.reconstruct(_core.Rows(x), 2), y["decoder.0"]), where
            distance = (x - y["decoder.0"]).astype(np.float32)
            assert np.array_equal(model.feature_errors(_core.Rows(x), 2), distance * distance), where


@pytest.mark.parametrize("features", [1, 2, 16, 64])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_whole_numbers_are_exact(isa: str, features: int) -> None:
    """The mean over a power of two of elements only moves the exponent."""
    random = np.random.default_rng(9)
    for units in AWKWARD_WIDTHS:
        architecture = Architecture([features, units, features], ["relu", "identity"])
        model = architecture.model(isa)
        weights = {
            name: random.integers(-2, 3, size=shape).astype(np.float32)
            for name, shape in model.parameter_shapes().items()
        }
        model = model.with_weights(weights)
        for rows in (1, 2, 256, 512):
            x = random.integers(0, 3, size=(rows, features)).astype(np.float32)
            _, _, gradients = trainer(model, x, batch_size=512).gradients(_core.Rows(x))
            exact = reference.loss_and_gradients(architecture.layers, dict(weights), x, x, "mse").gradients
            for name, gradient in gradients.items():
                assert np.array_equal(gradient, exact[name]), (name, units, rows)


# ------------------------------------------------------------------------------------------------------------
# Losses and activations, element by element, at and around their kinks
# ------------------------------------------------------------------------------------------------------------


def around_kinks() -> Float32Array:
    """Return 1024 numbers: 0, 1 and -1, their neighbours at every distance, and some far away."""
    distances = 2.0 ** np.arange(-24.0, 0.0)
    near = np.concatenate([centre + sign * distances for centre in (-1, 0, 1) for sign in (-1, 1)])
    exact = [0.0, 1.0, -1.0, 0.5, -0.5, 100.0, -100.0]
    return np.resize(np.concatenate([near, exact, np.linspace(-3, 3, 500)]), 1024).astype(np.float32)


@pytest.mark.parametrize("isa", ISAS)
def test_every_loss_element_by_element(isa: str) -> None:
    """A network of zeros answers 0, so a bias's gradient is the loss's derivative at minus the target."""
    t = around_kinks()
    d = -t.astype(np.float64)
    losses = {
        "mse": (d * d, 2.0 * d),
        "mae": (np.abs(d), np.sign(d)),
        "huber": (np.where(np.abs(d) <= 1, 0.5 * d * d, np.abs(d) - 0.5), np.clip(d, -1.0, 1.0)),
    }
    for loss, (value, derivative) in losses.items():
        model = Architecture([1024, 2, 1024], ["identity", "identity"]).model(isa)
        zeros = {name: np.zeros(shape, np.float32) for name, shape in model.parameter_shapes().items()}
        of = trainer(model.with_weights(zeros), t[None, :], loss=loss)
        _, _, gradients = of.gradients(_core.Rows(t[None, :]))
        # The mean over a power of two of elements only moves the exponent.
        assert np.array_equal(gradients["decoder.0.bias"] * 1024.0, derivative.astype(np.float32)), loss

        narrow = Architecture([1, 2, 1], ["identity", "identity"]).model(isa)
        zeros = {name: np.zeros(shape, np.float32) for name, shape in narrow.parameter_shapes().items()}
        errors = narrow.with_weights(zeros).row_errors(_core.Rows(t[:, None]), loss, 1)
        np.testing.assert_allclose(errors, value, rtol=2.0**-23, atol=0.0, err_msg=loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_every_activation_element_by_element(isa: str, activation: str) -> None:
    """Biases alone are the arguments, so a bias's gradient is the derivative there times a known one."""
    z = around_kinks()
    architecture = Architecture([1024, 2, 1024], ["identity", activation])
    model = architecture.model(isa)
    weights = {name: np.zeros(shape, np.float32) for name, shape in model.parameter_shapes().items()}
    weights["decoder.0.bias"] = z
    if activation == "prelu":
        weights["decoder.0.slope"] = np.linspace(-1.0, 1.0, 1024).astype(np.float32)
    model = model.with_weights(weights)
    x = np.full((1, 1024), 3e6, np.float32)  # far from every output: the derivative of mae is -1
    _, _, gradients = trainer(model, x, loss="mae").gradients(_core.Rows(x))
    exact = reference.loss_and_gradients(architecture.layers, dict(weights), x, x, "mae").gradients
    # Where a derivative is computed from the output, or crosses zero, its accuracy is absolute.
    absolute = 0.0 if activation in ("relu", "leaky_relu", "prelu") else 2.0**-22 / 1024.0
    for name in gradients:
        np.testing.assert_allclose(gradients[name], exact[name], rtol=1e-6, atol=absolute, err_msg=name)
    y = model.reconstruct(_core.Rows(x), 1)
    trace = reference.forward(architecture.layers, dict(weights), x)
    np.testing.assert_allclose(y, trace.y["decoder.0"], rtol=1e-6, atol=2.0**-22)
