"""Whole steps beside the float64 oracle: optimisers, schedules, penalties, clipping; and how runs end."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import reference
from core_helpers import (
    ISAS,
    LOSSES,
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    hourglass,
    trainer,
)
from diabolo import _core

LOSS_TOLERANCE = 1e-5
CHANGE_TOLERANCE = 1e-3  # of the norm of the weights' change
STEPS = 20

# Each of the core's rules beside the oracle's, with a learning rate at which 20 steps go somewhere.
RULES: dict[str, tuple[_core.UpdateRule, Callable[[], reference.Optimizer], float]] = {
    "sgd": (_core.UpdateRule.sgd(0.0, False), lambda: reference.SGD(), 0.5),
    "momentum": (_core.UpdateRule.sgd(0.9, False), lambda: reference.SGD(0.9), 0.1),
    "nesterov": (_core.UpdateRule.sgd(0.9, True), lambda: reference.SGD(0.9, True), 0.1),
    "adam": (_core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0), lambda: reference.Adam(), 1e-3),
    "adam with odd settings": (
        _core.UpdateRule.adam(0.5, 0.9, 1e-3, 0.0),
        lambda: reference.Adam(0.5, 0.9, 1e-3),
        1e-3,
    ),
    "adamw": (
        _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.1),
        lambda: reference.AdamW(weight_decay=0.1),
        1e-2,
    ),
    "rmsprop": (_core.UpdateRule.rmsprop(0.9, 1e-7), lambda: reference.RMSprop(), 1e-3),
}

SCHEDULES: dict[str, tuple[_core.Schedule, reference.Schedule]] = {
    "constant": (_core.Schedule.constant(), reference.constant),
    "step": (_core.Schedule.step(2, 0.5), reference.step_decay(2, 0.5)),
    "exponential": (_core.Schedule.exponential(0.8), reference.exponential_decay(0.8)),
    "cosine": (_core.Schedule.cosine(0, 0.0), reference.cosine_decay(0, 0.0)),
    "cosine with warm-up": (_core.Schedule.cosine(2, 0.1), reference.cosine_decay(2, 0.1)),
    "warm-up alone": (_core.Schedule.cosine(5, 0.1), reference.cosine_decay(5, 0.1)),
}


def assert_follows(
    architecture: Architecture,
    x: Float32Array,
    *,
    rule: str = "adam",
    schedule: str = "constant",
    epochs: int = 5,
    batch_size: int,
    loss: str = "mse",
    isa: str | None = None,
    rate: float | None = None,
    clip_norm: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    threads: int = 2,
) -> list[float]:
    """Train beside the oracle, in the order of the rows; compare losses, rates and weights every epoch."""
    core_rule, make_optimizer, usual_rate = RULES[rule]
    core_schedule, rate_at = SCHEDULES[schedule]
    base_rate = usual_rate if rate is None else rate
    model = architecture.trained_looking_model(isa)
    of = trainer(
        model,
        x,
        loss=loss,
        rule=core_rule,
        schedule=core_schedule,
        learning_rate=base_rate,
        batch_size=batch_size,
        epochs=epochs,
        clip_norm=clip_norm,
        l1=l1,
        l2=l2,
        shuffle="none",
        threads=threads,
    )
    batches = [x[begin : begin + batch_size] for begin in range(0, len(x), batch_size)]
    sizes = [len(batch) for batch in batches]
    start: reference.Weights = dict(model.get_weights())
    weights = start
    optimizer = make_optimizer()
    epoch_losses = []
    for epoch in range(epochs):
        first = epoch * len(batches)
        rates = [rate_at(base_rate, first + i, len(batches), epochs) for i in range(len(batches))]
        weights, losses = reference.train(
            architecture.layers,
            weights,
            [(batch, batch) for batch in batches],
            loss,
            optimizer,
            rates.__getitem__,
            l1,
            l2,
            clip_norm or math.inf,
        )
        report = of.run_epoch(None)
        assert (report.outcome, report.epoch, report.step) == ("completed", epoch, len(batches) - 1)
        assert report.learning_rate == pytest.approx(rates[-1], rel=1e-12)
        expected = np.average(losses, weights=sizes)
        assert report.loss == pytest.approx(expected, rel=LOSS_TOLERANCE, abs=1e-7)
        if l1 == l2 == 0.0:
            assert report.loss == report.reconstruction_loss
        else:
            assert report.reconstruction_loss < report.loss
        assert_change(completed_weights(of), weights, start)
        epoch_losses.append(report.loss)
    return epoch_losses


def assert_change(
    got: dict[str, Float32Array], expected: reference.Weights, start: reference.Weights
) -> None:
    """Compare the change of all weights together, and of each tensor a little less strictly."""
    error, change = 0.0, 0.0
    for name, w in expected.items():
        here = float(np.sum((got[name] - w) ** 2))
        moved = float(np.sum((w - start[name]) ** 2))
        # Half a unit in the last place of each weight is lost in any case, in each of some twenty steps.
        rounding = STEPS * (2.0**-24) ** 2 * float(np.sum(w * w))
        assert here <= (10 * CHANGE_TOLERANCE) ** 2 * moved + rounding, name
        error += here
        change += moved
    assert error <= CHANGE_TOLERANCE**2 * change
    assert change > 0.0


# ------------------------------------------------------------------------------------------------------------
# Optimisers, penalties, clipping, schedules
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("isa", ISAS)
def test_twenty_steps(isa: str, rule: str) -> None:
    """Five epochs of four batches, the last of them smaller."""
    losses = assert_follows(
        hourglass([37, 50, 5], "tanh"), data(190, 37), rule=rule, isa=isa, batch_size=50, epochs=STEPS // 4
    )
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.parametrize("rule", RULES)
def test_twenty_steps_of_one_batch(rule: str) -> None:
    """One step an epoch: the loss of every single step."""
    assert_follows(hourglass([20, 30, 7], "silu"), data(64, 20), rule=rule, batch_size=64, epochs=STEPS)


@pytest.mark.parametrize("loss", LOSSES)
def test_twenty_steps_of_every_loss(loss: str) -> None:
    """Errors of 0.1 and more: no step of mae or huber comes near a kink."""
    x = data(190, 37) if loss == "binary_crossentropy" else 2.0 * data(190, 37) + np.float32(1.5)
    assert_follows(hourglass([37, 50, 5], "softplus", loss), x, loss=loss, batch_size=50)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("isa", ISAS)
def test_penalties(isa: str, rule: str) -> None:
    """Penalties large enough to matter; AdamW's decay stands apart from them."""
    architecture = hourglass([37, 50, 5], "tanh")
    assert_follows(architecture, data(190, 37), rule=rule, isa=isa, batch_size=50, l1=1e-4, l2=1e-3)


