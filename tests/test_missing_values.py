"""Missing values: the core's masks against the oracle, and the estimators that train, score and impute."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import diabolo
import reference
import reference_noise
import reference_softmax
import test_softmax_losses
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    LOSSES,
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
    AutoEncoderClassifier,
    AutoEncoderRegressor,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from estimator_helpers import estimator


def with_gaps(x: Float32Array, part: float = 0.3, seed: int = 0) -> Float32Array:
    """Return the rows with some values missing, but no row and no column entirely."""
    random = np.random.default_rng(seed)
    gaps = random.random(x.shape) < part
    gaps[np.arange(len(x)), np.arange(len(x)) % x.shape[1]] = False
    return np.where(gaps, np.float32(np.nan), x)


def masking_model(
    architecture: Architecture, isa: str | None = None, rescale: bool = True, before: Any = ()
) -> _core.Model:
    first = [_core.MissingValues(architecture.features, rescale), *before]
    with forced_isa(isa):
        model = _core.Model([*first, *architecture.specs()], architecture.code_layers + len(first), 1)
    return model.with_weights(architecture.trained_looking_model(isa).get_weights())


def inputs_and_weights(x: Float32Array, rescale: bool = True, groups: Any = ()) -> Any:
    """Return what the layers above get, and the weights of the elements, as the formula has them.

    A group of columns is one feature, which its first column stands for.
    """
    there = ~np.isnan(x)
    stands_for_one = np.ones(x.shape[1], dtype=bool)
    for begin, end in groups:
        stands_for_one[begin + 1 : end] = False
    observed = there[:, stands_for_one].sum(axis=1, keepdims=True)
    factor = stands_for_one.sum() / observed if rescale else 1.0
    return np.where(there, x, 0.0).astype(np.float64), np.where(there, factor, 0.0)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, loss: str, rescale: bool) -> None:
    """Over three slabs of a batch."""
    architecture = hourglass([37, 20, 5], "tanh", loss)
    model = masking_model(architecture, isa, rescale)
    x = with_gaps(data(600, 37))
    got_loss, _, gradients = trainer(model, x, loss=loss, batch_size=600).gradients(_core.Rows(x))
    filled, weights = inputs_and_weights(x, rescale)
    expected = reference.loss_and_gradients(
        architecture.layers, model.get_weights(), filled, filled, loss, element_weights=weights
    )
    assert got_loss == pytest.approx(expected.loss, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected.gradients[name]) < 5e-6, name

    y = reference.forward(architecture.layers, model.get_weights(), filled).y[architecture.layers[-1].name]
    errors = np.mean((y - filled) ** 2, axis=1, where=~np.isnan(x))
    np.testing.assert_allclose(model.row_errors(_core.Rows(x), "mse", 1, True), errors, rtol=1e-5)
    per_feature = model.feature_errors(_core.Rows(x), 1, True)
    np.testing.assert_array_equal(np.isnan(per_feature), np.isnan(x))
    np.testing.assert_allclose(
        per_feature, np.where(np.isnan(x), np.nan, (y - filled) ** 2), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(model.reconstruct(_core.Rows(x), 1, True), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt_and_pepper"])
@pytest.mark.parametrize("emphasis", [(1.0, 1.0), (1.0, 0.25)])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_with_corruption(isa: str, emphasis: tuple[float, float], kind: str) -> None:
    """What nobody observed stays 0 and without a loss, whatever the noise."""
    if kind == "gaussian":
        emphasis = (1.0, 1.0)
    architecture = hourglass([37, 20, 5])
    model = masking_model(architecture, isa, before=[_core.Corruption(37, kind, 0.3, *emphasis)])
    x = with_gaps(data(600, 37))
    loss, _, gradients = trainer(model, x, batch_size=600).gradients(_core.Rows(x))
    filled, weights = inputs_and_weights(x)
    word = reference_noise.words(*x.shape, 3, reference_noise.TRAINING, layer=1)
    noisy, where = reference_noise.corrupted(filled, kind, 0.3, word)
    noisy = np.where(np.isnan(x), 0.0, noisy)
    weights = weights * np.where(where, *emphasis)
    expected = reference.loss_and_gradients(
        architecture.layers, model.get_weights(), noisy, filled, "mse", element_weights=weights
    )
    assert loss == pytest.approx(expected.loss, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected.gradients[name]) < 5e-6, name


def groups_with_gaps(groups: Any) -> Float32Array:
    """Return rows with one-hot groups, of which some are missing, as are some of the numbers between."""
    x = with_gaps(test_softmax_losses.one_hot(600, 70, groups), 0.1)
    for begin, end in groups:
        x[np.isnan(x[:, begin:end]).any(axis=1), begin:end] = np.nan
    return x


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients_of_a_softmax(isa: str, rescale: bool) -> None:
    """A row's loss is the mean over the features that were observed, each group being one, or their sum."""
    groups = test_softmax_losses.GROUPS["with numbers between"]
    loss, scale = "categorical_crossentropy", {} if rescale else {"sum_features": True}
    architecture = test_softmax_losses.network()
    x = groups_with_gaps(groups)
    layers = [_core.MissingValues(70, rescale, groups), *architecture.specs(), _core.Softmax(70, groups)]
    with forced_isa(isa):
        model = _core.Model(layers, 2, 1).with_weights(architecture.trained_looking_model(isa).get_weights())
    got, _, gradients = trainer(model, x, loss=loss, batch_size=600, **scale).gradients(_core.Rows(x))
    filled, weights = inputs_and_weights(x, rescale, groups)
    terms = 1 if rescale else 70 - sum(end - begin - 1 for begin, end in groups)  # a mean, or a sum
    value, expected = reference_softmax.network_loss(
        architecture.layers, model.get_weights(), filled, filled, groups, element_weights=weights
    )
    assert got == pytest.approx(terms * value, rel=1e-6)
    for name, gradient in gradients.items():
        assert relative_error(gradient, terms * expected[name]) < 5e-6, name


