"""Every estimator there is leaves Python whole: as a header of C and as each graph of ONNX."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from diabolo import AutoEncoder, AutoEncoderRegressor, InvalidParameterError, SparseAutoEncoder
from diabolo._network_estimator import NetworkEstimator
from every_kind import AUTOENCODERS, KINDS, SUPERVISED, public_estimators, trained
from exported_models import assert_near, rows, scaled
from test_export_c import COMPILERS, PROGRAM, compiled
from test_export_c import computed as computed_by_c
from test_export_onnx import computed as computed_by_onnx

ROWS = rows(200)


def test_no_kind_is_forgotten() -> None:
    """Who adds an estimator adds it to `KINDS`, and makes the tests below pass."""
    missing = public_estimators().keys() - {type(estimator).__name__ for estimator in KINDS.values()}
    assert not missing


def network_of(estimator: Any) -> Any:
    return estimator if isinstance(estimator, NetworkEstimator) else estimator.autoencoder_


def threshold_of(estimator: Any) -> float:
    if isinstance(estimator, NetworkEstimator):
        return float(np.median(estimator.score_samples(ROWS)))
    return float(estimator.offset_)


def assert_same_outliers(found: npt.NDArray[Any], estimator: Any) -> None:
    """Where the score is the threshold to within rounding, either answer is right."""
    distance = estimator.score_samples(ROWS) - threshold_of(estimator)
    sure = abs(distance) > 1e-5
    assert 0 < found.sum() < len(ROWS)
    np.testing.assert_array_equal(found[sure].astype(bool), distance[sure] < 0)


@pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")
@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_as_c(kind: str, tmp_path: Path) -> None:
    estimator = trained(kind, ROWS)
    network = network_of(estimator)
    own = {"threshold": threshold_of(estimator)} if network is estimator else {}
    estimator.to_c(tmp_path / "m.h", **own)
    found = computed_by_c(compiled(tmp_path / "m.h", COMPILERS[0]), network, ROWS)
    assert_near(found.code, network.transform(ROWS))
    assert_near(scaled(network, found.decoded), scaled(network, network.inverse_transform(found.code)))
    assert_near(scaled(network, found.reconstructed), scaled(network, network.reconstruct(ROWS)))
    assert_near(found.score, estimator.score_samples(ROWS))
    assert_same_outliers(found.outlier, estimator)


@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_as_onnx(kind: str, tmp_path: Path) -> None:
    estimator = trained(kind, ROWS)
    network, path = network_of(estimator), tmp_path / "m.onnx"

    estimator.to_onnx(path, part="autoencoder")
    reconstruction = computed_by_onnx(path, X=ROWS)["reconstruction"]
    assert_near(scaled(network, reconstruction), scaled(network, network.reconstruct(ROWS)))

    estimator.to_onnx(path, part="encoder")
    codes = computed_by_onnx(path, X=ROWS)["codes"]
    assert_near(codes, network.transform(ROWS))

    estimator.to_onnx(path, part="decoder")
    decoded = computed_by_onnx(path, codes=codes)["reconstruction"]
    assert_near(scaled(network, decoded), scaled(network, network.inverse_transform(codes)))

    own = {"threshold": threshold_of(estimator)} if network is estimator else {}
    estimator.to_onnx(path, part="scores", **own)
    found = computed_by_onnx(path, X=ROWS)
    assert_near(found["scores"], estimator.score_samples(ROWS))
    assert_same_outliers(found["is_outlier"], estimator)


def with_equal_codes(k: int) -> SparseAutoEncoder:
    """Return an encoder whose units repeat each other three times, so that equals meet at the border."""
    sae = SparseAutoEncoder(9, sparsity="top_k", k=k, epochs=1, random_state=0).fit(ROWS)
    weights = sae.get_weights()
    kernel = weights["encoder.0.kernel"]
    kernel[:] = np.tile(kernel[:, :3], 3)
    weights["encoder.0.bias"][:] = np.tile([0.1, -0.2, 0.3], 3)
    return sae.set_weights(weights)


@pytest.mark.parametrize("k", [1, 2, 5, 8, 9])
def test_of_equal_units_the_first_are_kept(k: int, tmp_path: Path) -> None:
    sae = with_equal_codes(k)
    codes = sae.transform(ROWS)
    assert {np.count_nonzero(code) for code in codes} == {k}
    sae.to_onnx(tmp_path / "m.onnx", part="encoder")
    assert_near(computed_by_onnx(tmp_path / "m.onnx", X=ROWS)["codes"], codes)
    if COMPILERS:
        sae.to_c(tmp_path / "m.h", threshold=-1.0)
        program = compiled(tmp_path / "m.h", COMPILERS[0], sanitize=True)
        assert_near(computed_by_c(program, sae, ROWS).code, codes)


def test_weights_in_a_file_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a variational autoencoder the half of a kernel is stored."""
    monkeypatch.setattr("diabolo._export_c.MOST_WEIGHTS_IN_HEADER", 10)
    vae = trained("variational, gaussian", ROWS)
    vae.to_c(tmp_path / "m.h", threshold=-1.0)
    if COMPILERS:
        program = compiled(tmp_path / "m.h", COMPILERS[0], f'-DWEIGHTS="{tmp_path / "m.bin"}"')
        assert_near(computed_by_c(program, vae, ROWS).code, vae.transform(ROWS))


