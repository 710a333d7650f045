"""Hyper-parameters: the table of rules, the rules that join them, and the objects that hold some."""

import copy
import inspect
import math
import pickle
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diabolo
from diabolo import SGD, Adam, AdamW, AutoEncoder, CosineDecay, ExponentialDecay, RMSprop, StepDecay
from diabolo._parameters import RULES, check_combinations, checked_parameters

COUNTS = ["n_components", "epochs", "batch_size", "patience"]
NUMBERS = ["learning_rate", "l1", "l2", "clip_norm", "validation_fraction", "min_delta"]
NAMES = {
    "activation": "relu",
    "code_activation": "gelu",
    "output_activation": "auto",
    "initializer": "orthogonal",
    "loss": "binary_crossentropy",
    "optimizer": "rmsprop",
    "schedule": "cosine",
    "scale": "minmax",
    "shuffle": "blocks",
}


def checked(**changes: object) -> Any:
    parameters = checked_parameters("AutoEncoder", AutoEncoder(**changes).get_params())  # type: ignore[arg-type]
    check_combinations("AutoEncoder", parameters)
    return parameters


def test_every_parameter_has_a_rule_and_a_default_that_obeys_it() -> None:
    assert AutoEncoder().get_params().keys() == RULES.keys()
    checked()


def test_message_names_estimator_parameter_rule_and_value() -> None:
    with pytest.raises(diabolo.InvalidParameterError) as error:
        AutoEncoder(n_components=0).fit([[1.0], [2.0]])
    assert str(error.value) == "AutoEncoder: n_components must be an int >= 1. Got 0."


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, math.nan, "3", None, True, [3], 2**63, np.float32(2)])
def test_counts_refuse(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be an int >= 1\. Got "):
        checked(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
@given(value=st.integers(1, 2**63 - 1))
def test_counts_accept_python_and_numpy_ints(name: str, value: int) -> None:
    assert getattr(checked(**{name: value}), name) == value
    result = getattr(checked(**{name: np.int64(value)}), name)
    assert result == value
    assert type(result) is int


@pytest.mark.parametrize("name", NUMBERS)
@given(value=st.one_of(st.floats(max_value=0.0, exclude_max=True), st.just(math.nan), st.just(-math.inf)))
def test_numbers_refuse_negative_and_nan(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be (None or )?a.* number .*\. Got "):
        checked(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["0.1", True, [0.1], 1j, np.array([0.1]), 10**400])
def test_numbers_refuse_what_is_none(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be "):
        checked(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@given(value=st.floats(1e-300, 1.0, exclude_max=True))
def test_numbers_accept_python_and_numpy_floats(name: str, value: float) -> None:
    for number in (value, np.float64(value), Fraction(value)):
        result = getattr(checked(**{name: number}), name)
        assert result == value
        assert type(result) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.inf),
        ("l1", math.inf),
        ("clip_norm", 0),
        ("validation_fraction", 1.0),
        ("min_delta", math.inf),
    ],
)
def test_numbers_refuse_the_excluded_ends(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be "):
        checked(**{name: value})


def test_numbers_accept_the_included_ends() -> None:
    assert checked(clip_norm=math.inf).clip_norm == math.inf
    assert checked(validation_fraction=0).validation_fraction == 0.0


@pytest.mark.parametrize(("name", "good"), NAMES.items())
@pytest.mark.parametrize("value", ["", "Relu", "foo", 3, b"relu", ["relu"], None])
def test_names_refuse_and_list_the_options(name: str, good: str, value: object) -> None:
    if name == "scale" and value is None:
        return
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be .*'{good}'.*\. Got "):
        checked(**{name: value})


@pytest.mark.parametrize("name", ["activation", "code_activation", "output_activation"])
@pytest.mark.parametrize(
    "value",
    ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "prelu", "gelu", "silu", "softplus"],
)
def test_activations(name: str, value: str) -> None:
    assert getattr(checked(**{name: value}), name) == value
    assert getattr(checked(**{name: np.str_(value)}), name) == value


@pytest.mark.parametrize("name", ["tied_weights", "early_stopping"])
@pytest.mark.parametrize("value", [0, 1, None, "yes", 1.0])
def test_flags_are_bools(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be True or False\. Got "):
        checked(**{name: value})
    assert checked(tied_weights=np.True_).tied_weights is True


@pytest.mark.parametrize("value", [1, 0, "rows", None])
def test_shuffle_is_a_bool_or_blocks(value: object) -> None:
    with pytest.raises(ValueError, match=r"^AutoEncoder: shuffle must be True or False or 'blocks'"):
        checked(shuffle=value)


@pytest.mark.parametrize("name", ["hidden_layer_sizes", "decoder_layer_sizes"])
@pytest.mark.parametrize("value", [64, (64, 0), (64, 2.0), (True,), "64", {64: 1}, {64}, [[64]], (None,)])
def test_widths_refuse(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^AutoEncoder: {name} must be .*a sequence of ints >= 1"):
        checked(**{name: value})


@given(widths=st.lists(st.integers(1, 10**6), max_size=5))
def test_widths_accept_every_kind_of_sequence(widths: list[int]) -> None:
    for sequence in (widths, tuple(widths), np.array(widths, dtype=np.int32)):
        assert checked(hidden_layer_sizes=sequence).hidden_layer_sizes == tuple(widths)


@pytest.mark.parametrize("value", [0, -2, 1.0, True, "all"])
def test_n_jobs_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"^AutoEncoder: n_jobs must be None, -1 or an int >= 1"):
        checked(n_jobs=value)


@pytest.mark.parametrize(("value", "expected"), [(None, None), (-1, None), (np.int64(-1), None), (3, 3)])
def test_n_jobs_accepts(value: object, expected: int | None) -> None:
    assert checked(n_jobs=value).n_jobs == expected


@pytest.mark.parametrize("value", [-1, 1.5, "0", True, [1]])
def test_random_state_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"^AutoEncoder: random_state must be None, an int >= 0"):
        checked(random_state=value)


@pytest.mark.parametrize("value", [3, -1, 0.0, None, "yes"])
def test_verbose_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"^AutoEncoder: verbose must be 0, 1 or 2"):
        checked(verbose=value)


def test_verbose_takes_bools_as_ints() -> None:
    assert (checked(verbose=True).verbose, checked(verbose=np.False_).verbose) == (1, 0)


def test_a_value_of_great_length_is_cut() -> None:
    with pytest.raises(ValueError, match=r"\.\.\.\.$") as error:
        checked(activation="x" * 10_000)
    assert len(str(error.value)) < 400


def test_a_value_without_a_working_repr_is_reported_all_the_same() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ValueError, match="Got an object of type Broken"):
        checked(epochs=Broken())


