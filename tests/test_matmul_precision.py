"""Products of less than float32 precision: what they compute, where they are used, and that bits agree."""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from core_helpers import (
    AWKWARD_ROWS,
    AWKWARD_WIDTHS,
    EMULATED_ISAS,
    ISAS,
    TILE_ISAS,
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    forced_isa,
    relative_error,
    trainer,
)
from diabolo import AutoEncoder, MatmulPrecisionWarning, _core
from reference import loss_and_gradients

PRECISIONS = ["bfloat16_3x", "bfloat16"]
THREADS = [1, 2, 3, 9]  # of more than 8 a slab has several blocks of rows
ALL_ISAS = ISAS + EMULATED_ISAS

# Normwise, against float64 (measured on these networks: 5e-7, 5e-6, 3e-3).
GRADIENT_TOLERANCE = {"float32": 5e-6, "bfloat16_3x": 3e-5, "bfloat16": 1e-2}


@contextlib.contextmanager
def forced(isa: str | None = None, value: str = "1") -> Iterator[None]:
    """Let models built inside compute what they are asked to, on this instruction set."""
    with forced_isa(isa), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIABOLO_FORCE_MATMUL_PRECISION", value)
        yield


def bfloat16(x: Float32Array) -> Float32Array:
    """Return the nearest numbers of 8 bits, ties to even."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


def product(x: Float32Array, w: Float32Array, precision: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return x w as the precision's definition says, but summed in float64."""
    x_high, w_high = bfloat16(x), bfloat16(w)
    wide = [a.astype(np.float64) for a in (x_high, w_high, bfloat16(x - x_high), bfloat16(w - w_high))]
    high = wide[0] @ wide[1]
    return high if precision == "bfloat16" else high + wide[0] @ wide[3] + wide[2] @ wide[1]


def network(precision: str, widths: list[int], *, tied: bool = False) -> Architecture:
    activations = ["tanh"] * (len(widths) - 2) + ["sigmoid"]
    return Architecture(widths, activations, tied, products=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", ALL_ISAS)
@pytest.mark.parametrize("width", AWKWARD_WIDTHS)
def test_a_layer_computes_what_its_definition_says(isa: str, precision: str, width: int) -> None:
    x = (data(29, width) - 0.5).astype(np.float32)
    architecture = Architecture([width, 37, width], ["identity", "identity"], products=precision)
    with forced(isa):
        model = architecture.trained_looking_model(isa)
        assert model.products() == [precision] * 2
    weights = model.get_weights()
    expected = product(x, weights["encoder.0.kernel"], precision) + weights["encoder.0.bias"]
    got = model.layer_output(_core.Rows(x), 0, 2)
    # Sums of up to 97 products, each of about 0.1, in float32.
    assert np.abs(got - expected).max() <= 2e-6
    assert precision == "bfloat16_3x" or np.abs(got - x @ weights["encoder.0.kernel"]).max() > 1e-5


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", EMULATED_ISAS)
@pytest.mark.parametrize("rows", [*AWKWARD_ROWS, 15, 16, 31, 33, 48])
def test_rows_of_any_number_on_tiles(isa: str, precision: str, rows: int) -> None:
    """Forward and both gradients, around the height of a tile and the rows that a tile of pairs sums over."""
    architecture = Architecture([50, 35, 50], ["tanh", "identity"], products=precision)
    x = data(rows, 50)
    with forced(isa):
        model = architecture.trained_looking_model(isa)
        of = trainer(model, x, loss="mse", batch_size=rows)
        loss, _, gradients = of.gradients(_core.Rows(x))
        reconstruction = model.reconstruct(_core.Rows(x), 2)
    expected = loss_and_gradients(architecture.layers, model.get_weights(), x, x, "mse")
    tolerance = GRADIENT_TOLERANCE[precision]
    assert loss == pytest.approx(expected.loss, rel=tolerance)
    assert ((reconstruction - x) ** 2).mean() == pytest.approx(expected.loss, rel=tolerance)
    for name, gradient in expected.gradients.items():
        assert relative_error(gradients[name], gradient) <= tolerance, name


@pytest.mark.parametrize("precision", ["float32", *PRECISIONS])
@pytest.mark.parametrize("isa", ALL_ISAS)
@pytest.mark.parametrize(("rows", "tied"), [(33, False), (300, True)])
def test_gradients_follow_the_oracle(isa: str, precision: str, rows: int, tied: bool) -> None:
    architecture = network(precision, [65, 48, 17, 48, 65], tied=tied)
    x = data(rows, 65)
    with forced(isa):
        model = architecture.trained_looking_model(isa)
        loss, _, gradients = trainer(model, x, loss="binary_crossentropy", batch_size=256).gradients(
            _core.Rows(x)
        )
    # Every function of this network is smooth.
    expected = loss_and_gradients(architecture.layers, model.get_weights(), x, x, "binary_crossentropy")
    tolerance = GRADIENT_TOLERANCE[precision]
    assert loss == pytest.approx(expected.loss, rel=tolerance)
    for name, gradient in expected.gradients.items():
        assert relative_error(gradients[name], gradient) <= tolerance, name
    if precision == "bfloat16":  # or nothing was rounded
        assert relative_error(gradients["encoder.0.kernel"], expected.gradients["encoder.0.kernel"]) > 1e-4


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 100},
        {"batch_size": 600},
        {"batch_size": 100, "clip_norm": 0.05, "l2": 1e-4},
        {"batch_size": 33, "rule": _core.UpdateRule.sgd(0.9, True)},
    ],
    ids=["batches", "slabs", "clipped", "odd batches"],
)
@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
def test_one_outcome(precision: str, settings: dict[str, Any], tied: bool) -> None:
    """The same bits for any number of threads and on every instruction set: products of pairs are exact.

    A tile unit sums in an order of its own.
    """
    architecture = network(precision, [137, 250, 33, 250, 137], tied=tied)
    x = data(701, 137)

    def outcome(isa: str, threads: int) -> tuple[str, float]:
        with forced(isa):
            of = trainer(architecture.model(isa), x, loss="binary_crossentropy", threads=threads, **settings)
            report = of.run_epoch(None)
        assert report.outcome == "completed"
        return digest(completed_weights(of)), report.loss

    # The model of a tile unit takes its time: with shares that begin anywhere, and with several blocks.
    few = [1, 9] if settings["batch_size"] > 256 else [1, 3]
    by_isa = {
        isa: {outcome(isa, threads) for threads in (few if isa in EMULATED_ISAS else THREADS)}
        for isa in ALL_ISAS
    }
    assert all(len(found) == 1 for found in by_isa.values())
    # The baseline's update is not fused.
    vectors = [found for isa, found in by_isa.items() if isa not in ("baseline", *TILE_ISAS)]
    tiles = [found for isa, found in by_isa.items() if isa in TILE_ISAS]
    assert len(set().union(*vectors)) == 1
    assert len(set().union(*tiles)) <= 1
    assert not set().union(*vectors) & set().union(*tiles)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", [None, *EMULATED_ISAS])