def test_a_layer_without_a_form_elsewhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diabolo._export_network.described", lambda layer: {"layer": "other"})
    sae = SparseAutoEncoder(4, sparsity="top_k", k=2, epochs=1, random_state=0).fit(ROWS)
    for export in (sae.to_c, sae.to_onnx):
        with pytest.raises(
            TypeError, match=r"^SparseAutoEncoder: a layer 'encoder\.0 identity' has no form outside"
        ):
            export(tmp_path / "m.h")
    assert list(tmp_path.iterdir()) == []


def test_a_detector_with_a_part_that_is_none(tmp_path: Path) -> None:
    detector = trained("detector", ROWS)
    with pytest.raises(ValueError, match="part must be one of"):
        detector.to_onnx(tmp_path / "m.onnx", part="all")
    assert not isinstance(detector, AutoEncoder)


def test_a_row_beyond_all_numbers_is_an_outlier(tmp_path: Path) -> None:
    """Its layers overflow to infinities, whose difference is no number."""
    ae = trained("plain", ROWS)
    X = ROWS[:4].copy()
    X[1] = 3e38 * np.sign(X[1])
    expected = ae.score_samples(X)
    assert expected[1] == -np.inf
    ae.to_onnx(tmp_path / "m.onnx", part="scores", threshold=-1.0)
    found = computed_by_onnx(tmp_path / "m.onnx", X=X)
    assert_near(found["scores"], expected)
    assert found["is_outlier"][1]
    if COMPILERS:
        ae.to_c(tmp_path / "m.h", threshold=-1.0)
        by_c = computed_by_c(compiled(tmp_path / "m.h", COMPILERS[0], sanitize=True), ae, X)
        assert_near(by_c.score, expected)
        assert by_c.outlier[1] == 1


# ---- Probabilities ----


