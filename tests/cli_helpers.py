"""What tests of the command line start from: a folder of their own, a model, data in every format."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo

FAST = ["--n-components", "2", "--epochs", "2", "--seed", "0", "-q"]
NAMES = ["a", "b", "c d", "é", "e", "f"]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(X: npt.NDArray[np.float32]) -> diabolo.AutoEncoder:
    """Return what m.safetensors holds."""
    ae = diabolo.AutoEncoder(2, epochs=2, random_state=0).fit(X)
    ae.save("m.safetensors")
    return ae


def write(path: str, X: npt.NDArray[Any]) -> None:
    """Write rows in the format that the name says."""
    import pandas as pd

    frame = pd.DataFrame(X, columns=NAMES)
    {
        "x.npy": lambda: np.save(path, X),
        "x.npz": lambda: np.savez(path, X=X),
        "x.csv": lambda: frame.to_csv(path, index=False),
        "x.tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "bare.csv": lambda: frame.to_csv(path, index=False, header=False, sep=";"),
        "x.parquet": lambda: _parquet(frame, path),
    }[path]()


def _parquet(frame: Any, path: str) -> None:
    import polars

    polars.DataFrame({name: frame[name].to_numpy() for name in frame}).write_parquet(path)
