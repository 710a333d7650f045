"""What a fitted model computes of rows, against the float64 oracle, for every instruction set."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import reference
from core_helpers import (
    ACTIVATIONS,
    AWKWARD_ROWS,
    AWKWARD_WIDTHS,
    ISAS,
    LOSSES,
    Architecture,
    data,
    hourglass,
    relative_error,
)
from diabolo import _core

# Chains of a few dozen products: measured 2.6e-7 at most.
OUTPUT_TOLERANCE = 1e-6


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_outputs_of_every_layer(isa: str, activation: str, tied: bool) -> None:
    architecture = hourglass([37, 50, 5], activation, tied=tied)
    model = architecture.trained_looking_model(isa)
    x = data(259, 37)
    trace = reference.forward(architecture.layers, dict(model.get_weights()), x)
    for i, layer in enumerate(architecture.layers):
        output = model.layer_output(_core.Rows(x), i, 2)
        assert relative_error(output, trace.y[layer.name]) <= OUTPUT_TOLERANCE, layer
    codes = model.transform(_core.Rows(x), 2)
    assert np.array_equal(codes, model.layer_output(_core.Rows(x), 1, 1))
    decoded = model.inverse_transform(_core.Rows(codes), 2)
    assert np.array_equal(decoded, model.reconstruct(_core.Rows(x), 1))
    assert np.array_equal(decoded, model.layer_output(_core.Rows(x), 3, 3))


@pytest.mark.parametrize("features", AWKWARD_WIDTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_row_and_feature_errors(isa: str, features: int) -> None:
    for loss, rows in itertools.product(LOSSES, AWKWARD_ROWS):
        architecture = hourglass([features, 20], "silu", loss)
        model = architecture.trained_looking_model(isa)
        x = data(rows, features, seed=1)
        trace = reference.forward(architecture.layers, dict(model.get_weights()), x)
        terms = reference.LOSSES[loss]
        prediction = (trace.z if terms.reads_pre_activation else trace.y)["decoder.0"]
        target = x.astype(np.float64)
        branch = None if terms.branch_of is None else terms.branch_of(prediction, target)
        per_row = terms.value(prediction, target, branch).mean(axis=1)
        errors = model.row_errors(_core.Rows(x), loss, 2)
        assert errors.shape == (rows,)
        # Relative to what is subtracted: the difference of two numbers near 1 is no better than they are.
        np.testing.assert_allclose(errors, per_row, rtol=OUTPUT_TOLERANCE, atol=OUTPUT_TOLERANCE)
        y = trace.y["decoder.0"]
        squared = model.feature_errors(_core.Rows(x), 2)
        error = np.linalg.norm(squared - (target - y) ** 2)
        assert error <= OUTPUT_TOLERANCE * np.linalg.norm((target + np.abs(y)) ** 2), (loss, rows)


@pytest.mark.parametrize("isa", ISAS)
def test_results_of_a_row_do_not_depend_on_its_neighbours(isa: str) -> None:
    """Alone, in any company and with any number of threads: the same bits, NaN in the next row or not."""
    architecture = hourglass([65, 130, 17], "gelu", "binary_crossentropy")
    model = architecture.trained_looking_model(isa)
    x = data(700, 65)
    whole = model.reconstruct(_core.Rows(x), 1)
    errors = model.row_errors(_core.Rows(x), "binary_crossentropy", 1)
    for threads in (2, 3, 7):
        assert np.array_equal(model.reconstruct(_core.Rows(x), threads), whole)
        assert np.array_equal(model.row_errors(_core.Rows(x), "binary_crossentropy", threads), errors)
    for row in (0, 1, 127, 128, 699):
        alone = x[row : row + 1]
        assert np.array_equal(model.reconstruct(_core.Rows(alone), 2), whole[row : row + 1])
    spoilt = x.copy()
    spoilt[1::2] = np.nan
    spoilt[2::4] = np.inf
    kept = np.isfinite(spoilt).all(axis=1)
    assert np.array_equal(model.reconstruct(_core.Rows(spoilt), 2)[kept], whole[kept])
    # No comparison with a threshold may take such a row for a good one, as it would NaN.
    assert np.isposinf(model.row_errors(_core.Rows(spoilt), "mse", 2)[1::2]).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_nan_comes_through_every_activation(isa: str, activation: str) -> None:
    """Or a broken model would look like one that works."""
    architecture = Architecture([3, 2, 3], [activation, activation])
    model = architecture.trained_looking_model(isa)
    x = np.full((1, 3), np.nan, np.float32)
    assert np.isnan(model.transform(_core.Rows(x), 1)).all()
    assert np.isnan(model.reconstruct(_core.Rows(x), 1)).all()
    for loss in LOSSES:
        last = "sigmoid" if loss == "binary_crossentropy" else activation
        other = Architecture([3, 2, 3], [activation, last]).trained_looking_model(isa)
        assert np.isposinf(other.row_errors(_core.Rows(x), loss, 1)).all(), loss