@pytest.mark.parametrize("groups", [None, [(0, 6)], [(1, 3), (3, 5)], [(0, 2), (5, 6)], [(4, 6)]], ids=str)
def test_probabilities_of_groups_of_columns(groups: list[tuple[int, int]] | None, tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((60, 6)).astype(np.float32)
    for begin, end in groups or [(0, 6)]:
        X[:, begin:end] /= X[:, begin:end].sum(axis=1, keepdims=True)
    ranges = None if groups is None else [range(*group) for group in groups]
    loss = "categorical_crossentropy"
    ae = AutoEncoder(3, loss=loss, categorical_groups=ranges, epochs=2, random_state=0).fit(X)
    restored = ae.reconstruct(X)
    ae.to_onnx(tmp_path / "m.onnx")
    assert_near(computed_by_onnx(tmp_path / "m.onnx", X=X)["reconstruction"], restored)
    if COMPILERS:
        ae.to_c(tmp_path / "m.h", threshold=-1.0)
        program = compiled(tmp_path / "m.h", COMPILERS[0], sanitize=True)
        assert_near(computed_by_c(program, ae, X).reconstructed, restored)


# ---- Classifiers and regressors ----


def outputs_of(estimator: Any) -> npt.NDArray[np.float64]:
    """Return what the network computes of `ROWS`, values in the units of the network."""
    if isinstance(estimator, AutoEncoderRegressor):
        return in_units_of_the_network(estimator, estimator.predict(ROWS))
    if estimator.loss == "categorical_crossentropy":
        return np.asarray(estimator.predict_proba(ROWS))
    return np.asarray(estimator.decision_function(ROWS))


def in_units_of_the_network(estimator: Any, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if not isinstance(estimator, AutoEncoderRegressor):
        return np.asarray(values, np.float64)
    meaning = estimator._require_fitted().meaning
    return np.asarray((np.asarray(values, np.float64) - meaning.shift) / meaning.scale)


def assert_same_classes(found: npt.NDArray[Any], estimator: Any) -> None:
    """Where two outputs are equal to within rounding, either class is right."""
    ordered = np.sort(outputs_of(estimator), axis=1)
    sure = ordered[:, -1] - ordered[:, -2] > 1e-4
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(estimator.classes_[found.astype(int)][sure], estimator.predict(ROWS)[sure])


@pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")
@pytest.mark.parametrize("kind", SUPERVISED)
def test_supervised_as_c(kind: str, tmp_path: Path) -> None:
    estimator = trained(kind, ROWS)
    estimator.to_c(tmp_path / "m.h")
    classes = ["-DCLASSES"] if hasattr(estimator, "classes_") else []
    source = PROGRAM.with_name("exported_predictions.c")
    program = compiled(tmp_path / "m.h", COMPILERS[0], *classes, sanitize=True, source=source)
    done = subprocess.run([program], input=ROWS.tobytes(), capture_output=True, check=True)
    table = np.frombuffer(done.stdout, np.float32).reshape(len(ROWS), -1)
    codes, expected = estimator.transform(ROWS), outputs_of(estimator)
    assert_near(table[:, : codes.shape[1]], codes)
    assert_near(in_units_of_the_network(estimator, table[:, codes.shape[1] : -1]), expected)
    if classes:
        assert_same_classes(table[:, -1], estimator)
        assert all(str(label) in (tmp_path / "m.h").read_text() for label in estimator.classes_)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_supervised_as_onnx(kind: str, tmp_path: Path) -> None:
    estimator, path = trained(kind, ROWS), tmp_path / "m.onnx"
    estimator.to_onnx(path, part="encoder")
    assert_near(computed_by_onnx(path, X=ROWS)["codes"], estimator.transform(ROWS))
    estimator.to_onnx(path)
    found = computed_by_onnx(path, X=ROWS)
    outputs = next(iter(found.values()))
    assert_near(in_units_of_the_network(estimator, outputs), outputs_of(estimator))
    names = {"classifier": ["probabilities", "class"], "classifier, hinge": ["decisions", "class"]}
    assert list(found) == names.get(kind, ["values"])
    if "class" in found:
        assert found["class"].dtype == np.int64
        assert_same_classes(found["class"], estimator)


# ---- Models from files ----


def assert_exported_alike(estimator: Any, folder: Path) -> None:
    """The file that `save` writes has all that the exports need, and in the same form."""
    estimator.save(folder / "m.safetensors")
    loaded = diabolo.load(folder / "m.safetensors")
    assert network_layers(loaded) == network_layers(estimator)
    for name in ("m.h", "m.onnx"):
        written = []
        for exported in (estimator, loaded):
            (exported.to_c if name == "m.h" else exported.to_onnx)(folder / name)
            written.append((folder / name).read_bytes())
        assert written[0] == written[1], name


def network_layers(estimator: Any) -> Any:
    return estimator._require_fitted().architecture


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_exported_alike(kind: str, tmp_path: Path) -> None:
    assert_exported_alike(trained(kind, ROWS), tmp_path)


@pytest.mark.parametrize("groups", [None, [range(2), range(2, 5)]])
def test_a_loaded_model_with_probabilities_is_exported_alike(groups: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    widths = [5] if groups is None else [len(group) for group in groups]
    X = np.hstack([np.eye(width)[random.integers(width, size=60)] for width in widths])
    loss = "categorical_crossentropy"
    estimator = AutoEncoder(2, loss=loss, categorical_groups=groups, epochs=1, random_state=0).fit(X)
    assert_exported_alike(estimator, tmp_path)


@pytest.mark.parametrize("part", ["autoencoder", "decoder", "scores", "all"])
def test_parts_that_supervised_estimators_have_not(part: str, tmp_path: Path) -> None:
    why = "one of" if part == "all" else "'predictions' or 'encoder': it has a head, and no decoder"
    with pytest.raises(InvalidParameterError, match=f"^AutoEncoderClassifier: part must be {why}"):
        trained("classifier", ROWS).to_onnx(tmp_path / "m.onnx", part=part)
    with pytest.raises(InvalidParameterError, match="part must be one of"):
        trained("plain", ROWS).to_onnx(tmp_path / "m.onnx", part="predictions")
    assert list(tmp_path.iterdir()) == []