@pytest.mark.parametrize("rescale", [True, False])
def test_errors_are_means_of_what_was_observed(rescale: bool) -> None:
    """Whatever the loss that the layer's weights were made for: of groups, or a sum as likelihoods are."""
    groups = test_softmax_losses.GROUPS["with numbers between"]
    architecture = test_softmax_losses.network()
    x = groups_with_gaps(groups)
    layers = [_core.MissingValues(70, rescale, groups), *architecture.specs(), _core.Softmax(70, groups)]
    model = _core.Model(layers, 2, 1).with_weights(architecture.trained_looking_model(None).get_weights())
    rows = _core.Rows(x)
    squares = model.feature_errors(rows, 1, True)
    np.testing.assert_allclose(model.row_errors(rows, "mse", 1, True), np.nanmean(squares, axis=1), rtol=1e-5)
    absolute = np.nanmean(np.abs(model.reconstruct(rows, 1, True) - x), axis=1)
    np.testing.assert_allclose(model.row_errors(rows, "mae", 1, True), absolute, rtol=1e-5)
    loss = model.row_errors(rows, "categorical_crossentropy", 1, True)
    for row in (0, 17, 599):
        filled, weights = inputs_and_weights(x[row : row + 1], True, groups)
        value, _ = reference_softmax.network_loss(
            architecture.layers, model.get_weights(), filled, filled, groups, element_weights=weights
        )
        assert loss[row] == pytest.approx(value, rel=1e-5)
    nothing = np.full((1, 70), np.nan, dtype=np.float32)
    assert np.isnan(model.row_errors(_core.Rows(nothing), "mse", 1, True)).all()


def test_same_bits_for_any_number_of_threads() -> None:
    x = with_gaps(data(701, 70))
    found = {}
    for isa, threads in itertools.product(ISAS, (1, 2, 7)):
        model = masking_model(hourglass([70, 33]), isa)
        of = trainer(model, x, x[:300], threads=threads, batch_size=300)
        report = of.run_epoch(None)
        found[isa, threads] = digest(completed_weights(of)), report.loss, of.validation_losses()
        assert found[isa, threads] == found[isa, 1]
    for isa in FUSED_ISAS:
        assert found[isa, 1] == found[FUSED_ISAS[0], 1]


def test_nothing_missing_changes_no_bit() -> None:
    x = data(300, 17)
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 64, "scale": "standard", "random_state": 0}
    plain, masked = AutoEncoder(2, **settings).fit(x), AutoEncoder(2, missing="mask", **settings).fit(x)
    assert digest(plain.get_weights()) == digest(masked.get_weights())
    np.testing.assert_array_equal(plain.reconstruction_error(x), masked.reconstruction_error(x))
    np.testing.assert_array_equal(plain.transform(x), masked.transform(x))
    np.testing.assert_array_equal(masked.impute(x), x)


