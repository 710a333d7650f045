"""Checkpoints: an interrupted run that is resumed gives the weights of the uninterrupted one, bit for bit."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone

import diabolo
from diabolo import SGD, AutoEncoder, CosineDecay, RMSprop, StepDecay, _core, _network_estimator
from estimator_helpers import estimator

EPOCHS = 6

VARIANTS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw, tied": {"optimizer": "adamw", "tied_weights": True, "activation": "prelu", "l2": 1e-4},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "momentum, cosine": {"optimizer": SGD(momentum=0.9), "schedule": CosineDecay(warmup_epochs=2)},
    "nesterov, clipped": {"optimizer": SGD(momentum=0.5, nesterov=True), "clip_norm": 0.1, "l1": 1e-4},
    "rmsprop, steps": {"optimizer": RMSprop(), "schedule": StepDecay(epochs=2)},
    "blocks, scaled": {"shuffle": "blocks", "scale": "standard", "batch_size": 300},
    "in order": {"shuffle": False, "scale": "minmax", "loss": "binary_crossentropy"},
    "validation": {"validation_fraction": 0.2, "learning_rate": 0.03},
    "best epoch": {"validation_fraction": 0.2, "early_stopping": True, "patience": 50, "learning_rate": 0.3},
    "early stopping": {
        "validation_fraction": 0.2, "early_stopping": True, "patience": 2, "learning_rate": 0.5, "epochs": 40
    },
}  # fmt: skip


class Interrupting:
    """Writes checkpoints, and behaves as if Ctrl-C came after the nth."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.write = _network_estimator.write_estimator

    def __call__(self, *arguments: Any) -> None:
        self.write(*arguments)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def interrupted(X: Any, path: Path, after: int, **changes: Any) -> AutoEncoder:
    """Return an estimator whose fit has been cut short after so many checkpoints."""
    return interrupted_fit(estimator(**{"epochs": EPOCHS, **changes}, checkpoint=path), X, after)


def interrupted_fit(ae: AutoEncoder, X: Any, after: int, **options: Any) -> AutoEncoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_network_estimator, "write_estimator", Interrupting(after))
        with pytest.raises(KeyboardInterrupt):
            ae.fit(X, **options)
    return ae


def assert_same(one: AutoEncoder, two: AutoEncoder, X: npt.NDArray[Any]) -> None:
    ones, twos = one.get_weights(), two.get_weights()
    for name, weight in ones.items():
        np.testing.assert_array_equal(weight, twos[name], err_msg=name)
    np.testing.assert_array_equal(one.reconstruct(X), two.reconstruct(X))
    assert one.stop_reason_ == two.stop_reason_
    for name, values in one.history_.items():
        if name != "seconds":
            assert values == two.history_[name], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_gives_the_same_bits(variant: str, X: Any, tmp_path: Path) -> None:
    changes = {"epochs": EPOCHS, **VARIANTS[variant]}
    whole = estimator(**changes).fit(X)
    path = tmp_path / "run.safetensors"
    for after in (1, 4):
        cut = interrupted(X, path, after, **changes, n_jobs=1)
        assert cut.n_iter_ == after
        assert cut.stop_reason_ == "interrupted"
        assert_same(estimator(**changes, n_jobs=2).fit(X, resume_from=path), whole, X)