@pytest.mark.parametrize(("l1", "l2"), [(1e-3, 0.0), (0.0, 1e-2)])
def test_each_penalty(l1: float, l2: float) -> None:
    """Once for a kernel that two layers share."""
    architecture = hourglass([37, 50, 5], "gelu", tied=True)
    losses = assert_follows(architecture, data(190, 37), rule="sgd", rate=0.05, batch_size=50, l1=l1, l2=l2)
    assert losses[-1] < losses[0]


def test_penalty_of_a_weight_that_is_zero() -> None:
    """Its l1 term has no slope at 0, so a kernel of zeros stays one."""
    architecture = Architecture([6, 4, 6], ["identity", "identity"])
    model = architecture.model()
    zeros = {name: np.zeros(shape, np.float32) for name, shape in model.parameter_shapes().items()}
    of = trainer(model.with_weights(zeros), np.zeros((5, 6), np.float32), l1=0.5, learning_rate=0.1)
    of.run_epoch(None)
    assert all(not np.any(w) for w in completed_weights(of).values())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("isa", ISAS)
def test_clipping(isa: str, rule: str) -> None:
    """A norm that every step exceeds, penalties included.

    softplus(0) is not 0, so that what stands in the padding of the last layer would show in the norm.
    """
    architecture = hourglass([37, 50, 5], "softplus")
    x = data(190, 37)
    model = architecture.trained_looking_model(isa)
    _, _, gradients = trainer(model, x, l1=1e-4, l2=1e-3).gradients(_core.Rows(x))
    norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in gradients.values()))
    assert_follows(architecture, x, rule=rule, isa=isa, batch_size=50, l1=1e-4, l2=1e-3, clip_norm=0.3 * norm)


