"""Tests of the oracle itself, against differences and numbers worked out by hand; not of the C++ core."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import reference
from reference import Array, Branches, Layer, Weights

STEP = 1e-30  # of a complex step: its square vanishes beside 1, and nothing is subtracted
PIECEWISE = ["relu", "leaky_relu", "elu", "prelu"]
LEGAL = [
    (activation, loss)
    for activation in reference.ACTIVATIONS
    for loss in ("mse", "mae", "huber", "binary_crossentropy")
]


def hourglass(activation: str, loss: str, tied: bool = False) -> list[Layer]:
    """Three layers of one activation; the last is a sigmoid where the loss needs one."""
    output = "sigmoid" if loss == "binary_crossentropy" else activation
    return [
        Layer("encoder.0", activation),
        Layer("encoder.1", activation),
        Layer("decoder.0", output, tied_to=None if not tied else "encoder.0"),
    ]


def random_weights(layers: list[Layer], rng: np.random.Generator, widths: tuple[int, ...]) -> Weights:
    """Normal weights for layers between the given widths."""
    weights = {}
    for layer, inputs, outputs in zip(layers, widths[:-1], widths[1:], strict=True):
        if layer.tied_to is None:
            weights[f"{layer.name}.kernel"] = rng.normal(size=(inputs, outputs))
        weights[f"{layer.name}.bias"] = rng.normal(size=outputs)
        if layer.activation == "prelu":
            weights[f"{layer.name}.slope"] = rng.uniform(-0.5, 0.5, size=outputs)
    return weights


def random_batch(
    loss: str, rng: np.random.Generator, features: int = 4, rows: int = 7
) -> tuple[Array, Array]:
    """Inputs and targets, the targets in [0, 1] where the loss needs it."""
    x = rng.normal(size=(rows, features))
    if loss == "binary_crossentropy":
        return x, rng.uniform(size=(rows, features))
    return x, 2.0 * rng.normal(size=(rows, features))


def complex_step_gradients(layers: list[Layer], weights: Weights, *arguments: Any, **options: Any) -> Weights:
    """Gradient of the loss in every single weight: imag L(w + ih) / h."""
    gradients = {}
    for name, w in weights.items():
        gradients[name] = np.empty(w.shape)
        for index in np.ndindex(w.shape):
            moved = w.astype(complex)
            moved[index] += 1j * STEP
            result = reference.loss_and_gradients(layers, {**weights, name: moved}, *arguments, **options)
            gradients[name][index] = result.loss.imag / STEP
    return gradients


def assert_same_gradients(actual: Weights, expected: Weights, tolerance: float = 1e-12) -> None:
    """Compare tensor by tensor, relative to the largest element of each."""
    assert list(actual) == list(expected)
    for name, g in expected.items():
        assert actual[name].shape == g.shape, name
        assert actual[name].dtype == np.float64, name
        np.testing.assert_allclose(actual[name], g, rtol=0, atol=tolerance * np.abs(g).max(), err_msg=name)


# --- gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("activation", "loss"), LEGAL)
def test_gradients_agree_with_complex_steps(activation: str, loss: str) -> None:
    rng = np.random.default_rng(1)
    layers = hourglass(activation, loss)
    weights = random_weights(layers, rng, (4, 3, 2, 4))
    x, target = random_batch(loss, rng)
    actual = reference.loss_and_gradients(layers, weights, x, target, loss).gradients
    assert all(np.any(g != 0) for g in actual.values())
    assert_same_gradients(actual, complex_step_gradients(layers, weights, x, target, loss))


@pytest.mark.parametrize(("activation", "loss"), LEGAL)
def test_gradients_agree_with_a_directional_difference(activation: str, loss: str) -> None:
    """Real numbers only, so that an error common to the complex step and the gradient would show."""
    rng = np.random.default_rng(2)
    layers = hourglass(activation, loss)
    weights = random_weights(layers, rng, (4, 3, 2, 4))
    x, target = random_batch(loss, rng)
    direction = {name: rng.normal(size=w.shape) for name, w in weights.items()}

    def loss_at(h: float) -> float:
        moved = {name: w + h * direction[name] for name, w in weights.items()}
        return reference.loss_and_gradients(layers, moved, x, target, loss).loss

    h = 1e-4  # fourth-order difference: truncation about h^4, rounding about 1e-16 / h
    difference = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h)
    gradients = reference.loss_and_gradients(layers, weights, x, target, loss).gradients
    slope = sum(np.sum(gradients[name] * direction[name]) for name in weights)
    assert difference == pytest.approx(slope, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("activation", ["tanh", "prelu"])
def test_gradients_of_tied_and_penalised_weights_agree_with_complex_steps(activation: str, loss: str) -> None:
    rng = np.random.default_rng(3)
    layers = hourglass(activation, loss, tied=True)
    weights = random_weights(layers, rng, (4, 3, 3, 4))
    assert "decoder.0.kernel" not in weights
    x, target = random_batch(loss, rng)
    options = {"l1": 0.3, "l2": 0.2}
    actual = reference.loss_and_gradients(layers, weights, x, target, loss, **options).gradients
    assert_same_gradients(actual, complex_step_gradients(layers, weights, x, target, loss, **options))


def test_a_tied_kernel_gets_the_sum_of_both_gradients() -> None:
    rng = np.random.default_rng(4)
    tied = hourglass("tanh", "mse", tied=True)
    free = [*tied[:-1], replace(tied[-1], tied_to=None)]
    weights = random_weights(tied, rng, (4, 3, 3, 4))
    copied = {**weights, "decoder.0.kernel": weights["encoder.0.kernel"].T}
    x, target = random_batch("mse", rng)
    shared = reference.loss_and_gradients(tied, weights, x, target, "mse")
    separate = reference.loss_and_gradients(free, copied, x, target, "mse")
    both = separate.gradients["encoder.0.kernel"] + separate.gradients["decoder.0.kernel"].T
    assert shared.loss == separate.loss
    np.testing.assert_allclose(shared.gradients["encoder.0.kernel"], both, rtol=1e-13)


@pytest.mark.parametrize("activation", PIECEWISE)
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_gradients_follow_the_branches_given(activation: str, loss: str) -> None:
    """Branches drawn at random, whatever the numbers say, select the function that is differentiated."""
    rng = np.random.default_rng(5)
    layers = hourglass(activation, loss)
    weights = random_weights(layers, rng, (4, 3, 2, 4))
    x, target = random_batch(loss, rng)
    branches = Branches(
        {layer.name: rng.random((7, w)) < 0.5 for layer, w in zip(layers, (3, 2, 4), strict=True)},
        rng.integers(-1, 2, size=target.shape).astype(np.float32),
    )
    result = reference.loss_and_gradients(layers, weights, x, target, loss, branches=branches)
    assert result.loss != reference.loss_and_gradients(layers, weights, x, target, loss).loss
    expected = complex_step_gradients(layers, weights, x, target, loss, branches=branches)
    assert_same_gradients(result.gradients, expected)


def test_branches_are_read_from_a_float32_run() -> None:
    layers = [Layer("encoder.0", "relu"), Layer("encoder.1", "tanh"), Layer("decoder.0", "prelu")]
    z = np.array([[-1.0, 0.0, 1e-30]], dtype=np.float32)
    output = np.array([[0.1, 1.0, -3.0, 2.0, -1.0, 1.01, -1.01]], dtype=np.float32)
    run = {"encoder.0": z, "encoder.1": z, "decoder.0": -z, "output": output}
    targets = np.array([[0.1, 3.0, -4.0, 0.0, 0.0, 0.0, 0.0]])  # 0.1 equals the output in float32 only
    branches = reference.branches_of(layers, run, targets, "mae")
    assert set(branches.positive) == {"encoder.0", "decoder.0"}
    np.testing.assert_array_equal(branches.positive["encoder.0"], [[False, False, True]])
    np.testing.assert_array_equal(branches.positive["decoder.0"], [[True, False, False]])
    np.testing.assert_array_equal(branches.loss, [[0, -1, 1, 1, -1, 1, -1]])
    huber = reference.branches_of(layers, run, targets, "huber")
    np.testing.assert_array_equal(huber.loss, [[0, -1, 0, 1, 0, 1, -1]])
    assert reference.branches_of(layers, run, targets, "mse").loss is None


def test_float32_weights_are_computed_with_in_float64() -> None:
    rng = np.random.default_rng(6)
    layers = hourglass("gelu", "mse")
    weights = {k: w.astype(np.float32) for k, w in random_weights(layers, rng, (4, 3, 2, 4)).items()}
    x, target = (a.astype(np.float32) for a in random_batch("mse", rng))
    widened = {name: w.astype(np.float64) for name, w in weights.items()}
    expected = reference.loss_and_gradients(layers, widened, x.astype(float), target.astype(float), "mse")
    actual = reference.loss_and_gradients(layers, weights, x, target, "mse")
    assert actual.loss == expected.loss
    assert_same_gradients(actual.gradients, expected.gradients, tolerance=0)
    for optimizer in (reference.Adam, reference.AdamW, reference.SGD, reference.RMSprop):
        updated = optimizer().update(weights, weights, 0.1)
        exact = optimizer().update(widened, widened, 0.1)
        assert_same_gradients(updated, exact, tolerance=0)


def test_illegal_combinations_are_refused() -> None:
    layers = [Layer("encoder.0", "tanh")]
    weights = {"encoder.0.kernel": np.ones((2, 1)), "encoder.0.bias": np.zeros(1)}
    with pytest.raises(ValueError, match="sigmoid output layer"):
        reference.loss_and_gradients(layers, weights, np.ones((3, 2)), np.ones((3, 1)), "binary_crossentropy")
    with pytest.raises(ValueError, match=r"shape \(3, 1\)"):
        reference.loss_and_gradients(layers, weights, np.ones((3, 2)), np.ones((3, 4)), "mse")


# --- activations --------------------------------------------------------------------------------------------

LOGISTIC_1 = 1.0 / (1.0 + math.exp(-1.0))
PHI_1 = 0.5 * (1.0 + math.erf(1.0 / math.sqrt(2.0)))


@pytest.mark.parametrize(
    ("name", "at_minus_1", "at_0", "at_1"),
    [
        ("identity", -1.0, 0.0, 1.0),
        ("sigmoid", 1.0 - LOGISTIC_1, 0.5, LOGISTIC_1),
        ("tanh", -math.tanh(1.0), 0.0, math.tanh(1.0)),
        ("relu", 0.0, 0.0, 1.0),
        ("leaky_relu", -0.01, 0.0, 1.0),
        ("elu", math.exp(-1.0) - 1.0, 0.0, 1.0),
        ("prelu", -0.3, 0.0, 1.0),
        ("gelu", PHI_1 - 1.0, 0.0, PHI_1),
        ("silu", LOGISTIC_1 - 1.0, 0.0, LOGISTIC_1),
        ("softplus", math.log(1.0 + math.exp(-1.0)), math.log(2.0), math.log(1.0 + math.e)),
    ],
)
def test_activation_values(name: str, at_minus_1: float, at_0: float, at_1: float) -> None:
    y = reference.ACTIVATIONS[name].value(np.array([-1.0, 0.0, 1.0]), slope=np.full(3, 0.3))
    np.testing.assert_allclose(y, [at_minus_1, at_0, at_1], rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_activation_derivatives_agree_with_complex_steps(name: str) -> None:
    """To a relative error, down to where the derivatives almost vanish."""
    z = np.linspace(-20.0, 20.0, 401) + 0.01
    slope = np.full(z.shape, 0.3)
    activation = reference.ACTIVATIONS[name]
    expected = activation.value(z + 1j * STEP, slope=slope).imag / STEP
    np.testing.assert_allclose(activation.derivative(z, slope=slope), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "at_0"), [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("prelu", 0.3)]
)
def test_zero_is_not_positive(name: str, at_0: float) -> None:
    assert reference.ACTIVATIONS[name].derivative(np.zeros(1), slope=np.full(1, 0.3)) == at_0


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_activations_do_not_overflow(name: str) -> None:
    z = np.array([-1000.0, 1000.0])
    activation = reference.ACTIVATIONS[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.all(np.isfinite(activation.value(z, slope=np.full(2, 0.3))))
        assert np.all(np.isfinite(activation.derivative(z, slope=np.full(2, 0.3))))


def test_erfc_agrees_with_erf() -> None:
    x = np.linspace(-6.0, 6.0, 121).reshape(11, 11)
    erf = np.array([[math.erf(element) for element in row] for row in x])
    np.testing.assert_allclose(1.0 - reference.erfc(x), erf, rtol=0, atol=2.3e-16)
    assert reference.erfc(np.array([10.0]))[0] == pytest.approx(2.088487583762545e-45, rel=1e-14, abs=0)


def test_complex_erfc_has_the_slope_of_erfc_and_refuses_large_imaginary_parts() -> None:
    x = np.array([-1.5, 0.0, 0.7])
    h = 1e-4
    slope = (reference.erfc(x + h) - reference.erfc(x - h)) / (2 * h)
    stepped = reference.erfc(x + 1j * STEP)
    np.testing.assert_array_equal(stepped.real, reference.erfc(x))
    np.testing.assert_allclose(stepped.imag / STEP, slope, rtol=1e-7)
    with pytest.raises(ValueError, match="imaginary"):
        reference.erfc(x + 1e-3j)


# --- losses, the forward pass and penalties -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", (0.25 + 4.0 + 0.0 + 9.0 + 1.0 + 0.25) / 6),
        ("mae", (0.5 + 2.0 + 0.0 + 3.0 + 1.0 + 0.5) / 6),
        ("huber", (0.125 + 1.5 + 0.0 + 2.5 + 0.5 + 0.125) / 6),
    ],
)
def test_losses_are_means_over_rows_and_features(loss: str, expected: float) -> None:
    layers = [Layer("encoder.0", "identity")]
    weights = {"encoder.0.kernel": np.eye(3), "encoder.0.bias": np.zeros(3)}
    d = np.array([[0.5, -2.0, 0.0], [3.0, 1.0, -0.5]])
    target = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]])
    result = reference.loss_and_gradients(layers, weights, target + d, target, loss)
    assert result.loss == result.reconstruction_loss == pytest.approx(expected, rel=1e-14)
    assert result.penalty == 0.0


def test_binary_crossentropy_is_that_of_the_sigmoid() -> None:
    layers = [Layer("encoder.0", "sigmoid")]
    weights = {"encoder.0.kernel": np.eye(3), "encoder.0.bias": np.zeros(3)}
    z = np.array([[-2.0, 0.5, 3.0], [1.0, -0.1, 0.0]])
    t = np.array([[0.0, 1.0, 0.3], [0.9, 0.5, 1.0]])
    y = 1.0 / (1.0 + np.exp(-z))
    expected = np.mean(-t * np.log(y) - (1.0 - t) * np.log(1.0 - y))
    actual = reference.loss_and_gradients(layers, weights, z, t, "binary_crossentropy")
    assert actual.loss == pytest.approx(expected, rel=1e-14)

    confident = reference.loss_and_gradients(layers, weights, 1000.0 * z, t, "binary_crossentropy")
    assert np.isfinite(confident.loss)


def test_mae_has_no_gradient_where_it_is_zero() -> None:
    layers = [Layer("encoder.0", "identity")]
    weights = {"encoder.0.kernel": np.eye(2), "encoder.0.bias": np.zeros(2)}
    result = reference.loss_and_gradients(layers, weights, [[1.0, 2.0]], [[1.0, 5.0]], "mae")
    np.testing.assert_array_equal(result.gradients["encoder.0.bias"], [0.0, -0.5])


def test_forward_by_hand() -> None:
    layers = [Layer("encoder.0", "relu"), Layer("decoder.0", "prelu", tied_to="encoder.0")]
    weights = {
        "encoder.0.kernel": np.array([[1.0, -1.0], [2.0, 3.0], [0.0, 1.0]]),
        "encoder.0.bias": np.array([0.5, -0.5]),
        "decoder.0.bias": np.array([1.0, -10.0, 0.0]),
        "decoder.0.slope": np.array([0.1, 0.2, 0.3]),
    }
    trace = reference.forward(layers, weights, [[1.0, 2.0, -6.0]])
    np.testing.assert_array_equal(trace.inputs["encoder.0"], [[1.0, 2.0, -6.0]])
    np.testing.assert_array_equal(trace.z["encoder.0"], [[5.5, -1.5]])
    np.testing.assert_array_equal(trace.y["encoder.0"], [[5.5, 0.0]])
    np.testing.assert_array_equal(trace.inputs["decoder.0"], trace.y["encoder.0"])
    np.testing.assert_array_equal(trace.z["decoder.0"], [[6.5, 1.0, 0.0]])
    np.testing.assert_array_equal(trace.y["decoder.0"], [[6.5, 1.0, 0.0]])

    weights["decoder.0.bias"] = np.array([1.0, -21.0, 0.0])
    np.testing.assert_array_equal(
        reference.forward(layers, weights, [[1.0, 2.0, -6.0]]).y["decoder.0"][0, 1], -2.0
    )


def test_penalty_counts_kernels_once_and_nothing_else() -> None:
    layers = [Layer("encoder.0", "identity"), Layer("decoder.0", "prelu", tied_to="encoder.0")]
    weights = {
        "encoder.0.kernel": np.array([[2.0], [-3.0], [0.0]]),
        "encoder.0.bias": np.array([7.0]),
        "decoder.0.bias": np.full(3, 5.0),
        "decoder.0.slope": np.full(3, 0.5),
    }
    x = np.ones((2, 3))
    plain = reference.loss_and_gradients(layers, weights, x, x, "mse")
    result = reference.loss_and_gradients(layers, weights, x, x, "mse", l1=0.1, l2=0.01)
    assert result.penalty == pytest.approx(0.1 * 5.0 + 0.01 * 13.0)
    assert result.reconstruction_loss == plain.loss
    assert result.loss == pytest.approx(plain.loss + result.penalty)
    added = result.gradients["encoder.0.kernel"] - plain.gradients["encoder.0.kernel"]
    np.testing.assert_allclose(added, [[0.1 + 0.04], [-0.1 - 0.06], [0.0]], atol=1e-14)
    for name in ("encoder.0.bias", "decoder.0.bias", "decoder.0.slope"):
        np.testing.assert_array_equal(result.gradients[name], plain.gradients[name])


# --- clipping, optimisers, schedules, training --------------------------------------------------------------


def test_clipping() -> None:
    gradients = {"a.kernel": np.array([[3.0], [0.0]]), "a.bias": np.array([-4.0])}
    clipped, norm = reference.clip_by_global_norm(gradients, 1.0)
    assert norm == 5.0
    np.testing.assert_allclose(clipped["a.kernel"], [[0.6], [0.0]], rtol=1e-15)
    np.testing.assert_allclose(clipped["a.bias"], [-0.8], rtol=1e-15)
    for large in (5.0, 6.0, math.inf):
        unscaled, norm = reference.clip_by_global_norm(gradients, large)
        assert norm == 5.0
        assert all(np.array_equal(unscaled[name], g) for name, g in gradients.items())
    nothing, norm = reference.clip_by_global_norm({"a.bias": np.zeros(2)}, 1.0)
    assert norm == 0.0
    np.testing.assert_array_equal(nothing["a.bias"], [0.0, 0.0])


def two_steps(optimizer: reference.Optimizer, name: str = "a.kernel") -> list[float]:
    """The weight 1, after a step of gradient 2 and one of gradient -1, at rate 0.1."""
    weights = {name: np.array([[1.0]])}
    seen = []
    for gradient in (2.0, -1.0):
        before = weights[name]
        weights = optimizer.update(weights, {name: np.array([[gradient]])}, 0.1)
        assert weights[name] is not before
        seen.append(weights[name].item())
    return seen


# Step 1: m = 0.2, v = 0.4, corrected 2 and 4: 2 / (2 + 1/2).
# Step 2: m = 0.18 - 0.1 = 0.08, v = 0.36 + 0.1 = 0.46, corrected 0.08 / 0.19 and 0.46 / 0.19.
ADAM_MOVES = [0.1 * 2.0 / 2.5, 0.1 * (0.08 / 0.19) / (math.sqrt(0.46 / 0.19) + 0.5)]


def test_adam_by_hand() -> None:
    first = 1.0 - ADAM_MOVES[0]
    actual = two_steps(reference.Adam(beta_1=0.9, beta_2=0.9, epsilon=0.5))
    assert actual == pytest.approx([first, first - ADAM_MOVES[1]], rel=1e-14)


def test_adam_tells_its_betas_apart() -> None:
    """m = 1, then 0; v = 0.4, then 0.46."""
    actual = two_steps(reference.Adam(beta_1=0.5, beta_2=0.9, epsilon=0.0))
    assert actual == pytest.approx([0.9, 0.9], rel=1e-14)


def test_adamw_decays_kernels_alone_by_hand() -> None:
    first = 1.0 * (1.0 - 0.1 * 0.2) - ADAM_MOVES[0]
    second = first * (1.0 - 0.1 * 0.2) - ADAM_MOVES[1]
    settings = {"beta_1": 0.9, "beta_2": 0.9, "epsilon": 0.5}
    decayed = two_steps(reference.AdamW(**settings, weight_decay=0.2))
    assert decayed == pytest.approx([first, second], rel=1e-14)
    for name in ("a.bias", "a.slope"):
        plain = two_steps(reference.Adam(**settings), name)
        assert two_steps(reference.AdamW(**settings, weight_decay=0.2), name) == plain


def test_sgd_by_hand() -> None:
    assert two_steps(reference.SGD()) == pytest.approx([0.8, 0.9], rel=1e-14)
    # velocity: -0.2, then 0.5 (-0.2) + 0.1 = 0
    assert two_steps(reference.SGD(momentum=0.5)) == pytest.approx([0.8, 0.8], rel=1e-14)
    # the same velocities; moves 0.5 (-0.2) - 0.2 = -0.3, then 0.5 (0) + 0.1 = 0.1
    assert two_steps(reference.SGD(momentum=0.5, nesterov=True)) == pytest.approx([0.7, 0.8], rel=1e-14)


def test_rmsprop_by_hand() -> None:
    # v = 0.4, then 0.36 + 0.1 = 0.46
    first = 1.0 - 0.2 / (math.sqrt(0.4) + 0.5)
    second = first + 0.1 / (math.sqrt(0.46) + 0.5)
    assert two_steps(reference.RMSprop(rho=0.9, epsilon=0.5)) == pytest.approx([first, second], rel=1e-14)


def test_optimiser_defaults() -> None:
    adam, adamw, rmsprop = reference.Adam(), reference.AdamW(), reference.RMSprop()
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)
    assert (adamw.beta_1, adamw.beta_2, adamw.epsilon, adamw.weight_decay) == (0.9, 0.999, 1e-8, 0.01)
    assert (rmsprop.rho, rmsprop.epsilon) == (0.9, 1e-7)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (reference.constant, [2.0] * 10),
        (reference.step_decay(2, 0.5), [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]),
        (reference.exponential_decay(0.5), [2.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        # W = 2, T = 6: warm-up 1/2 and 1, then p = 0, 1/4, 1/2, 3/4, and 1 from the end on
        (
            reference.cosine_decay(1, 0.1),
            [1.0, 2.0, 2.0, 1.1 + 0.9 * math.sqrt(0.5), 1.1, 1.1 - 0.9 * math.sqrt(0.5), 0.2, 0.2, 0.2, 0.2],
        ),
        (
            reference.cosine_decay(0, 0.0),
            [2.0, 1.0 + math.sqrt(0.75), 1.5, 1.0, 0.5, 1.0 - math.sqrt(0.75), 0.0],
        ),
        (reference.cosine_decay(3, 0.0), [2 / 6, 4 / 6, 1.0, 8 / 6, 10 / 6, 2.0, 2.0, 0.0]),
    ],
)
def test_schedules_by_hand(schedule: reference.Schedule, expected: list[float]) -> None:
    actual = [schedule(2.0, step, 2, 3) for step in range(len(expected))]
    assert actual == pytest.approx(expected, rel=1e-14, abs=1e-15)


def test_training_is_the_steps_in_order() -> None:
    """One weight, y = w x + b with x = 1, t = 0: the gradient in both is 2 (w + b) + penalty."""
    layers = [Layer("encoder.0", "identity")]
    weights = {"encoder.0.kernel": np.array([[2.0]]), "encoder.0.bias": np.array([1.0])}
    batches = [(np.ones((1, 1)), np.zeros((1, 1)))] * 2
    options = {"l1": 1.0, "l2": 0.5}
    # step 0, rate 0.1: loss 9 + 2 + 2, gradients 6 + 1 + 2 = 9 and 6: w = 1.1, b = 0.4
    # step 1, rate 0.2: loss 2.25 + 1.1 + 0.605, gradients 3 + 1 + 1.1 = 5.1 and 3: w = 0.08, b = -0.2
    trained, losses = reference.train(
        layers, weights, batches, "mse", reference.SGD(), lambda step: 0.1 * (step + 1), **options
    )
    assert losses == pytest.approx([13.0, 3.955], rel=1e-14)
    assert trained["encoder.0.kernel"].item() == pytest.approx(0.08, rel=1e-13)
    assert trained["encoder.0.bias"].item() == pytest.approx(-0.2, rel=1e-13)
    assert weights["encoder.0.kernel"].item() == 2.0

    # one clipped step at a fixed rate: (9, 6) has norm sqrt(117)
    clipped, losses = reference.train(
        layers, weights, batches[:1], "mse", reference.SGD(), 0.1, **options, clip_norm=1.0
    )
    assert losses == pytest.approx([13.0], rel=1e-14)
    assert clipped["encoder.0.kernel"].item() == pytest.approx(2.0 - 0.9 / math.sqrt(117.0), rel=1e-14)
    assert clipped["encoder.0.bias"].item() == pytest.approx(1.0 - 0.6 / math.sqrt(117.0), rel=1e-14)


@pytest.mark.parametrize(
    "optimizer", [reference.Adam(), reference.AdamW(), reference.SGD(0.9), reference.RMSprop()]
)
def test_training_lowers_the_loss(optimizer: reference.Optimizer) -> None:
    rng = np.random.default_rng(7)
    layers = [Layer("encoder.0", "tanh"), Layer("decoder.0", "identity", tied_to="encoder.0")]
    weights = {k: 0.3 * w for k, w in random_weights(layers, rng, (4, 2, 4)).items()}
    x = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 4))
    before = reference.loss_and_gradients(layers, weights, x, x, "mse").reconstruction_loss
    _, losses = reference.train(layers, weights, [(x, x)] * 200, "mse", optimizer, 0.01)
    assert losses[0] == before  # neither penalised nor clipped unless asked
    assert losses[-1] < 0.5 * losses[0]
