"""`Model::load`: C++ programs compute what Python does from its files, bit for bit; others they refuse."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from core_helpers import native_program
from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    _core,
)
from exported_models import VARIANTS, fitted, rows
from test_persistence import CHANGES, rewritten


def computed(path: Path, X: npt.NDArray[np.float32]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [native_program("load_model"), path], input=X.tobytes(), capture_output=True, check=False
    )


def assert_same(path: Path, ae: AutoEncoder, X: npt.NDArray[np.float32]) -> None:
    done = computed(path, X)
    assert done.returncode == 0, done.stderr.decode()
    expected = [ae.transform(X), ae.reconstruct(X), ae.reconstruction_error(X)]
    assert done.stdout == b"".join(table.tobytes() for table in expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_bits(variant: str, tmp_path: Path) -> None:
    X = rows()
    ae = fitted(X, **VARIANTS[variant])
    ae.save(tmp_path / "model")
    assert_same(tmp_path / "model", ae, X)


@pytest.mark.parametrize(
    "kind",
    [
        ContractiveAutoEncoder(),
        ContractiveAutoEncoder(hidden_layer_sizes=(5,)),
        DenoisingAutoEncoder(noise_scale=0.1),
        SparseAutoEncoder(sparsity="l1"),
        SparseAutoEncoder(sparsity="kl"),
        SparseAutoEncoder(sparsity="top_k", k=2),
        VariationalAutoEncoder(),
        VariationalAutoEncoder(likelihood="bernoulli"),
        AutoEncoder(hidden_layer_sizes=(9,), dropout=0.1, batch_norm=True, missing="mask"),
        AutoEncoder(hidden_layer_sizes=(9,), activation="prelu", batch_norm=True, tied_weights=True),
    ],
    ids=repr,
)
def test_same_bits_of_every_kind(kind: AutoEncoder, tmp_path: Path) -> None:
    X = rows()
    ae = kind.set_params(n_components=4, epochs=2, random_state=0, scale="minmax").fit(X)
    ae.save(tmp_path / "model")
    assert_same(tmp_path / "model", ae, X)


def test_same_bits_with_a_softmax(tmp_path: Path) -> None:
    X = rows()
    X[:, :2] = np.eye(2)[np.arange(len(X)) % 2]
    groups = [[0, 1]]
    ae = AutoEncoder(2, loss="categorical_crossentropy", categorical_groups=groups, epochs=2, random_state=0)
    ae.fit(X).save(tmp_path / "model")
    assert_same(tmp_path / "model", ae, X)


def test_checkpoints_are_models(tmp_path: Path) -> None:
    X = rows()
    ae = AutoEncoder(2, epochs=2, random_state=0, scale="minmax", checkpoint=tmp_path / "run").fit(X)
    assert_same(tmp_path / "run", ae, X)


# What a C++ program does not read: hyper-parameters, history.
PYTHON_S_OWN = {
    "unknown class",
    "class of another type",
    "no class",
    "negative code layers",
    "unknown key of a layer",
    "unknown parameter",
    "unknown optimizer",
    "optimizer with a bad field",
    "uneven history",
    "history without losses",
    "too few feature names",
    "unknown loss",
    "unknown fact",
}


@pytest.mark.parametrize("case", [case for case in CHANGES if case not in PYTHON_S_OWN])
def test_damaged_descriptions(case: str, X: Any, tmp_path: Path) -> None:
    path = rewritten(X, tmp_path / "model", CHANGES[case][0])
    done = computed(path, X)
    assert done.returncode == 4
    assert done.stderr.decode().startswith(f"{path}: ")
    assert done.stdout == b""


def test_hostile_descriptions(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    AutoEncoder(2, epochs=1, random_state=0).fit(X).save(path)
    metadata, tensors = _core.read_model_file(str(path))
    for layers in (
        "[]",
        "{}",
        "[1]",
        "[[",
        "[" * 100,
        "null",
        json.dumps([{**json.loads(metadata["layers"])[0], "name": "encoder.0"}] * 2),
        json.dumps(
            [{**layer, "inputs": 2**62, "outputs": 2**62} for layer in json.loads(metadata["layers"])]
        ),
    ):
        _core.write_model_file(str(path), {**metadata, "layers": layers}, tensors)
        done = computed(path, X)
        assert done.returncode == 4, layers
        assert done.stderr.decode().startswith(f"{path}: ")


def test_no_file(tmp_path: Path, X: Any) -> None:
    done = computed(tmp_path / "nothing", X)
    assert done.returncode == 4
    assert "No such file" in done.stderr.decode()
    (tmp_path / "text").write_text("hello")
    assert "not a model file" in computed(tmp_path / "text", X).stderr.decode()