# ---- Rules that join several parameters ----


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh"])
def test_binary_crossentropy_needs_a_sigmoid(activation: str) -> None:
    with pytest.raises(ValueError, match="output_activation must be 'auto' or 'sigmoid' when loss="):
        checked(loss="binary_crossentropy", output_activation=activation)


def test_binary_crossentropy_refuses_standard_scaling() -> None:
    with pytest.raises(ValueError, match="scale must be 'minmax' or None when loss='binary_crossentropy'"):
        checked(loss="binary_crossentropy", scale="standard")


def test_tied_weights_need_a_mirrored_decoder() -> None:
    with pytest.raises(ValueError, match=r"decoder_layer_sizes must be None or the mirror .*\(4, 8\)"):
        checked(tied_weights=True, hidden_layer_sizes=(8, 4), decoder_layer_sizes=(8, 4))
    checked(tied_weights=True, hidden_layer_sizes=(8, 4), decoder_layer_sizes=[4, 8])


def test_warm_up_must_be_shorter_than_the_training() -> None:
    with pytest.raises(ValueError, match="schedule must be one whose warmup_epochs are fewer than epochs=3"):
        checked(epochs=3, schedule=CosineDecay(warmup_epochs=3))


def test_validation_data_come_from_one_place(X: Any) -> None:
    with pytest.raises(ValueError, match="validation_fraction must be 0 when X_val is given"):
        AutoEncoder(2, validation_fraction=0.1).fit(X, X_val=X)
    with pytest.raises(ValueError, match="early_stopping must be False unless"):
        AutoEncoder(2, early_stopping=True).fit(X)
    with pytest.raises(ValueError, match="validation_fraction must be 0 when X has a single row"):
        AutoEncoder(2, validation_fraction=0.5).fit(X[:1])