# ------------------------------------------------------------------------------------------------------------
# The estimators
# ------------------------------------------------------------------------------------------------------------


def low_rank(rows: int = 500, features: int = 12) -> Float32Array:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2)) @ random.normal(size=(2, features))
    return (x * np.linspace(1, 20, features) + 5).astype(np.float32)


def test_imputation_beats_the_mean() -> None:
    x = low_rank()
    gaps = with_gaps(x)
    ae = DenoisingAutoEncoder(
        4,
        hidden_layer_sizes=(64,),
        activation="tanh",
        noise_fraction=0.3,
        missing="mask",
        scale="standard",
        epochs=150,
        batch_size=32,
        learning_rate=3e-3,
        random_state=0,
    ).fit(gaps)
    filled = ae.impute(gaps)
    assert filled.dtype == np.float32
    there = ~np.isnan(gaps)
    np.testing.assert_array_equal(filled[there], x[there])
    deviation = np.nanstd(gaps, axis=0)
    error = np.sqrt(np.mean(((filled - x) / deviation)[~there] ** 2))
    assert error < 0.5  # the mean: 1


def test_scaling_takes_what_was_observed() -> None:
    x = with_gaps(low_rank()).astype(np.float64)
    for scale in ("standard", "minmax"):
        ae = AutoEncoder(2, missing="mask", scale=scale, epochs=1, random_state=0).fit(x)
        fitted = ae._fitted
        assert fitted is not None
        shift, factor = fitted.model.scaler()
        expected = (
            (np.nanmean(x, axis=0), np.nanstd(x, axis=0))
            if scale == "standard"
            else (np.nanmin(x, axis=0), np.nanmax(x, axis=0) - np.nanmin(x, axis=0))
        )
        np.testing.assert_allclose(shift, expected[0], rtol=1e-12)
        np.testing.assert_allclose(factor, expected[1], rtol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [
        AutoEncoder(2, tied_weights=True),
        AutoEncoder(2, loss="binary_crossentropy", scale="minmax"),
        DenoisingAutoEncoder(2, clean_weight=0.5),
        SparseAutoEncoder(8),
        SparseAutoEncoder(8, sparsity="kl"),
        SparseAutoEncoder(8, sparsity="top_k", k=2),
        VariationalAutoEncoder(2),
        VariationalAutoEncoder(2, likelihood="bernoulli"),
        StackedAutoEncoder(2, hidden_layer_sizes=(5,), pretraining="denoising", pretraining_epochs=1),
    ],
    ids=repr,
)
def test_every_kind(kind: Any, tmp_path: Path) -> None:
    x = with_gaps(data(200, 9))
    fitted = kind.set_params(missing="mask", epochs=3, batch_size=32, random_state=0, validation_fraction=0.1)
    fitted.fit(x)
    assert np.isfinite(fitted.history_["val_loss"]).all()
    assert np.isfinite(fitted.reconstruction_error(x, metric="loss")).all()
    assert np.isfinite(fitted.transform(x)).all()
    assert np.isfinite(fitted.score(x))
    if isinstance(kind, VariationalAutoEncoder):
        assert np.isfinite(fitted.elbo(x)).all()
        assert np.isfinite(fitted.log_likelihood(x, 5)).all()
    assert fitted.__sklearn_tags__().input_tags.allow_nan
    fitted.save(tmp_path / "model.safetensors")
    for copy in (diabolo.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.impute(x), fitted.impute(x))
        np.testing.assert_array_equal(copy.reconstruction_error(x), fitted.reconstruction_error(x))
        kl = {"sparsity_decay": 0.0} if isinstance(kind, SparseAutoEncoder) else {}
        copy.set_params(validation_fraction=0.0, **kl)
        assert np.isfinite(copy.partial_fit(x).transform(x)).all()
        if not isinstance(kind, StackedAutoEncoder):  # which takes no blocks
            assert np.isfinite(copy.fit_blocks([x[:100], x[100:]]).transform(x)).all()


