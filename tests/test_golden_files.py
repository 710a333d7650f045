"""Files that earlier versions wrote load, and compute what they did: for ever. See write_golden_files.py."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import diabolo
from diabolo import AdamW, AutoEncoder, CosineDecay
from every_kind import KINDS, METHODS, file_name

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name.removesuffix("-model.safetensors") for path in GOLDEN.glob("*-model.safetensors"))


KIND_FILES = sorted(GOLDEN.glob("*-kinds/*.safetensors"))


def test_there_are_golden_files() -> None:
    assert "0.1.0" in VERSIONS
    assert (GOLDEN / "0.1.0-half-a-run.safetensors").exists()


def test_there_is_one_of_each_kind() -> None:
    """In this version or one before it, since when the kind has been there."""
    assert {file_name(kind) for kind in KINDS} <= {path.stem for path in KIND_FILES}


@pytest.mark.parametrize("path", KIND_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_kinds(path: Path) -> None:
    loaded = diabolo.load(path)
    with np.load(path.with_suffix(".npz")) as results:
        X = results["X"]
        for name in results.files:
            if name == "X":
                continue
            found = getattr(loaded, METHODS[name])(X)
            if results[name].dtype.kind == "f":
                np.testing.assert_allclose(found, results[name], rtol=1e-5, atol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(found, results[name])


@pytest.mark.parametrize("version", VERSIONS)
def test_models(version: str) -> None:
    loaded = diabolo.load(GOLDEN / f"{version}-model.safetensors")
    assert type(loaded) is AutoEncoder
    assert loaded.optimizer == AdamW(weight_decay=0.1)
    assert loaded.schedule == CosineDecay(warmup_epochs=1)
    assert (loaded.tied_weights, loaded.scale, loaded.loss) == (True, "standard", "huber")
    assert (loaded.n_iter_, loaded.stop_reason_) == (4, "epochs")
    assert len(loaded.history_["val_loss"]) == 4
    with np.load(GOLDEN / f"{version}-results.npz") as results:
        X = results["X"]
        # Another version, or a processor without fused multiply-add, may differ in the last digits.
        for name, found in {
            "codes": loaded.transform(X),
            "reconstructions": loaded.reconstruct(X),
            "losses": loaded.reconstruction_error(X, metric="loss"),
        }.items():
            np.testing.assert_allclose(found, results[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert loaded.fit(X).n_iter_ == 4


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*-half-a-run.safetensors")), ids=lambda path: path.stem)
def test_half_a_run(path: Path) -> None:
    """It goes on with what layers kept, to the end that it had when it was written."""
    loaded = diabolo.load(path)
    assert (loaded.n_iter_, loaded.stop_reason_, loaded.checkpoint) == (2, "interrupted", path.name)
    with np.load(path.with_suffix(".npz")) as results:
        X = results["X"]
        resumed = loaded.set_params(checkpoint=None).fit(X, resume_from=path)
        np.testing.assert_allclose(resumed.transform(X), results["codes"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(resumed.history_["loss"], results["losses"], rtol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_checkpoints(version: str, tmp_path: Path) -> None:
    """They load as models; and the run that one ends can be resumed, which has nothing left to do."""
    path = tmp_path / "checkpoint"
    shutil.copy(GOLDEN / f"{version}-checkpoint.safetensors", path)
    loaded = diabolo.load(path).set_params(checkpoint=None)
    assert (loaded.n_iter_, loaded.stop_reason_) == (4, "interrupted")
    with np.load(GOLDEN / f"{version}-results.npz") as results:
        resumed = loaded.fit(results["X"], resume_from=path)
        np.testing.assert_allclose(resumed.transform(results["X"]), results["codes"], rtol=1e-5, atol=1e-6)
