"""Products of bfloat16 beside lists of active units and penalties on the Jacobian, which are float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_helpers import EMULATED_ISAS, data, digest, forced_isa, relative_error
from diabolo import AutoEncoder, ContractiveAutoEncoder, SparseAutoEncoder


@pytest.mark.filterwarnings("ignore::diabolo.exceptions.MatmulPrecisionWarning")  # all of it is float32
@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16_3x"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("hidden", [(), (40,)], ids=["shallow", "deep"])
@pytest.mark.parametrize("kind", [SparseAutoEncoder, ContractiveAutoEncoder])
@pytest.mark.parametrize("isa", [None, *EMULATED_ISAS])
def test_near_float32_for_any_number_of_threads(
    kind: type[AutoEncoder],
    hidden: tuple[int, ...],
    tied: bool,
    precision: str,
    isa: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIABOLO_FORCE_MATMUL_PRECISION", "1")
    x = data(100, 40)
    settings: dict[str, Any] = {
        "n_components": 130,
        "hidden_layer_sizes": hidden,
        "tied_weights": tied,
        "epochs": 1,
        "batch_size": 30,
        "random_state": 0,
    }
    if kind is SparseAutoEncoder:
        settings |= {"sparsity": "top_k", "k": 5}
    with forced_isa(isa):
        exact = kind(**settings, n_jobs=1).fit(x)
        one, three = (kind(**settings, n_jobs=jobs, matmul_precision=precision).fit(x) for jobs in (1, 3))
    assert digest(one.get_weights()) == digest(three.get_weights())
    assert one.history_["loss"][0] == pytest.approx(exact.history_["loss"][0], rel=0.02)
    assert relative_error(one.reconstruct(x), exact.reconstruct(x).astype(np.float64)) < 0.1
