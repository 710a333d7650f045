"""Batch normalisation, dropout and missing values leave Python as well."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diabolo import AutoEncoder, SparseAutoEncoder, VariationalAutoEncoder
from exported_models import assert_near, rows, scaled
from test_export_c import COMPILERS, compiled
from test_export_c import computed as computed_by_c
from test_export_onnx import computed as computed_by_onnx

SETTINGS: dict[str, Any] = {
    "n_components": 4,
    "hidden_layer_sizes": (7, 5),
    "scale": "standard",
    "epochs": 3,
    "batch_size": 20,
    "learning_rate": 1e-2,
    "random_state": 0,
}
REGULARIZED = {
    "batch_norm": AutoEncoder(activation="gelu", batch_norm=True, **SETTINGS),
    "batch_norm, tied": AutoEncoder(activation="prelu", tied_weights=True, batch_norm=True, **SETTINGS),
    "batch_norm, dropout": SparseAutoEncoder(
        sparsity="top_k", k=2, activation="tanh", batch_norm=True, dropout=0.2, **SETTINGS
    ),
    "dropout": AutoEncoder(dropout=0.5, **SETTINGS),
    "missing": AutoEncoder(missing="mask", **SETTINGS),
    "missing, variational": VariationalAutoEncoder(
        beta=0.01, output_variance=0.01, missing="mask", batch_norm=True, **SETTINGS
    ),
}


@pytest.mark.parametrize("kind", REGULARIZED)
def test_regularized(kind: str, tmp_path: Path) -> None:
    X = rows(200)
    if "missing" in kind:
        X = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.float32(np.nan), X)
        X[5] = X[5] if np.isfinite(X[5]).any() else 1.0
    ae = type(REGULARIZED[kind])(**REGULARIZED[kind].get_params(deep=False)).fit(X)
    if "missing" in kind:
        X[7] = np.nan  # nothing was observed
        X[8] = rows(1)[0]  # everything was
    threshold = float(np.nanmedian(ae.score_samples(X)))
    codes, restored, scores = ae.transform(X), ae.reconstruct(X), ae.score_samples(X)
    ae.to_onnx(tmp_path / "m.onnx", part="encoder")
    assert_near(computed_by_onnx(tmp_path / "m.onnx", X=X)["codes"], codes)
    ae.to_onnx(tmp_path / "m.onnx")
    assert_near(
        scaled(ae, computed_by_onnx(tmp_path / "m.onnx", X=X)["reconstruction"]), scaled(ae, restored)
    )
    ae.to_onnx(tmp_path / "m.onnx", part="scores", threshold=threshold)
    assert_near(computed_by_onnx(tmp_path / "m.onnx", X=X)["scores"], scores)
    if COMPILERS:
        ae.to_c(tmp_path / "m.h", threshold=threshold)
        found = computed_by_c(compiled(tmp_path / "m.h", COMPILERS[0], sanitize=True), ae, X)
        assert_near(found.code, codes)
        assert_near(scaled(ae, found.reconstructed), scaled(ae, restored))
        assert_near(found.score, scores)
