"""`to_onnx`: what ONNX's own checker says of the graphs, and what onnxruntime computes with them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from diabolo import AutoEncoder, InvalidParameterError, _export_onnx, _protobuf
from exported_models import VARIANTS, assert_near, fitted, rows, scaled

onnx = pytest.importorskip("onnx", exc_type=ImportError)
onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)


def computed(path: Path, **inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Check the file strictly, run it as a user would, and return its outputs by name."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", _export_onnx.OPSET)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 2  # warnings go to stderr
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(inputs)
    outputs = session.get_outputs()
    results = session.run([output.name for output in outputs], inputs)
    for output, result in zip(outputs, results, strict=True):
        assert output.shape[0] == "rows"
        assert tuple(output.shape[1:]) == result.shape[1:]
    return dict(zip((output.name for output in outputs), results, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees(variant: str, tmp_path: Path) -> None:
    X = rows()
    ae = fitted(X, **VARIANTS[variant])
    path = tmp_path / "m.onnx"

    ae.to_onnx(path)
    reconstruction = computed(path, X=X)["reconstruction"]
    assert_near(scaled(ae, reconstruction), scaled(ae, ae.reconstruct(X)))

    ae.to_onnx(path, part="encoder")
    codes = computed(path, X=X)["codes"]
    assert_near(codes, ae.transform(X))

    ae.to_onnx(path, part="decoder")
    decoded = computed(path, codes=codes)["reconstruction"]
    assert_near(scaled(ae, decoded), scaled(ae, ae.inverse_transform(codes)))

    ae.to_onnx(str(path), part="scores")
    (scores,) = computed(path, X=X).values()
    assert_near(scores, ae.score_samples(X))

    threshold = float(np.median(ae.score_samples(X)))
    ae.to_onnx(path, part="scores", threshold=threshold)
    results = computed(path, X=X)
    assert list(results) == ["scores", "is_outlier"]
    np.testing.assert_array_equal(results["is_outlier"], results["scores"] < np.float32(threshold))
    assert results["is_outlier"].dtype == bool


@pytest.mark.parametrize("hidden", [(), (4,), (9, 8, 7, 6)], ids=str)
@pytest.mark.parametrize("count", [1, 1000])
def test_depths_and_numbers_of_rows(hidden: tuple[int, ...], count: int, tmp_path: Path) -> None:
    X = rows(count)
    ae = fitted(rows(), hidden_layer_sizes=hidden, decoder_layer_sizes=hidden[:1], activation="gelu")
    ae.to_onnx(tmp_path / "m.onnx")
    assert_near(computed(tmp_path / "m.onnx", X=X)["reconstruction"], ae.reconstruct(X))


def test_far_from_zero(tmp_path: Path) -> None:
    """The scaler's shift has more digits than a float32: none may be lost before the difference."""
    X = (1e5 + np.random.default_rng(0).random((50, 4))).astype(np.float32)
    ae = fitted(X, scale="standard")
    ae.to_onnx(tmp_path / "m.onnx", part="scores")
    assert_near(computed(tmp_path / "m.onnx", X=X)["scores"], ae.score_samples(X))


def test_extreme_inputs_stay_finite(tmp_path: Path) -> None:
    X = np.concatenate([rows(4), 1e3 * rows(4), -1e3 * rows(4)])
    for activation in ("sigmoid", "tanh", "elu", "gelu", "silu", "softplus"):
        ae = fitted(rows(), activation=activation, code_activation=activation)
        ae.to_onnx(tmp_path / "m.onnx")
        assert_near(computed(tmp_path / "m.onnx", X=X)["reconstruction"], ae.reconstruct(X))


def test_tied_kernels_are_stored_once(tmp_path: Path) -> None:
    fitted(rows(), tied_weights=True).to_onnx(tmp_path / "m.onnx")
    names = [tensor.name for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer]
    assert len(names) == len(set(names))
    assert {name for name in names if name.endswith("kernel")} == {f"encoder.{i}.kernel" for i in range(3)}


def test_weights_keep_their_bits_and_names(tmp_path: Path) -> None:
    ae = fitted(rows())
    ae.to_onnx(tmp_path / "m.onnx")
    stored = onnx.load(tmp_path / "m.onnx").graph.initializer
    weights = ae.get_weights()
    assert {tensor.name for tensor in stored} == weights.keys()
    for tensor in stored:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights[tensor.name])


# ---- The encoding ----


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1])
def test_integers(value: int) -> None:
    model = onnx.ModelProto.FromString(_protobuf.integer(1, value))
    assert model.ir_version == value


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20_000])
def test_texts(length: int) -> None:
    name = "é" * length
    assert onnx.ModelProto.FromString(_protobuf.text(2, name)).producer_name == name


def test_reals() -> None:
    assert onnx.AttributeProto.FromString(_protobuf.real(2, 0.1)).f == np.float32(0.1)


# ---- Refused ----


def test_unfitted(tmp_path: Path) -> None:
    with pytest.raises(diabolo.NotFittedError):
        AutoEncoder().to_onnx(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "all"}, r"^AutoEncoder: part must be one of 'autoencoder', .*\. Got 'all'\.$"),
        ({"part": None}, "part must be"),
        ({"part": "scores", "threshold": np.inf}, "threshold must be None or a finite number"),
        ({"threshold": -1.0}, r"^AutoEncoder: threshold must be None when part='autoencoder'\. Got -1\.0\.$"),
    ],
)
def test_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        fitted(rows()).to_onnx(tmp_path / "m.onnx", **options)
    assert list(tmp_path.iterdir()) == []


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_export_onnx, "_MOST_WEIGHTS", 100)
    with pytest.raises(InvalidParameterError, match="must have at most 100 weights"):
        fitted(rows()).to_onnx(tmp_path / "m.onnx")


def test_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fitted(rows()).to_onnx(tmp_path / "nowhere" / "m.onnx")