def test_training_goes_as_in_float32(isa: str | None, precision: str) -> None:
    """Through `fit`, whose hook runs meanwhile: a tile unit is released for it, and prepared again."""
    x = data(500, 64) ** 2
    losses = {}
    for name in ("float32", precision):
        with forced(isa):
            ae = AutoEncoder(
                16, hidden_layer_sizes=(48,), epochs=20, random_state=0, batch_size=64, matmul_precision=name
            ).fit(x)
            assert ae.matmul_precision_used_ == name
        losses[name] = ae.history_["loss"][-1]
    assert losses[precision] == pytest.approx(
        losses["float32"], rel=1e-4 if precision == "bfloat16_3x" else 1e-2
    )
    assert losses[precision] != losses["float32"]


def fitted(precision: str, width: int = 64) -> AutoEncoder:
    return AutoEncoder(
        32, hidden_layer_sizes=(48,), epochs=1, random_state=0, matmul_precision=precision
    ).fit(data(40, width))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", ISAS)
def test_float32_where_it_is_as_fast(isa: str, precision: str) -> None:
    with forced_isa(isa), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ae = fitted(precision)
    plain = fitted("float32")
    if ae.matmul_precision_used_ == precision:
        assert (isa, precision) in {("avx512_bf16", "bfloat16"), ("amx", "bfloat16"), ("amx", "bfloat16_3x")}
        assert not caught
        return
    assert ae.matmul_precision_used_ == "float32"
    assert [w.category for w in caught] == [MatmulPrecisionWarning]
    text = f"AutoEncoder: matmul_precision='{precision}' would not be faster than 'float32' for this network"
    assert str(caught[0].message).startswith(text)
    assert isa in str(caught[0].message)
    if isa != "baseline":
        assert digest(ae.get_weights()) == digest(plain.get_weights())


def test_narrow_networks_stay_in_float32() -> None:
    with pytest.warns(MatmulPrecisionWarning):
        ae = AutoEncoder(8, epochs=1, random_state=0, matmul_precision="bfloat16").fit(data(40, 16))
    assert ae.matmul_precision_used_ == "float32"


def test_other_values_of_the_variable_force_nothing() -> None:
    with (
        forced("baseline" if "baseline" in ISAS else ISAS[0], value="0"),
        pytest.warns(MatmulPrecisionWarning),
    ):
        assert fitted("bfloat16_3x").matmul_precision_used_ == "float32"


def test_unknown_precisions_are_refused() -> None:
    rule = "must be one of 'float32', 'bfloat16_3x', 'bfloat16'. Got 'half'"
    with pytest.raises(diabolo.InvalidParameterError, match=f"^AutoEncoder: matmul_precision {rule}"):
        fitted("half")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_files_and_pickles_keep_the_precision(precision: str, tmp_path: Path) -> None:
    x = data(9, 64)
    with forced():
        ae = fitted(precision)
        ae.save(tmp_path / "m.safetensors")
        again = [diabolo.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(ae))]
        for other in again:
            assert other.matmul_precision_used_ == precision
            assert np.array_equal(other.transform(x), ae.transform(x))
    assert os.environ.get("DIABOLO_FORCE_MATMUL_PRECISION") is None
    exact = diabolo.load(tmp_path / "m.safetensors")
    if exact.matmul_precision_used_ == "float32":
        difference = np.abs(exact.transform(x) - ae.transform(x)).max()
        assert 0 < difference < 0.05


def test_warm_start_may_change_the_precision() -> None:
    x = data(40, 64)
    with forced():
        ae = fitted("float32").set_params(warm_start=True, matmul_precision="bfloat16").fit(x)
        assert ae.matmul_precision_used_ == "bfloat16"
        ae.set_params(matmul_precision="float32").partial_fit(x)
        assert ae.matmul_precision_used_ == "float32"