def test_the_likelihood_is_that_of_what_was_observed() -> None:
    """A sum over the observed features, not a mean made up to all of them."""
    x = data(100, 6)
    vae = VariationalAutoEncoder(1, missing="mask", epochs=2, random_state=0).fit(x)
    half = x.copy()
    half[:, 3:] = np.nan
    errors = vae.reconstruction_error(half, metric="loss")
    fitted = vae._fitted
    assert fitted is not None
    y = vae.reconstruct(half)
    v = vae.get_weights()["decoder.0.log_variance"].astype(np.float64)
    s = 10 * np.tanh(v / 10)
    expected = 0.5 * (np.log(2 * np.pi) + s + (y - x) ** 2 * np.exp(-s))[:, :3].sum(axis=1)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


def test_frames_with_gaps() -> None:
    x = with_gaps(low_rank(100, 4)).astype(np.float64)
    settings: dict[str, Any] = {"missing": "mask", "epochs": 2, "random_state": 0, "scale": "standard"}
    expected = AutoEncoder(2, **settings).fit(x)
    names = list("abcd")
    frames = [
        pd.DataFrame(x, columns=names),
        pd.DataFrame(x, columns=names).astype("Float64"),
        pl.DataFrame({n: [None if np.isnan(v) else v for v in c] for n, c in zip(names, x.T, strict=True)}),
    ]
    for frame in frames:
        ae = AutoEncoder(2, **settings).fit(frame)
        np.testing.assert_array_equal(ae.impute(frame), expected.impute(x))
        with pytest.raises(InvalidDataError):
            AutoEncoder(2, epochs=1).fit(frame)
    objects = x.astype(object)
    objects[np.isnan(x)] = None
    np.testing.assert_array_equal(AutoEncoder(2, **settings).fit(objects).impute(objects), expected.impute(x))


def test_rows_and_columns_entirely_missing() -> None:
    x = with_gaps(low_rank())
    ae = AutoEncoder(2, missing="mask", epochs=1, random_state=0).fit(x)
    before = digest(ae.get_weights())
    nothing = x.copy()
    nothing[7] = np.nan
    for method in (ae.fit, ae.partial_fit, lambda rows: ae.fit_blocks([rows])):
        with pytest.raises(
            InvalidDataError, match=r"(X|a block) must have an observed value in every row .* row 7"
        ):
            method(nothing)
    nothing = x.copy()
    nothing[:, 5] = np.nan
    with pytest.raises(InvalidDataError, match=r"in every column. Got only NaN in column 5"):
        ae.fit(nothing)
    assert digest(ae.get_weights()) == before
    # Afterwards, a row without anything has no score; it is imputed as a row of zeros.
    row = np.full((1, 12), np.nan)
    assert np.isnan(ae.reconstruction_error(row)).all()
    np.testing.assert_array_equal(ae.impute(row), ae.reconstruct(np.zeros((1, 12))))
    # In a later call a column may be missing: the scaling is fixed, and other rows have it.
    ae = AutoEncoder(2, missing="mask", scale="minmax", epochs=1, random_state=0).partial_fit(x)
    ae.partial_fit(nothing)
    assert np.isfinite(ae.impute(nothing)).all()
    for scale in ("standard", "minmax"):
        ae = AutoEncoder(2, missing="mask", scale=scale, epochs=1, random_state=0).partial_fit(nothing)
        assert np.isfinite(ae.impute(nothing)).all()


def test_bad_values_and_parameters() -> None:
    x = with_gaps(low_rank())
    plain = estimator().fit(np.nan_to_num(x))
    with pytest.raises(InvalidDataError, match=r"X must not contain NaN or infinity. Got nan"):
        plain.fit(x)
    with pytest.raises(
        InvalidParameterError, match="missing must be 'mask', when the network is fitted, for"
    ):
        plain.impute(np.nan_to_num(x))
    with pytest.raises(InvalidParameterError, match=r"missing must be one of 'error', 'mask'. Got 'drop'"):
        estimator(missing="drop").fit(x)
    ae = estimator(missing="mask").fit(x)
    with pytest.raises(InvalidDataError, match="X must not contain NaN or infinity"):
        ae.inverse_transform(np.full((1, 2), np.nan))
    x[3, 3] = np.inf
    for method in (ae.fit, ae.transform, ae.reconstruction_error, ae.impute):
        with pytest.raises(InvalidDataError, match=r"X must not contain infinity. Got inf at row 3"):
            method(x)
    crossed = estimator(missing="mask", loss="binary_crossentropy")
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\]"):
        crossed.fit(with_gaps(low_rank()))
    assert not estimator().__sklearn_tags__().input_tags.allow_nan