@pytest.mark.parametrize(
    "kind",
    [
        diabolo.DenoisingAutoEncoder(2, corruption="gaussian"),
        diabolo.SparseAutoEncoder(8, sparsity="top_k", k=2),
        diabolo.VariationalAutoEncoder(2, kl_warmup_epochs=2),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_every_kind_is_resumed(kind: Any, X: Any, tmp_path: Path) -> None:
    kind.set_params(epochs=EPOCHS, batch_size=32, random_state=3)
    whole = copy.deepcopy(kind).fit(X)
    path = tmp_path / "run"
    interrupted_fit(copy.deepcopy(kind).set_params(checkpoint=path), X, 2)
    assert_same(copy.deepcopy(kind).fit(X, resume_from=path), whole, X)
    with pytest.raises(diabolo.InvalidParameterError, match="epochs must be 6, as in the checkpoint"):
        kind.set_params(epochs=EPOCHS + 1).fit(X, resume_from=path)


def test_resumed_more_than_once(X: Any, tmp_path: Path) -> None:
    """Each part writes the file that the next goes on from."""
    path = tmp_path / "run.safetensors"
    whole = estimator(epochs=EPOCHS).fit(X)
    interrupted(X, path, 1)
    for _ in range(EPOCHS - 2):
        ae = interrupted_fit(estimator(epochs=EPOCHS, checkpoint=str(path)), X, 1, resume_from=path)
    assert ae.n_iter_ == EPOCHS - 1
    assert_same(estimator(epochs=EPOCHS).fit(X, resume_from=str(path)), whole, X)


def test_a_generator_of_random_numbers(X: Any, tmp_path: Path) -> None:
    """The seed that was drawn is in the file; none is drawn to resume."""
    path = tmp_path / "run"
    whole = estimator(epochs=EPOCHS, random_state=np.random.default_rng(5)).fit(X)
    interrupted(X, path, 2, random_state=np.random.default_rng(5))
    for random_state in (None, np.random.default_rng(99)):
        resumed = estimator(epochs=EPOCHS, random_state=random_state).fit(X, resume_from=path)
        assert_same(resumed, whole, X)


def test_validation_rows_of_one_s_own(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    options = {"early_stopping": True, "patience": 2, "learning_rate": 0.3, "epochs": 20}
    whole = estimator(**options).fit(X[:150], X_val=X[150:])
    interrupted_fit(estimator(**options, checkpoint=path), X[:150], 2, X_val=X[150:])
    assert_same(estimator(**options).fit(X[:150], X_val=X[150:], resume_from=path), whole, X)
    with pytest.raises(diabolo.InvalidDataError, match=r"the validation rows .* the same values. Got other"):
        estimator(**options).fit(X[:150], X_val=X[100:150], resume_from=path)


def test_data_may_lie_otherwise(X: Any, tmp_path: Path) -> None:
    """The values count, not their layout."""
    path = tmp_path / "run"
    interrupted(X, path, 2)
    whole = estimator(epochs=EPOCHS).fit(X)
    for same in (np.asfortranarray(X), X.astype(np.float64), np.repeat(X, 2, axis=0)[::2]):
        assert_same(estimator(epochs=EPOCHS).fit(same, resume_from=path), whole, X)


def test_how_often(X: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []
    write = _network_estimator.write_estimator

    def writes(self: Any, fitted: Any, *arguments: Any) -> None:
        epochs.append(len(fitted.fitting.history["loss"]))
        write(self, fitted, *arguments)

    monkeypatch.setattr(_network_estimator, "write_estimator", writes)
    estimator(epochs=7, checkpoint=tmp_path / "run", checkpoint_every=3).fit(X)
    assert epochs == [3, 6, 7]
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_finished_run_is_not_trained_further(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    for changes in (VARIANTS["adam"], VARIANTS["early stopping"]):
        whole = estimator(**changes, checkpoint=path).fit(X)
        before = path.read_bytes()
        resumed = estimator(**changes, checkpoint=path).fit(X, resume_from=path)
        assert_same(resumed, whole, X)
        assert resumed.history_["seconds"] == whole.history_["seconds"]
        assert path.read_bytes() == before


def test_a_checkpoint_is_a_model(X: Any, tmp_path: Path) -> None:
    cut = interrupted(X, tmp_path / "run", 2, scale="standard")
    loaded = diabolo.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.transform(X), cut.transform(X))
    assert (loaded.n_iter_, loaded.stop_reason_) == (2, "interrupted")
    assert loaded.checkpoint == str(tmp_path / "run")
    loaded.save(tmp_path / "model")
    _, tensors = _core.read_model_file(str(tmp_path / "model"))
    assert tensors.keys() == {*cut.get_weights(), "scaler.shift", "scaler.scale"}


def test_killed_and_resumed(X: Any, tmp_path: Path) -> None:
    """kill -9, at any moment: the file is that of some completed epoch."""
    np.save(tmp_path / "x.npy", X)
    path = tmp_path / "run"
    code = f"""if True:
        import numpy as np
        from diabolo import AutoEncoder
        X = np.load({str(tmp_path / "x.npy")!r})
        ae = AutoEncoder(2, hidden_layer_sizes=(5,), epochs=400, random_state=1, checkpoint={str(path)!r})
        ae.fit(X)
    """
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _package()})
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    settings = {"hidden_layer_sizes": (5,), "epochs": 400, "random_state": 1}
    assert 0 < diabolo.load(path).n_iter_ <= 400
    assert_same(AutoEncoder(2, **settings).fit(X, resume_from=path), AutoEncoder(2, **settings).fit(X), X)


def _package() -> str:
    return str(Path(diabolo.__file__).parents[1])


# ---- Refused ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_components": 3}, r"^AutoEncoder: n_components must be 2, as in the checkpoint .*run\. Got 3\.$"),
        ({"hidden_layer_sizes": (5, 4)}, r"hidden_layer_sizes must be \(5,\), .* Got \(5, 4\)\.$"),
        ({"learning_rate": 0.5}, r"learning_rate must be 0\.001, .* Got 0\.5\.$"),
        ({"optimizer": SGD()}, r"optimizer must be Adam\(.* Got SGD\("),
        ({"epochs": 7}, r"epochs must be 6, .* Got 7\.$"),
        ({"scale": "minmax"}, r"scale must be None, .* Got 'minmax'\.$"),
        ({"random_state": 4}, r"random_state must be 3, .*, or None\. Got 4\.$"),
        ({"batch_size": 33}, r"batch_size must be 32"),
    ],
    ids=str,
)
def test_other_parameters(changes: dict[str, Any], message: str, X: Any, tmp_path: Path) -> None:
    interrupted(X, tmp_path / "run", 2)
    ae = estimator(**{"epochs": EPOCHS, **changes})
    with pytest.raises(diabolo.InvalidParameterError, match=message):
        ae.fit(X, resume_from=tmp_path / "run")
    assert not ae.__sklearn_is_fitted__()