def test_clipping_now_and_then() -> None:
    """The first steps exceed the norm, the last ones don't."""
    architecture = hourglass([20, 30, 7], "tanh")
    x = data(64, 20)
    _, _, gradients = trainer(architecture.trained_looking_model(), x).gradients(_core.Rows(x))
    norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in gradients.values()))
    clip_norm = 0.7 * norm
    of = trainer(
        architecture.trained_looking_model(),
        x,
        rule=RULES["momentum"][0],
        learning_rate=0.1,
        clip_norm=clip_norm,
        epochs=STEPS,
    )
    for _ in range(STEPS):
        of.run_epoch(None)
    model = of.completed_model()
    assert model is not None
    _, _, gradients = trainer(model, x).gradients(_core.Rows(x))
    assert math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in gradients.values())) < clip_norm
    assert_follows(architecture, x, rule="momentum", batch_size=64, epochs=STEPS, clip_norm=clip_norm)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("batch_size", [50, 600])
@pytest.mark.parametrize("rule", RULES)
def test_clipping_at_infinity(rule: str, batch_size: int, tied: bool) -> None:
    """The gradient takes another way, through memory, to the same bits."""
    architecture = hourglass([65, 50, 17], "prelu", tied=tied)
    digests = set()
    for isa in ISAS:
        for clip_norm in (0.0, math.inf, 1e30):
            of = trainer(
                architecture.trained_looking_model(isa),
                data(701, 65),
                rule=RULES[rule][0],
                batch_size=batch_size,
                clip_norm=clip_norm,
                l1=1e-5,
                l2=1e-4,
            )
            reports = [of.run_epoch(None) for _ in range(2)]
            digests.add((isa, digest(completed_weights(of)), *(report.loss for report in reports)))
    assert len(digests) == len(ISAS)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adamw"])
def test_schedules(rule: str, schedule: str) -> None:
    """Rates as reported, and as the weights feel them: SGD's change is proportional to its rate."""
    architecture = hourglass([20, 30, 7], "tanh")
    assert_follows(architecture, data(100, 20), rule=rule, schedule=schedule, batch_size=30, epochs=6)


def test_a_schedule_stretches_over_the_epochs() -> None:
    """Cosine ends where it was told to, and the rate stays there for epochs beyond."""
    of = trainer(
        hourglass([6, 3]).model(),
        data(40, 6),
        schedule=_core.Schedule.cosine(1, 0.25),
        learning_rate=0.1,
        epochs=4,
        batch_size=10,
    )
    rates = [of.run_epoch(None).learning_rate for _ in range(6)]
    assert rates[0] == 0.1
    assert rates == sorted(rates, reverse=True)
    assert rates[3] > 0.025
    assert rates[4] == rates[5] == pytest.approx(0.025, rel=1e-12)


# ------------------------------------------------------------------------------------------------------------
# Sizes at the edge
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "batch_size"),
    [(1, 1), (1, 256), (2, 1), (13, 1000), (257, 256), (65, 64), (700, 700), (1300, 650), (513, 10**12)],
)
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("isa", ISAS)
def test_rows_and_batches(isa: str, tied: bool, rows: int, batch_size: int) -> None:
    """Batches larger than the data or than a block of 256 rows; a last batch of one row; a single row."""
    architecture = hourglass([33, 20, 5], "tanh", tied=tied)
    x = data(rows, 33)
    assert_follows(architecture, x, rule="momentum", isa=isa, batch_size=batch_size, epochs=3, l2=1e-3)


@pytest.mark.parametrize("threads", [1, 2, 9, 20])
@pytest.mark.parametrize("clip_norm", [0.0, 0.05], ids=["unclipped", "clipped"])
def test_large_batches(clip_norm: float, threads: int) -> None:
    """Seven blocks of rows, one, two or three at once."""
    architecture = hourglass([97, 120, 33], "silu", tied=True)
    assert_follows(
        architecture,
        data(2000, 97),
        rule="adam",
        batch_size=1700,
        epochs=3,
        threads=threads,
        clip_norm=clip_norm,
        l1=1e-5,
    )


@pytest.mark.parametrize("widths", [[1, 1], [1, 5, 2], [5, 1], [2, 300, 1]])
@pytest.mark.parametrize("isa", ISAS)
def test_narrow_networks(isa: str, widths: list[int]) -> None:
    """One feature; a code of one; overcomplete."""
    x = data(100, widths[0])
    assert_follows(hourglass(widths, "tanh"), x, rule="momentum", isa=isa, batch_size=33)
    assert_follows(hourglass(widths, "tanh"), x[:1], rule="momentum", isa=isa, batch_size=33)


