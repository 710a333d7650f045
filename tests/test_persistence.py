"""Estimators in files: what comes back, and which files are refused."""

import json
import os
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import diabolo
from diabolo import SGD, AutoEncoder, CosineDecay, _core
from estimator_helpers import estimator

VARIANTS: list[dict[str, Any]] = [
    {},
    {"scale": "standard", "optimizer": SGD(momentum=0.5), "schedule": CosineDecay(1, 0.1)},
    {"tied_weights": True, "activation": "prelu", "loss": "binary_crossentropy"},
    {"validation_fraction": 0.1, "early_stopping": True, "scale": "minmax"},
    {"hidden_layer_sizes": np.array([5, 4]), "epochs": np.int64(2), "learning_rate": np.float32(0.5)},
    {"clip_norm": np.inf, "shuffle": "blocks", "n_jobs": 1},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: "-".join(changes) or "plain")
def test_round_trip(changes: dict[str, Any], X: Any, tmp_path: Path) -> None:
    ae = estimator(**changes).fit(X)
    path = tmp_path / "model.safetensors"
    ae.save(path)
    loaded = diabolo.load(path)
    assert type(loaded) is AutoEncoder
    for name, value in ae.get_params().items():
        restored = getattr(loaded, name)
        assert np.array_equal(restored, value) if isinstance(value, np.ndarray) else restored == value, name
    assert loaded.history_ == ae.history_
    assert (loaded.n_iter_, loaded.stop_reason_) == (ae.n_iter_, ae.stop_reason_)
    weights = ae.get_weights()
    for name, weight in loaded.get_weights().items():
        np.testing.assert_array_equal(weight, weights[name])
    for method in ("transform", "reconstruct", "reconstruction_error"):
        np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(ae, method)(X))
    loaded.save(str(path))
    assert diabolo.load(str(path)).history_ == ae.history_
    assert loaded.fit(X).n_iter_ == ae.n_iter_