# ---- Optimizers and schedules ----

OBJECTS = [
    Adam(beta_1=0.8),
    AdamW(weight_decay=0.1),
    SGD(momentum=0.9, nesterov=True),
    RMSprop(rho=0.5),
    diabolo.ConstantRate(),
    StepDecay(5, 0.1),
    ExponentialDecay(0.9),
    CosineDecay(warmup_epochs=2),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects_are_values(value: Any) -> None:
    for twin in (copy.deepcopy(value), pickle.loads(pickle.dumps(value)), eval(repr(value), vars(diabolo))):
        assert twin == value
        assert hash(twin) == hash(value)
    assert all(value != other for other in OBJECTS if other is not value)
    with pytest.raises(AttributeError):
        value.anything = 1
    for name in inspect.signature(type(value)).parameters:
        with pytest.raises(AttributeError):
            setattr(value, name, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(beta_1=1.0), "Adam: beta_1 must be a number in [0, 1). Got 1.0."),
        (lambda: Adam(beta_2=-0.1), "Adam: beta_2 must be a number in [0, 1). Got -0.1."),
        (lambda: Adam(epsilon=0), "Adam: epsilon must be a finite number > 0. Got 0."),
        (lambda: AdamW(weight_decay=-1), "AdamW: weight_decay must be a finite number >= 0. Got -1."),
        (lambda: SGD(momentum=math.nan), "SGD: momentum must be a number in [0, 1). Got nan."),
        (lambda: SGD(nesterov=1), "SGD: nesterov must be True or False. Got 1."),
        (lambda: RMSprop(rho="0.9"), "RMSprop: rho must be a number in [0, 1). Got '0.9'."),
        (lambda: StepDecay(epochs=0), "StepDecay: epochs must be an int >= 1. Got 0."),
        (lambda: StepDecay(factor=0.0), "StepDecay: factor must be a number in (0, 1]. Got 0.0."),
        (lambda: ExponentialDecay(2), "ExponentialDecay: factor must be a number in (0, 1]. Got 2."),
        (lambda: CosineDecay(-1), "CosineDecay: warmup_epochs must be an int >= 0. Got -1."),
        (lambda: CosineDecay(0, 1.5), "CosineDecay: final_fraction must be a number in [0, 1]. Got 1.5."),
    ],
)
def test_objects_check_themselves(make: Any, message: str) -> None:
    with pytest.raises(diabolo.InvalidParameterError, match=f"^{re.escape(message)}$"):
        make()


def test_names_stand_for_the_defaults() -> None:
    assert checked(optimizer="adamw").optimizer == AdamW()
    assert checked(schedule="step").schedule == StepDecay()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", SGD(momentum=0.9, nesterov=True)])
@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", CosineDecay(warmup_epochs=1)])
def test_every_optimizer_runs_with_every_schedule(X: Any, optimizer: Any, schedule: Any) -> None:
    ae = AutoEncoder(2, optimizer=optimizer, schedule=schedule, epochs=3, random_state=0).fit(X)
    assert ae.history_["loss"][-1] < ae.history_["loss"][0]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.1, 0.1, 0.1, 0.1]),
        (StepDecay(2, 0.5), [0.1, 0.1, 0.05, 0.05]),
        (ExponentialDecay(0.5), [0.1, 0.05, 0.025, 0.0125]),
        # Two steps an epoch: the last of each epoch. Warm-up to (step + 1) / 2, then (1 + cos(pi p)) / 2 with
        # p = 1/6, 3/6, 5/6.
        (
            CosineDecay(1),
            [0.1, *(0.05 * (1 + math.cos(math.pi * p / 6)) for p in (1, 3, 5))],
        ),
    ],
)
def test_history_has_the_learning_rate_of_the_last_step(X: Any, schedule: Any, rates: list[float]) -> None:
    ae = AutoEncoder(
        2, optimizer="sgd", schedule=schedule, learning_rate=0.1, epochs=4, batch_size=100, random_state=0
    )
    np.testing.assert_allclose(ae.fit(X).history_["learning_rate"], rates, rtol=1e-6)
