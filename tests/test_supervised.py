"""AutoEncoderClassifier and AutoEncoderRegressor: what they learn, from which rows, and their files."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.semi_supervised import SelfTrainingClassifier

import diabolo
from core_helpers import digest
from diabolo import (
    AutoEncoder,
    AutoEncoderClassifier,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    ModelFileError,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
)
from diabolo._layers import CorruptionLayer, DenseLayer, DropoutLayer
from supervised_helpers import blobs, classifier, encoder, linear, regressor

LOSSES = ("categorical_crossentropy", "hinge", "mse")


# ---- What they learn ----


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 5])
def test_classes_are_learnt(loss: Any, classes: int) -> None:
    X, y = blobs(classes=classes)
    test, truth = blobs(classes=classes, seed=2)
    fitted = classifier(loss=loss).fit(X, y)
    predicted = fitted.predict(test)
    assert fitted.score(test, truth) == accuracy_score(truth, predicted) > 0.85
    decision = fitted.decision_function(test)
    by_decision = (decision > 0).astype(int) if classes == 2 else decision.argmax(axis=1)
    np.testing.assert_array_equal(by_decision, predicted)
    assert hasattr(fitted, "predict_proba") == (loss == "categorical_crossentropy")
    if loss == "categorical_crossentropy":
        probabilities = fitted.predict_proba(test)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
        surprise = -np.log(fitted.predict_proba(X)[np.arange(len(y)), y])
        assert fitted.history_["loss"][-1] == pytest.approx(surprise.mean(), rel=0.3)
    assert fitted.history_.keys() == {"loss", "learning_rate", "seconds"}


def test_values_are_learnt_in_their_units() -> None:
    X, y = linear()
    test, truth = linear(seed=2)
    fitted = regressor().fit(X, y)
    assert fitted.score(test, truth) == pytest.approx(r2_score(truth, fitted.predict(test)), rel=1e-12)
    assert fitted.score(test, truth) > 0.95
    several = regressor().fit(X, np.stack([y, -y, X[:, 1]], axis=1))
    truths = np.stack([truth, -truth, test[:, 1]], axis=1)
    assert several.predict(test).shape == truths.shape
    assert several.score(test, truths) == pytest.approx(r2_score(truths, several.predict(test)), rel=1e-12)
    weights = np.arange(len(test))
    assert fitted.score(test, truth, weights) == pytest.approx(
        r2_score(truth, fitted.predict(test), sample_weight=weights)
    )


def test_the_head_may_be_deep() -> None:
    X, y = blobs()
    fitted = classifier(head_layer_sizes=(7, 5), activation="prelu").fit(X, y)
    shapes = {name: w.shape for name, w in fitted.get_weights().items() if name.startswith("head.")}
    assert shapes["head.0.kernel"] == (8, 7)
    assert shapes["head.1.slope"] == (5,)
    assert shapes["head.2.kernel"] == (5, 3)
    assert fitted.score(X, y) > 0.9


@pytest.mark.parametrize(
    "autoencoder",
    [
        AutoEncoder(4, hidden_layer_sizes=(9,), tied_weights=True, epochs=1),
        DenoisingAutoEncoder(4, epochs=1, clean_weight=0.5),
        SparseAutoEncoder(9, sparsity="top_k", k=2, epochs=1),
        SparseAutoEncoder(9, sparsity="kl", epochs=1),
        ContractiveAutoEncoder(4, epochs=1),
        VariationalAutoEncoder(4, hidden_layer_sizes=(9,), epochs=1),
        StackedAutoEncoder(4, hidden_layer_sizes=(9,), epochs=0, pretraining_epochs=1),
    ],
    ids=lambda autoencoder: type(autoencoder).__name__,
)
def test_fine_tuning_begins_with_the_encoder_of_any_kind(autoencoder: Any) -> None:
    """With a rate so small that nothing moves, codes are those of the autoencoder alone."""
    X, y = blobs()
    autoencoder = clone(autoencoder).set_params(random_state=0, scale="standard")
    fitted = classifier(autoencoder=autoencoder, epochs=1, learning_rate=1e-30, optimizer="sgd").fit(X, y)
    assert not autoencoder.__sklearn_is_fitted__()
    np.testing.assert_array_equal(fitted.transform(X), autoencoder.fit(X).transform(X))
    histories = fitted.pretraining_history_
    assert histories[-1]["loss"] == autoencoder.history_["loss"]
    assert len(histories) == (3 if isinstance(autoencoder, StackedAutoEncoder) else 1)
    tuned = classifier(autoencoder=autoencoder, epochs=1).fit(X, y)
    assert not np.array_equal(tuned.transform(X), fitted.transform(X))


def test_noise_may_go_on() -> None:
    X, y = blobs()
    noisy = DenoisingAutoEncoder(8, epochs=1, noise_fraction=0.5, clean_weight=0.5, random_state=0)
    without, with_noise = (
        classifier(autoencoder=noisy, keep_noise=keep, epochs=2).fit(X, y) for keep in (False, True)
    )
    assert digest(without.get_weights()) != digest(with_noise.get_weights())
    np.testing.assert_array_equal(with_noise.predict(X), with_noise.predict(X))


def test_noise_of_a_stacked_one_is_that_of_its_first_layer() -> None:
    """A network of two layers that were pretrained alike, as denoising ones or not, is fine-tuned."""
    X, y = blobs()
    gaussian = {"corruption": "gaussian", "noise_scale": 0.7}
    stacked = StackedAutoEncoder(
        4,
        hidden_layer_sizes=(9,),
        epochs=0,
        pretraining="denoising",
        pretraining_epochs=1,
        pretraining_parameters=[gaussian, {"noise_fraction": 0.4}],
        random_state=0,
    )
    noisy = classifier(autoencoder=stacked, keep_noise=True, epochs=2).fit(X, y)
    fitted = noisy._fitted
    assert fitted is not None
    noises = [layer for layer in fitted.architecture.layers if isinstance(layer, CorruptionLayer)]
    assert noises == [CorruptionLayer(6, "gaussian", 0.7, 1.0, 1.0)]
    without = classifier(autoencoder=stacked, epochs=2).fit(X, y)
    assert digest(noisy.get_weights()) != digest(without.get_weights())
    assert noisy.pretraining_history_[0]["loss"] == without.pretraining_history_[0]["loss"]


@pytest.mark.parametrize(
    "autoencoder",
    [
        None,
        encoder(),
        StackedAutoEncoder(4, pretraining=["autoencoder"], epochs=0),
        StackedAutoEncoder(
            4, hidden_layer_sizes=(9,), pretraining=["rbm", "denoising"], activation="sigmoid", epochs=0
        ),
    ],
    ids=repr,
)
def test_there_is_no_noise_to_keep(autoencoder: Any) -> None:
    X, y = blobs()
    with pytest.raises(InvalidParameterError, match="keep_noise must be False unless autoencoder is a Den"):
        classifier(autoencoder=autoencoder, keep_noise=True).fit(X, y)


# ---- Dropout ----


def test_dropout_is_of_the_code_and_the_heads_hidden_layers() -> None:
    X, y = blobs()
    fitted = classifier(head_layer_sizes=(7,), dropout=[0.2, 0.5], epochs=3).fit(X, y)
    state = fitted._fitted
    assert state is not None
    rates = {
        (before.name, layer.rate)
        for before, layer in pairwise(state.architecture.layers)
        if isinstance(layer, DropoutLayer) and isinstance(before, DenseLayer)
    }
    assert rates == {("encoder.0", 0.2), ("head.0", 0.5)}
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(X))  # not in predictions
    assert digest(fitted.get_weights()) != digest(
        classifier(head_layer_sizes=(7,), epochs=3).fit(X, y).get_weights()
    )
    single = classifier(head_layer_sizes=(7,), dropout=0.3, epochs=3).fit(X, y)
    again = classifier(head_layer_sizes=(7,), dropout=(0.3, 0.3), epochs=3, n_jobs=2).fit(X, y)
    assert digest(single.get_weights()) == digest(again.get_weights())


@pytest.mark.parametrize("hidden", [(), (30,)], ids=["code", "code and head"])
def test_dropout_fits_less_closely(hidden: tuple[int, ...]) -> None:
    """Of classes that nothing tells apart, the network can only learn each row by heart."""
    X, _ = blobs(100)
    y = np.random.default_rng(0).integers(0, 2, len(X))
    autoencoder = encoder().set_params(n_components=64)
    without, dropped = (
        classifier(autoencoder=autoencoder, dropout=rate, epochs=60, head_layer_sizes=hidden).fit(X, y)
        for rate in (0.0, 0.5)
    )
    assert dropped.history_["loss"][-1] > 1.3 * without.history_["loss"][-1]


@pytest.mark.parametrize(
    "autoencoder",
    [
        SparseAutoEncoder(64, sparsity="top_k", k=2, epochs=1, random_state=0),
        VariationalAutoEncoder(4, hidden_layer_sizes=(9,), epochs=1, random_state=0),
        AutoEncoder(4, hidden_layer_sizes=(9,), dropout=0.1, batch_norm=True, epochs=1, random_state=0),
    ],
    ids=lambda autoencoder: type(autoencoder).__name__,
)
def test_dropout_after_any_code(autoencoder: Any, tmp_path: Path) -> None:
    X, y = linear()
    fitted = regressor(autoencoder=autoencoder, dropout=0.25, epochs=2).fit(X, y)
    fitted.save(tmp_path / "model.safetensors")
    loaded = diabolo.load(tmp_path / "model.safetensors")
    assert loaded.dropout == 0.25
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


@pytest.mark.parametrize(
    ("dropout", "rule"),
    [
        ([0.1, 0.2], "one rate, or one for the code and each of the head's hidden layers, 1 in all"),
        (1.0, "in \\[0, 1\\)"),
        (-0.1, "in \\[0, 1\\)"),
        ("half", "in \\[0, 1\\)"),
    ],
)
def test_rates_that_are_none(dropout: Any, rule: str) -> None:
    X, y = blobs()
    model = classifier(dropout=dropout)
    with pytest.raises(InvalidParameterError, match=f"AutoEncoderClassifier: dropout must be .*{rule}"):
        model.fit(X, y)
    assert not model.__sklearn_is_fitted__()


def test_labels_keep_their_type() -> None:
    X, y = blobs()
    for labels in (y, y.astype(str), y > 0, y * 1.0, np.array(["a", "b", "c"], dtype=object)[y]):
        fitted = classifier(epochs=5).fit(X, labels)
        np.testing.assert_array_equal(fitted.classes_, np.unique(labels))
        assert fitted.predict(X).dtype == labels.dtype
        assert fitted.score(X, labels) > 0.5
    assert classifier(epochs=5).fit(X.tolist(), list(y)).predict(X).dtype == y.dtype


# ---- Rows without labels ----


def test_unlabelled_rows_are_pretrained_on_alone() -> None:
    """Exactly: the same encoder as from all rows, fine-tuned as on the labelled ones alone."""
    X, y = blobs()
    labels = np.where(np.arange(len(y)) % 3 == 0, y, -1)
    semi = classifier(unlabelled=-1, shuffle=False).fit(X, labels)
    frozen = classifier(unlabelled=-1, learning_rate=1e-30, optimizer="sgd").fit(X, labels)
    np.testing.assert_array_equal(frozen.transform(X), encoder().fit(X).transform(X))
    np.testing.assert_array_equal(semi.classes_, [0, 1, 2])
    # What the labels of the others would be makes no difference.
    other = np.where(labels == -1, 77, labels)
    again = classifier(unlabelled=77, shuffle=False).fit(X, other)
    assert digest(again.get_weights()) == digest(semi.get_weights())
    full = classifier(shuffle=False).fit(X, y)
    assert digest(full.get_weights()) != digest(semi.get_weights())


def test_values_that_were_not_measured() -> None:
    X, y = linear()
    missing = np.where(np.arange(len(y)) % 3 == 0, y, np.nan)
    fitted = regressor(allow_unlabelled=True).fit(X, missing)
    assert fitted.score(X, y) > 0.9
    with pytest.raises(InvalidDataError, match=r"AutoEncoderRegressor: y must not contain NaN.* at row 1"):
        regressor().fit(X, missing)
    two = np.stack([y, missing], axis=1)
    assert regressor(allow_unlabelled=True, epochs=2).fit(X, two).predict(X).shape == (300, 2)


def test_in_the_company_of_scikit_learn() -> None:
    X, y = blobs()
    assert cross_val_score(classifier(), X, y, cv=3).mean() > 0.9
    labels = np.where(np.arange(len(y)) % 3 == 0, y, -1)
    assert SelfTrainingClassifier(classifier()).fit(X, labels).score(X, y) > 0.9
    frame = pd.DataFrame(X, columns=list("abcdef"))
    fitted = classifier().set_output(transform="pandas").fit(frame, pd.Series(y))
    assert fitted.transform(frame).columns[0] == "autoencoderclassifier0"
    assert list(fitted.feature_names_in_) == list("abcdef")


# ---- Validation ----


def test_validation_rows_are_labelled_ones() -> None:
    X, y = blobs()
    labels = np.where(np.arange(len(y)) % 2 == 0, y, -1)
    fitted = classifier(unlabelled=-1, validation_fraction=0.2, early_stopping=True, patience=3, epochs=200)
    fitted.fit(X, labels)
    assert fitted.history_.keys() == {"loss", "val_loss", "learning_rate", "seconds"}
    assert fitted.stop_reason_ in ("early_stopping", "epochs")
    test, truth = blobs(seed=2)
    given = classifier(epochs=3).fit(X, y, X_val=test, y_val=truth)
    surprise = -np.log(given.predict_proba(test)[np.arange(len(truth)), truth])
    assert given.history_["val_loss"][-1] == pytest.approx(surprise.mean(), rel=1e-5)
    values = regressor(epochs=3).fit(*linear(), X_val=linear(seed=2)[0], y_val=linear(seed=2)[1])
    residual = (linear(seed=2)[1] - values.predict(linear(seed=2)[0])) / linear()[1].std()
    assert values.history_["val_loss"][-1] == pytest.approx(np.mean(residual**2), rel=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y_val": None}, "y_val must be given if the other"),
        ({"X_val": None}, "X_val must be given if the other"),
        ({"y_val": np.full(300, 9)}, "y_val must hold the classes .* Got .*9.* at row 0"),
        ({"y_val": np.zeros(3, dtype=int)}, "y_val must have an entry for each of the 300 rows. Got 3"),
    ],
)
def test_validation_rows_that_cannot_be_used(given: dict[str, Any], message: str) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=f"AutoEncoderClassifier: {message}"):
        classifier().fit(X, y, **{"X_val": X, "y_val": y, **given})


# ---- Files, copies, threads ----


@pytest.mark.parametrize("labels", ["ints", "strings", "objects", "bools"])
def test_classifiers_in_files(labels: str, tmp_path: Path) -> None:
    X, y = blobs()
    y = {"ints": y, "strings": y.astype(str), "objects": y.astype(str).astype(object), "bools": y > 0}[labels]
    fitted = classifier(epochs=3, autoencoder=encoder(scale="standard")).fit(X, y)
    fitted.save(tmp_path / "c.safetensors")
    for copy in (diabolo.load(tmp_path / "c.safetensors"), pickle.loads(pickle.dumps(fitted))):
        assert isinstance(copy, AutoEncoderClassifier)
        np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
        np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))
        assert copy.classes_.dtype == fitted.classes_.dtype
        assert copy.pretraining_history_ == fitted.pretraining_history_
        assert copy.autoencoder.get_params() == fitted.autoencoder.get_params()


def test_regressors_in_files(tmp_path: Path) -> None:
    X, y = linear()
    for values in (y, np.stack([y, -y], axis=1)):
        fitted = regressor(epochs=3).fit(X, values)
        fitted.save(tmp_path / "r.safetensors")
        for copy in (diabolo.load(tmp_path / "r.safetensors"), pickle.loads(pickle.dumps(fitted))):
            np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))


def test_labels_that_no_file_holds(tmp_path: Path) -> None:
    X, y = blobs()
    labels = np.array([(0,), (1,), (2,)], dtype="i,")[y].astype(object)
    with pytest.raises(InvalidDataError, match="save takes labels that are numbers or strings"):
        classifier(epochs=1).fit(X, labels).save(tmp_path / "c.safetensors")


def test_a_head_is_no_decoder(tmp_path: Path) -> None:
    """A file whose class was changed would be read beyond the end of its outputs."""
    X, y = blobs()
    classifier(epochs=1).fit(X, y).save(tmp_path / "c.safetensors")
    metadata, tensors = diabolo._core.read_model_file(str(tmp_path / "c.safetensors"))
    parameters = '{"n_components": 8}'
    forged = {**metadata, "class": '"AutoEncoder"', "parameters": parameters}
    diabolo._core.write_model_file(str(tmp_path / "f.safetensors"), forged, tensors)
    with pytest.raises(ModelFileError, match="layer 0 is none that diabolo makes"):
        diabolo.load(tmp_path / "f.safetensors")
    forged = {**metadata, "classes": '{"dtype": "<i8", "labels": [0, 1], "off": 0.0}'}
    diabolo._core.write_model_file(str(tmp_path / "f.safetensors"), forged, tensors)
    with pytest.raises(ModelFileError, match="2 outputs do not fit the network"):
        diabolo.load(tmp_path / "f.safetensors")


def test_weights_can_be_replaced() -> None:
    X, y = blobs()
    one, two = (classifier(random_state=seed, epochs=3).fit(X, y) for seed in (0, 1))
    assert not np.array_equal(one.decision_function(X), two.decision_function(X))
    np.testing.assert_array_equal(
        two.set_weights(one.get_weights()).decision_function(X), one.decision_function(X)
    )
    with pytest.raises(InvalidDataError, match=r"Missing: \['head.0.bias'\]"):
        one.set_weights({n: w for n, w in one.get_weights().items() if n != "head.0.bias"})


def test_same_seed_same_classifier() -> None:
    X, y = blobs()
    unseeded = encoder(random_state=None)
    digests = {
        digest(classifier(autoencoder=unseeded, n_jobs=jobs).fit(X, y).get_weights()) for jobs in (1, 2, 2)
    }
    assert len(digests) == 1
    assert digest(classifier(autoencoder=unseeded, random_state=1).fit(X, y).get_weights()) not in digests
    assert digest(AutoEncoderClassifier(random_state=0, epochs=1).fit(X, y).get_weights()) == digest(
        AutoEncoderClassifier(random_state=0, epochs=1).fit(X, y).get_weights()
    )