def test_other_libraries_read_it(X: Any, tmp_path: Path) -> None:
    ae = estimator(scale="standard").fit(X)
    ae.save(tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    assert tensors.keys() == {*ae.get_weights(), "scaler.shift", "scaler.scale"}
    assert tensors["scaler.shift"].dtype == np.float64
    for name, weight in ae.get_weights().items():
        np.testing.assert_array_equal(tensors[name], weight)
    assert json.loads(metadata["class"]) == "AutoEncoder"
    assert json.loads(metadata["layers"])[0] == {
        "name": "encoder.0",
        "inputs": 6,
        "outputs": 5,
        "activation": "relu",
        "initializer": "he_uniform",
        "tied_to": "",
    }


def test_feature_names_and_generators(X: Any, tmp_path: Path) -> None:
    import pandas as pd

    names = ["höhe", 'quo"te', "c", "d", "e", "\n"]
    ae = estimator(random_state=np.random.default_rng(0)).fit(pd.DataFrame(X, columns=names))
    ae.save(tmp_path / "model")
    loaded = diabolo.load(tmp_path / "model")
    assert loaded.feature_names_in_.tolist() == names
    assert loaded.random_state is None


def test_parameters_set_after_fit_are_saved_beside_the_network_as_it_is(X: Any, tmp_path: Path) -> None:
    ae = estimator(loss="mae").fit(X)
    ae.set_params(n_components=7, loss="mse")
    ae.save(tmp_path / "model")
    loaded = diabolo.load(tmp_path / "model")
    assert loaded.n_components == 7
    np.testing.assert_array_equal(
        loaded.reconstruction_error(X, metric="loss"), ae.reconstruction_error(X, metric="loss")
    )
    assert loaded.transform(X).shape == (200, 2)


def test_a_history_with_gaps(X: Any, tmp_path: Path) -> None:
    ae = estimator(validation_fraction=0.1).fit(X)
    fitted = ae._require_fitted()
    history = {**fitted.fitting.history, "val_loss": (0.1, 0.2, float("nan"))}
    ae._fitted = type(fitted)(fitted.architecture, fitted.model, fitted.fitting._replace(history=history))
    ae.save(tmp_path / "model")
    np.testing.assert_array_equal(diabolo.load(tmp_path / "model").history_["val_loss"], [0.1, 0.2, np.nan])


# ---- Refused ----


def test_unfitted(tmp_path: Path) -> None:
    with pytest.raises(diabolo.NotFittedError):
        estimator().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_subclasses_are_not_saved_as_what_they_are_not(X: Any, tmp_path: Path) -> None:
    class Mine(AutoEncoder):
        pass

    with pytest.raises(TypeError, match=r"^Mine: save knows diabolo's own classes only"):
        Mine(2, epochs=1).fit(X).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_system(X: Any, tmp_path: Path) -> None:
    ae = estimator().fit(X)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ae.save(tmp_path / "nowhere" / "model")
    with pytest.raises(FileNotFoundError, match="nothing"):
        diabolo.load(tmp_path / "nothing")
    with pytest.raises(OSError, match=r"(?i)directory|regular"):
        diabolo.load(tmp_path)
    with pytest.raises(ValueError, match="null character"):
        ae.save(str(tmp_path / "model\0"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError):
        diabolo.load(3)  # type: ignore[arg-type]


def test_a_failing_save_leaves_the_old_file(X: Any, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    path = tmp_path / "model"
    estimator().fit(X).save(path)
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            estimator(random_state=1).fit(X).save(path)
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("contents", [b"", b"hello", b"\x80\x04\x95", b"\0" * 100, b"\xff" * 100])
def test_no_model(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(contents)
    with pytest.raises(diabolo.ModelFileError):
        diabolo.load(path)


def test_truncated_and_damaged(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    estimator().fit(X).save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 50)):
        path.write_bytes(whole[:length])
        with pytest.raises(diabolo.ModelFileError):
            diabolo.load(path)
    for position in range(0, len(whole), max(1, len(whole) // 50)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(diabolo.ModelFileError):
            diabolo.load(path)


def test_the_library_s_own_files_are_no_models(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other")
    with pytest.raises(diabolo.ModelFileError, match="not a diabolo model"):
        diabolo.load(tmp_path / "other")


def rewritten(X: Any, path: Path, change: Any) -> pathlib.Path:
    """Write a model whose metadata, decoded, and tensors have been changed, with a checksum that is right."""
    estimator(scale="minmax", optimizer=SGD()).fit(X).save(path)
    metadata, tensors = _core.read_model_file(str(path))
    decoded = {name: json.loads(value) for name, value in metadata.items()}
    change(decoded, tensors)
    _core.write_model_file(str(path), {name: json.dumps(value) for name, value in decoded.items()}, tensors)
    return path


CHANGES = {
    "unknown class": (
        lambda m, t: m.update({"class": "Transformer"}),
        "'Transformer', which this diabolo does not",
    ),
    "class of another type": (
        lambda m, t: m.update({"class": ["AutoEncoder"]}),
        "'class' must be a JSON str",
    ),
    "no class": (lambda m, t: m.pop("class"), "no 'class'"),
    "no layers": (lambda m, t: m.pop("layers"), "no 'layers'"),
    "empty layers": (lambda m, t: m["layers"].clear(), "layers must be"),
    "layers without a decoder": (lambda m, t: m.update(code_layers=4), "layers must be"),
    "negative code layers": (lambda m, t: m.update(code_layers=-1), "layers must be"),
    "huge layers": (lambda m, t: m["layers"][0].update(outputs=2**60), "layer 1 is none"),
    "layers that do not join": (lambda m, t: m["layers"][1].update(inputs=4), "layer 1 is none"),
    "no such activation": (lambda m, t: m["layers"][1].update(activation="sin"), "layer 1 is none"),
    "width of another type": (lambda m, t: m["layers"][1].update(inputs=5.0), "layer 1 is none"),
    "tied to nothing": (lambda m, t: m["layers"][2].update(tied_to="encoder.7"), "layer 2 is none"),
    "unknown key of a layer": (lambda m, t: m["layers"][0].update(bias=False), "damaged"),
    "missing tensor": (lambda m, t: t.pop("encoder.0.bias"), r"missing \['encoder.0.bias'\]"),
    "unknown tensor": (lambda m, t: t.update(x=np.zeros(1, np.float32)), r"unknown \['x'\]"),
    "tensor of another shape": (
        lambda m, t: t.update({"encoder.0.bias": np.zeros(4, np.float32)}),
        r"'encoder.0.bias' must be float32 \(5,\), not float32 \(4,\)",
    ),
    "tensor of another type": (lambda m, t: t.update({"encoder.0.bias": np.zeros(5)}), "not float64"),
    "tensor that is not finite": (
        lambda m, t: t.update({"encoder.0.bias": np.full(5, np.nan, np.float32)}),
        "holds NaN or infinity",
    ),
    "half a scaler": (lambda m, t: t.pop("scaler.shift"), r"missing \['scaler.shift'\]"),
    "scale of zero": (
        lambda m, t: t.update({"scaler.scale": np.zeros(6)}),
        "'scaler.scale' must be positive",
    ),
    "negative scale": (
        lambda m, t: t.update({"scaler.scale": -np.ones(6)}),
        "'scaler.scale' must be positive",
    ),
    "unknown parameter": (lambda m, t: m["parameters"].update(foo=1), "damaged.*foo"),
    "unknown optimizer": (
        lambda m, t: m["parameters"].update(optimizer={"class": "Lion", "fields": {}}),
        "'Lion', which this version of diabolo does not know",
    ),
    "optimizer with a bad field": (
        lambda m, t: m["parameters"].update(optimizer={"class": "SGD", "fields": {"momentum": 7}}),
        "momentum must be",
    ),
    "uneven history": (lambda m, t: m["fitting"]["history"]["loss"].pop(), "different lengths"),
    "history without losses": (lambda m, t: m["fitting"]["history"].pop("loss"), "damaged"),
    "too few feature names": (lambda m, t: m["fitting"].update(feature_names=["a"]), "6 strings"),
    "unknown loss": (lambda m, t: m["fitting"].update(loss="crossentropy"), "damaged"),
    "unknown fact": (lambda m, t: m["fitting"].update(colour="red"), "damaged"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_wrong_contents(case: str, X: Any, tmp_path: Path) -> None:
    change, message = CHANGES[case]
    path = rewritten(X, tmp_path / "model", change)
    with pytest.raises(diabolo.ModelFileError, match=f"(?s)model.*{message}"):
        diabolo.load(path)


def test_metadata_that_are_no_json(X: Any, tmp_path: Path) -> None:
    path = rewritten(X, tmp_path / "model", lambda m, t: None)
    metadata, tensors = _core.read_model_file(str(path))
    for text in ("{", "[" * 100_000, ""):
        _core.write_model_file(str(path), {**metadata, "layers": text}, tensors)
        with pytest.raises(diabolo.ModelFileError, match="damaged"):
            diabolo.load(path)


def test_a_newer_format(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    estimator().fit(X).save(path)
    contents = path.read_bytes()
    assert contents.count(b'"format_version":"1"') == 1
    path.write_bytes(contents.replace(b'"format_version":"1"', b'"format_version":"9"'))
    with pytest.raises(diabolo.ModelFileError, match=r"(?i)version 9.*upgrade"):
        diabolo.load(path)