def test_weights_and_gaps_together() -> None:
    """A weight of k is k copies, NaN and all."""
    x = with_gaps(data(40, 6))
    weights = np.random.default_rng(0).integers(0, 4, 40)
    settings: dict[str, Any] = {"missing": "mask", "scale": "standard", "optimizer": "sgd", "epochs": 3}
    one = AutoEncoder(2, random_state=0, **settings).fit(x, sample_weight=weights)
    many = AutoEncoder(2, random_state=0, **settings).fit(np.repeat(x, weights, axis=0))
    np.testing.assert_allclose(one.impute(x), many.impute(x), rtol=1e-5)


# ---- Stacked, and with labels ----


def test_layers_of_a_stacked_one_begin_with_what_was_observed() -> None:
    """The first layer is trained as an autoencoder of gappy rows, the second on codes, which have no gaps."""
    x = with_gaps(low_rank())
    stacked = StackedAutoEncoder(
        8,
        hidden_layer_sizes=(64,),
        activation="tanh",
        pretraining="denoising",
        pretraining_parameters=[{"noise_fraction": 0.3}, {"noise_fraction": 0.0}],
        pretraining_epochs=60,
        epochs=0,
        learning_rate=3e-3,
        batch_size=32,
        missing="mask",
        scale="standard",
        random_state=0,
    ).fit(x)
    weights = stacked.get_weights()
    codes = np.tanh(scaled_without_gaps(x) @ weights["encoder.0.kernel"] + weights["encoder.0.bias"])
    np.testing.assert_allclose(
        stacked.transform(x),
        codes @ weights["encoder.1.kernel"] + weights["encoder.1.bias"],
        rtol=1e-3,
        atol=1e-4,
    )
    there = ~np.isnan(x)
    error = (stacked.impute(x) - low_rank())[~there] / np.broadcast_to(np.nanstd(x, axis=0), x.shape)[~there]
    assert np.sqrt(np.mean(error**2)) < 0.9  # the mean: 1
    with pytest.raises(
        InvalidParameterError, match="missing must be 'error' when the first layer's pretrain"
    ):
        StackedAutoEncoder(3, pretraining="rbm", activation="sigmoid", missing="mask").fit(x)


def scaled_without_gaps(x: Float32Array) -> Any:
    scaled = (x - np.nanmean(x, axis=0, dtype=np.float64)) / np.nanstd(x, axis=0, dtype=np.float64)
    return np.where(np.isnan(x), 0.0, scaled)


@pytest.mark.parametrize("cls", [AutoEncoderClassifier, AutoEncoderRegressor])
def test_labelled_rows_with_gaps_are_rows_with_zeros(cls: Any, tmp_path: Path) -> None:
    """To the fine-tuning; so where pretraining moves nothing, all is the same, bit for bit."""
    x = with_gaps(data(200, 9))
    filled = np.where(np.isnan(x), np.float32(0), x)
    y = (filled[:, 0] > 0.5).astype(int)

    def fitted(rows: Float32Array, missing: str) -> Any:
        start = AutoEncoder(
            12, code_activation="relu", missing=missing, epochs=1, optimizer="sgd", learning_rate=1e-30
        )
        return cls(start, epochs=60, learning_rate=1e-2, random_state=0).fit(rows, y, X_val=rows, y_val=y)

    gappy, zeros = fitted(x, "mask"), fitted(filled, "error")
    assert digest(gappy.get_weights()) == digest(zeros.get_weights())
    assert gappy.history_["val_loss"] == zeros.history_["val_loss"]
    np.testing.assert_array_equal(gappy.predict(x), zeros.predict(filled))
    np.testing.assert_array_equal(gappy.transform(x), gappy.transform(filled))
    assert gappy.score(x, y) > 0.6
    assert gappy.__sklearn_tags__().input_tags.allow_nan
    assert not zeros.__sklearn_tags__().input_tags.allow_nan
    gappy.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(diabolo.load(tmp_path / "model.safetensors").predict(x), gappy.predict(x))
    with pytest.raises(InvalidDataError, match=f"{cls.__name__}: X must not contain NaN"):
        fitted(x, "error")
    x[7] = np.nan
    with pytest.raises(InvalidDataError, match=f"{cls.__name__}: X must have an observed value in every row"):
        fitted(x, "mask")