def test_equal_parameters_may_be_written_otherwise(X: Any, tmp_path: Path) -> None:
    interrupted(X, tmp_path / "run", 2)
    changes = {"optimizer": diabolo.Adam(), "hidden_layer_sizes": [np.int64(5)], "verbose": 0, "n_jobs": 3}
    resumed = estimator(epochs=EPOCHS, **changes).fit(X, resume_from=tmp_path / "run")
    assert_same(resumed, estimator(epochs=EPOCHS).fit(X), X)


def test_other_data(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted(X, path, 2)
    changed = X.copy()
    changed[77, 3] = np.nextafter(changed[77, 3], np.float32(2))
    for other, message in (
        (X[:, :5], r"^AutoEncoder: X must have 6 features, as in the checkpoint .*run\. Got 5\.$"),
        (X[:199], r"^AutoEncoder: X must be as in the checkpoint .*run: 200 rows\. Got 199 rows\.$"),
        (
            changed,
            r"^AutoEncoder: X must be as in the checkpoint .*run: the same values\. Got other values\.$",
        ),
        (X[::-1], "the same values. Got other values"),
    ):
        with pytest.raises(diabolo.InvalidDataError, match=message):
            estimator(epochs=EPOCHS).fit(other, resume_from=path)
    with pytest.raises(diabolo.InvalidDataError, match=r"the validation rows .* not given\. Got given"):
        estimator(epochs=EPOCHS).fit(X, X_val=X[:5], resume_from=path)


def test_other_data_of_which_a_part_validates(X: Any, tmp_path: Path) -> None:
    """Messages count all rows of X; and a value that differs in either part is one of X."""
    changes = {"validation_fraction": 0.2, "epochs": EPOCHS}
    path = tmp_path / "run"
    interrupted(X, path, 2, **changes)
    with pytest.raises(diabolo.InvalidDataError, match=r": X must be as .*run: 200 rows\. Got 199 rows\.$"):
        estimator(**changes).fit(X[:199], resume_from=path)
    for row in range(0, 200, 20):
        changed = X.copy()
        changed[row, 3] += 0.5
        with pytest.raises(
            diabolo.InvalidDataError, match=r": X must be as .* the same values\. Got other values\.$"
        ):
            estimator(**changes).fit(changed, resume_from=path)
    interrupted_fit(estimator(epochs=EPOCHS, checkpoint=path), X, 2, X_val=X[:5])
    with pytest.raises(diabolo.InvalidDataError, match=r"the validation rows .*run: given\. Got not given"):
        estimator(epochs=EPOCHS).fit(X, resume_from=path)


def test_digits_beyond_float32_count(tmp_path: Path) -> None:
    """A second matters in time stamps, which scaling reads in double precision."""
    X = 1.7e9 + np.arange(60.0).reshape(20, 3)
    interrupted(X, tmp_path / "run", 1, scale="minmax")
    later = X.copy()
    later[7, 1] += 0.5
    with pytest.raises(diabolo.InvalidDataError, match="Got other values"):
        estimator(epochs=EPOCHS, scale="minmax").fit(later, resume_from=tmp_path / "run")


def test_files_that_are_no_checkpoints(X: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        estimator().fit(X, resume_from=tmp_path / "nothing")
    estimator().fit(X).save(tmp_path / "model")
    with pytest.raises(diabolo.ModelFileError, match="no checkpoint of a run"):
        estimator().fit(X, resume_from=tmp_path / "model")


DAMAGE: dict[str, Any] = {
    "no seed": lambda f, t: f.pop("seed"),
    "no last epoch": lambda f, t: f.pop("last"),
    "last epoch of another type": lambda f, t: f["last"].update(epoch="2"),
    "last epoch beyond the history": lambda f, t: f["last"].update(epoch=9),
    "negative epoch": lambda f, t: f["last"].update(epoch=-1),
    "rows of another type": lambda f, t: f.update(rows=7),
    "a moment too few": lambda f, t: t.pop("moments.1.encoder.0.bias"),
    "no moments": lambda f, t: [t.pop(name) for name in list(t) if name.startswith("moments.")],
    "a moment of another shape": lambda f, t: t.update({"moments.0.encoder.0.bias": np.zeros(4, np.float32)}),
    "a moment that is not finite": lambda f, t: t["moments.0.encoder.0.bias"].fill(np.nan),
    "a third moment": lambda f, t: t.update({"moments.7.encoder.0.bias": np.zeros(5, np.float32)}),
    "an unknown tensor": lambda f, t: t.update({"best.x": np.zeros(5, np.float32)}),
    "an overflowing seed": lambda f, t: f.update(seed=2**70),
    "a seed of another type": lambda f, t: f.update(seed="1"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_checkpoints(case: str, X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupted(X, path, 2)
    metadata, tensors = _core.read_model_file(str(path))
    facts = json.loads(metadata["checkpoint"])
    DAMAGE[case](facts, tensors)
    _core.write_model_file(str(path), {**metadata, "checkpoint": json.dumps(facts)}, tensors)
    ae = estimator(epochs=EPOCHS, random_state=None)
    with pytest.raises(ValueError, match=r"run"):
        ae.fit(X, resume_from=path)
    assert not ae.__sklearn_is_fitted__()


def test_without_the_best_epoch(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    changes = VARIANTS["best epoch"]
    interrupted(X, path, 2, **changes)
    metadata, tensors = _core.read_model_file(str(path))
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("best.")}
    assert len(kept) < len(tensors)
    _core.write_model_file(str(path), metadata, kept)
    with pytest.raises(diabolo.ModelFileError, match="run: the file lacks the weights of the best epoch"):
        estimator(epochs=EPOCHS, **changes).fit(X, resume_from=path)


def test_bad_parameters(X: Any, tmp_path: Path) -> None:
    for changes, message in (
        ({"checkpoint": 3}, "checkpoint must be None or the path of a file. Got 3"),
        ({"checkpoint": ""}, "checkpoint must be None or the path of a file"),
        ({"checkpoint": "a\0b"}, "checkpoint must be None or the path of a file"),
        ({"checkpoint": tmp_path / "run", "checkpoint_every": 0}, "checkpoint_every must be an int >= 1"),
    ):
        with pytest.raises(diabolo.InvalidParameterError, match=message):
            estimator(**changes).fit(X)
    with pytest.raises(FileNotFoundError):
        estimator(checkpoint=tmp_path / "nowhere" / "run").fit(X)

    class Mine(AutoEncoder):
        pass

    with pytest.raises(TypeError, match="Mine: save knows"):
        Mine(2, checkpoint=tmp_path / "run").fit(X)
    assert list(tmp_path.iterdir()) == []


# ---- Fingerprints ----


@pytest.mark.parametrize("count", [1, 31, 32, 33, 500])
def test_fingerprints(count: int) -> None:
    X = np.random.default_rng(0).random((count, 7))
    expected = _core.Rows(X).fingerprint(1)
    for threads in (2, 5):
        assert _core.Rows(X).fingerprint(threads) == expected
    assert _core.Rows(np.asfortranarray(X)).fingerprint(2) == expected
    assert _core.Rows(np.vstack([X, X])).slice(0, count).fingerprint(2) == expected
    changed = X.copy()
    changed[-1, -1] += 1e-16 + np.spacing(changed[-1, -1])
    assert _core.Rows(changed).fingerprint(1) != expected


@pytest.mark.parametrize(
    "kind",
    [
        diabolo.ContractiveAutoEncoder(2, hidden_layer_sizes=(4,)),
        diabolo.DenoisingAutoEncoder(2),
        diabolo.SparseAutoEncoder(4),
        diabolo.SparseAutoEncoder(4, sparsity="top_k", k=2),
        diabolo.VariationalAutoEncoder(2, kl_warmup_epochs=3),
    ],
    ids=repr,
)
def test_every_kind_resumes(kind: AutoEncoder, X: Any, tmp_path: Path) -> None:
    """Noise is a function of the step of the whole run; another hyper-parameter of the kind is refused."""
    kind.set_params(epochs=EPOCHS, random_state=0, batch_size=32)
    whole = clone(kind).fit(X)
    cut = interrupted_fit(clone(kind).set_params(checkpoint=tmp_path / "run"), X, 2)
    assert cut.n_iter_ == 2
    assert_same(clone(kind).fit(X, resume_from=tmp_path / "run"), whole, X)
    own = next(name for name in type(kind)._own_rules if isinstance(getattr(kind, name), float))
    with pytest.raises(diabolo.InvalidParameterError, match=f"{own} must be .* as in the checkpoint"):
        clone(kind).set_params(**{own: 0.25 + getattr(kind, own) / 2}).fit(X, resume_from=tmp_path / "run")