def test_rows_of_any_kind_train_alike() -> None:
    """Strides, order, types and selections are the rows' own business."""
    x = np.random.default_rng(3).integers(0, 200, size=(300, 21)).astype(np.float32)
    spread = np.zeros((600, 42), np.float32)
    spread[::2, ::2] = x
    backwards = np.ascontiguousarray(x[::-1, ::-1])
    rows = {
        "plain": _core.Rows(x),
        "Fortran order": _core.Rows(np.asfortranarray(x)),
        "strided": _core.Rows(spread[::2, ::2]),
        "negative strides": _core.Rows(backwards[::-1, ::-1]),
        "float64": _core.Rows(x.astype(np.float64)),
        "uint8": _core.Rows(x.astype(np.uint8)),
        "columns": _core.Rows.from_columns([x[:, i].astype(np.int64) for i in range(21)]),
        "selected": _core.Rows(np.vstack([backwards, x])).take(np.arange(300, 600)),
        "slice": _core.Rows(np.vstack([backwards, x])).slice(300, 600),
    }
    architecture = hourglass([21, 30, 4])
    shift, scale = x.mean(axis=0).astype(np.float64), x.std(axis=0).astype(np.float64)
    digests = {}
    for kind, of_kind in rows.items():
        model = architecture.model()
        model.set_scaler(shift, scale)
        of = _core.Trainer(
            model,
            of_kind,
            None,
            loss="mse",
            batch_size=64,
            epochs=1,
            learning_rate=1e-3,
            schedule=_core.Schedule.constant(),
            rule=RULES["adam"][0],
            l1=0.0,
            l2=0.0,
            clip_norm=0.0,
            shuffle="rows",
            seed=3,
            threads=2,
        )
        assert of.run_epoch(None).outcome == "completed"
        digests[kind] = digest(completed_weights(of))
    assert len(set(digests.values())) == 1, digests


def test_a_scaler_is_like_scaled_rows() -> None:
    """Scaled in float64 before the cast to float32."""
    x = np.random.default_rng(3).normal(size=(200, 9)) * 100.0 + 7000.0
    shift, scale = x.mean(axis=0), x.std(axis=0)
    scaled = ((x - shift) * (1.0 / scale)).astype(np.float32)
    architecture = hourglass([9, 12, 3])
    with_scaler = architecture.model()
    with_scaler.set_scaler(shift, scale)
    digests = set()
    for model, rows in ((with_scaler, x), (architecture.model(), scaled)):
        of = trainer(model, rows, batch_size=32)
        of.run_epoch(None)
        digests.add(digest(completed_weights(of)))
    assert len(digests) == 1


# ------------------------------------------------------------------------------------------------------------
# Validation and the models a run leaves behind
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_validation_losses(loss: str) -> None:
    architecture = hourglass([21, 30, 4], "elu", loss)
    of = trainer(
        architecture.trained_looking_model(), data(200, 21), data(77, 21, seed=9), loss=loss, l1=1e-3, l2=1e-3
    )
    for _ in range(3):
        of.run_epoch(None)
        weights = dict(completed_weights(of))
        validation = data(77, 21, seed=9)
        expected = reference.loss_and_gradients(
            architecture.layers, weights, validation, validation, loss, 1e-3, 1e-3
        )
        with_penalty, reconstruction = of.validation_losses()
        assert with_penalty == pytest.approx(expected.loss, rel=LOSS_TOLERANCE)
        assert reconstruction == pytest.approx(expected.reconstruction_loss, rel=LOSS_TOLERANCE)


def test_the_best_model_is_kept() -> None:
    of = trainer(hourglass([21, 30, 4]).model(), data(200, 21))
    digests = []
    for epoch in range(4):
        of.run_epoch(None)
        digests.append(digest(completed_weights(of)))
        if epoch == 1:
            of.keep_best()
    assert len(set(digests)) == 4
    assert digest(of.best_model().get_weights()) == digests[1]


def test_training_leaves_the_model_it_starts_from_alone() -> None:
    model = hourglass([21, 30, 4]).model()
    before = digest(model.get_weights())
    of = trainer(model, data(200, 21), l2=0.1)
    assert of.completed_model() is None
    of.run_epoch(None)
    of.gradients(_core.Rows(data(10, 21)))
    assert digest(model.get_weights()) == before
    assert digest(completed_weights(of)) != before
