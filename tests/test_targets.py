"""Targets of their own in the core: gradients against the oracle, selections of rows, validation, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference
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
    relative_error,
    trainer,
)
from diabolo import _core

ROWS, FEATURES, CLASSES = 600, 40, 21


def network(
    outputs: int, isa: str | None = None, *, softmax: bool = False
) -> tuple[Architecture, _core.Model]:
    """Return encoder and head, and a model none of whose numbers is special."""
    architecture = Architecture([FEATURES, 33, outputs], ["tanh", "identity"])
    weights = architecture.trained_looking_model(isa).get_weights()
    layers: list[Any] = architecture.specs()
    if softmax:
        layers.append(_core.Softmax(outputs, [(0, outputs)]))
    with forced_isa(isa):
        return architecture, _core.Model(layers, 1, 1).with_weights(weights)


def class_numbers(seed: int = 0) -> np.ndarray[Any, np.dtype[np.int32]]:
    numbers = np.random.default_rng(seed).integers(0, CLASSES, size=(ROWS, 1))
    return numbers.astype(np.int32)


def one_hot(numbers: np.ndarray[Any, Any], off: float) -> np.ndarray[Any, Any]:
    return np.where(numbers == np.arange(CLASSES), 1.0, off)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_with_values(isa: str, loss: str, dtype: Any) -> None:
    """Scaled ones, over three slabs of a batch; narrower and wider than the rows."""
    for outputs in (3, 70):
        architecture, model = network(outputs, isa)
        x = data(ROWS, FEATURES)
        values = (7.0 + 3.0 * np.random.default_rng(1).normal(size=(ROWS, outputs))).astype(dtype)
        shift, scale = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
        of = trainer(
            model,
            x,
            targets=_core.Targets.of_values(_core.Rows(values), shift, scale),
            loss=loss,
            batch_size=ROWS,
            l2=1e-3,
        )
        got, _, gradients = of.gradients(_core.Rows(x))
        target = ((values - shift) / scale).astype(np.float32)
        expected = reference.loss_and_gradients(
            architecture.layers, model.get_weights(), x, target, loss, l2=1e-3
        )
        assert got == pytest.approx(expected.loss, rel=1e-6)
        # Where an error is near 0 or 1, float32 may be on the other branch of mae or huber.
        for name, gradient in gradients.items():
            assert relative_error(gradient, expected.gradients[name]) < (5e-6 if loss == "mse" else 1e-3), (
                name
            )


@pytest.mark.parametrize("isa", ISAS)
def test_gradients_with_classes(isa: str) -> None:
    architecture, model = network(CLASSES, isa, softmax=True)
    x, numbers = data(ROWS, FEATURES), class_numbers()
    targets = _core.Targets.of_classes(_core.Rows(numbers), CLASSES)
    of = trainer(model, x, targets=targets, loss="categorical_crossentropy", batch_size=ROWS)
    got, _, gradients = of.gradients(_core.Rows(x))
    expected, by_name = reference_softmax.network_loss(
        architecture.layers, model.get_weights(), x, one_hot(numbers, 0.0), [(0, CLASSES)]
    )
    assert got == pytest.approx(expected, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, by_name[name]) < 5e-6, name


@pytest.mark.parametrize(("loss", "off"), [("hinge", -1.0), ("mse", 0.0)])
def test_other_classes_are_compared_with_off(loss: str, off: float) -> None:
    """Numbers of classes are the same, to the last bit, as the table that they stand for."""
    _, model = network(CLASSES)
    x, numbers = data(ROWS, FEATURES), class_numbers()
    by_number = _core.Targets.of_classes(_core.Rows(numbers), CLASSES, off)
    by_value = _core.Targets.of_values(_core.Rows(one_hot(numbers, off)))
    got, expected = (
        trainer(model, x, targets=targets, loss=loss).gradients(_core.Rows(x))
        for targets in (by_number, by_value)
    )
    assert got[0] == expected[0] > 0
    assert digest(got[2]) == digest(expected[2])


@pytest.mark.parametrize("shuffle", ["rows", "blocks", "none"])
def test_targets_go_with_their_rows(shuffle: str) -> None:
    """A selection of rows takes the targets of those rows, in whatever order the epoch has them."""
    _, model = network(5)
    x = data(ROWS, FEATURES)
    values = np.random.default_rng(1).normal(size=(ROWS, 5))
    chosen = np.sort(np.random.default_rng(2).permutation(ROWS)[:200])
    weights = []
    for rows, table in ((_core.Rows(x).take(chosen), values), (_core.Rows(x[chosen]), values[chosen])):
        of = _core.Trainer(
            model,
            rows,
            None,
            loss="mse",
            batch_size=64,
            epochs=2,
            learning_rate=1e-2,
            schedule=_core.Schedule.constant(),
            rule=_core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0),
            l1=0.0,
            l2=0.0,
            clip_norm=0.0,
            shuffle=shuffle,
            seed=0,
            threads=2,
            targets=_core.Targets.of_values(_core.Rows(table)),
        )
        for _ in range(2):
            assert of.run_epoch(None).outcome == "completed"
        weights.append(digest(completed_weights(of)))
    assert weights[0] == weights[1]


def test_validation_losses() -> None:
    architecture, model = network(CLASSES, softmax=True)
    x, validation = data(ROWS, FEATURES), data(ROWS, FEATURES, 1)
    targets, others = (_core.Targets.of_classes(_core.Rows(class_numbers(seed)), CLASSES) for seed in (0, 1))
    of = trainer(
        model,
        x,
        validation,
        targets=targets,
        validation_targets=others,
        loss="categorical_crossentropy",
    )
    expected, _ = reference_softmax.network_loss(
        architecture.layers, model.get_weights(), validation, one_hot(class_numbers(1), 0.0), [(0, CLASSES)]
    )
    for got in of.validation_losses():
        assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [100, 600])
def test_same_bits_for_any_number_of_threads(batch_size: int) -> None:
    x: Float32Array = data(ROWS, FEATURES)
    targets = _core.Targets.of_classes(_core.Rows(class_numbers()), CLASSES)
    digests = {}
    for isa in ISAS:
        _, model = network(CLASSES, isa, softmax=True)
        for threads in (1, 2, 3, 7):
            of = trainer(
                model,
                x,
                targets=targets,
                loss="categorical_crossentropy",
                batch_size=batch_size,
                threads=threads,
            )
            assert of.run_epoch(None).outcome == "completed"
            digests[isa, threads] = digest(completed_weights(of))
        assert len({digests[isa, threads] for threads in (1, 2, 3, 7)}) == 1, isa
    assert len({digests[isa, 1] for isa in FUSED_ISAS}) <= 1


def test_targets_that_do_not_fit() -> None:
    _, model = network(5)
    x = data(ROWS, FEATURES)
    four = _core.Targets.of_values(_core.Rows(data(ROWS, 4)))
    five = _core.Targets.of_values(_core.Rows(data(ROWS, 5)))
    with pytest.raises(ValueError, match="a target for each output"):
        trainer(model, x, targets=four)
    with pytest.raises(ValueError, match="a target for each output"):
        trainer(model, x)
    with pytest.raises(ValueError, match="rows of validation must have targets"):
        trainer(model, x, x, targets=five)
    with pytest.raises(ValueError, match="takes one for each output"):
        trainer(model, x, x, targets=five, validation_targets=four)
    with pytest.raises(ValueError, match="must be a single column"):
        _core.Targets.of_classes(_core.Rows(data(ROWS, 2)), 3)
    with pytest.raises(ValueError, match=r"between 1 and 2\^24"):
        _core.Targets.of_classes(_core.Rows(data(ROWS, 1)), 0)
    with pytest.raises(ValueError, match="one shift and one scale"):
        _core.Targets.of_values(_core.Rows(data(ROWS, 2)), np.zeros(3), np.ones(3))
