"""Callbacks, the time limit, and the logs that callbacks write."""

import csv
import json
import math
import pickle
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import diabolo
from diabolo import (
    AutoEncoder,
    Callback,
    CSVLogger,
    InvalidParameterError,
    JSONLinesLogger,
    TensorBoardLogger,
    TrainingState,
)
from estimator_helpers import estimator


class Recorder(Callback):
    """Keeps the names of the events and the states."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.events: list[tuple[str, TrainingState]] = []
        self.stop_at = stop_at

    def on_fit_begin(self, state: TrainingState) -> bool:
        self.events.append(("begin", state))
        return self.stop_at == 0

    def on_epoch_end(self, state: TrainingState) -> bool:
        self.events.append(("epoch", state))
        return state.epoch == self.stop_at

    def on_fit_end(self, state: TrainingState) -> None:
        self.events.append(("end", state))


def test_what_callbacks_see(X: Any) -> None:
    recorder = Recorder()
    ae = estimator(callbacks=[recorder], validation_fraction=0.1).fit(X)
    names, states = zip(*recorder.events, strict=True)
    assert names == ("begin", "epoch", "epoch", "epoch", "end")
    assert [state.epoch for state in states] == [0, 1, 2, 3, 3]
    assert [state.stop_reason for state in states] == [None] * 4 + ["epochs"]
    assert all(state.estimator is ae and state.epochs == 3 for state in states)
    assert states[0].logs == {}
    for epoch in (1, 2, 3):
        assert states[epoch].logs == {name: values[epoch - 1] for name, values in ae.history_.items()}
    assert states[-1].history == ae.history_
    assert bits(states[-1].get_weights()) == bits(ae.get_weights())
    assert bits(ae.get_weights()) == bits(estimator(validation_fraction=0.1).fit(X).get_weights())


def bits(weights: dict[str, Any]) -> dict[str, bytes]:
    return {name: weight.tobytes() for name, weight in weights.items()}


def test_snapshots(X: Any, tmp_path: Path) -> None:
    class Saver(Callback):
        def on_fit_begin(self, state: TrainingState) -> None:
            with pytest.raises(RuntimeError, match="no epoch has been completed"):
                state.snapshot()

        def on_epoch_end(self, state: TrainingState) -> None:
            state.snapshot().save(tmp_path / f"{state.epoch}.safetensors")
            assert not state.estimator.__sklearn_is_fitted__()

    ae = estimator(callbacks=[Saver()]).fit(X)
    for epoch in (1, 2, 3):
        saved = diabolo.load(tmp_path / f"{epoch}.safetensors")
        assert bits(saved.get_weights()) == bits(estimator(epochs=epoch).fit(X).get_weights())
        assert saved.history_["loss"] == ae.history_["loss"][:epoch]
        assert saved.stop_reason_ == "snapshot"


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_returning_true_stops(stop_at: int, X: Any) -> None:
    first, second = Recorder(stop_at), Recorder()
    ae = estimator(callbacks=(first, second), epochs=10).fit(X)
    assert (ae.n_iter_, ae.stop_reason_) == (max(stop_at, 1), "callback")
    assert len(first.events) == len(second.events) == ae.n_iter_ + 2
    assert bits(ae.get_weights()) == bits(estimator(epochs=ae.n_iter_).fit(X).get_weights())


def test_the_best_weights_are_kept_when_a_callback_stops(X: Any) -> None:
    changes = {"learning_rate": 0.3, "validation_fraction": 0.3, "early_stopping": True, "patience": 99}
    ae = estimator(callbacks=[Recorder(20)], epochs=30, **changes).fit(X)
    best = int(np.argmin(ae.history_["val_loss"]))
    assert best < 18  # or the test would show nothing
    plain = estimator(epochs=best + 1, learning_rate=0.3, validation_fraction=0.3).fit(X)
    assert bits(ae.get_weights()) == bits(plain.get_weights())


@pytest.mark.parametrize("event", ["on_fit_begin", "on_epoch_end", "on_fit_end"])
def test_a_callback_that_raises(event: str, X: Any) -> None:
    class Faulty:
        pass

    def fail(self: Any, state: TrainingState) -> None:
        if event != "on_epoch_end" or state.epoch == 2:
            raise LookupError("faulty")

    setattr(Faulty, event, fail)
    for ae in (estimator(), estimator().fit(X)):
        before = dict(vars(ae))
        with pytest.raises(LookupError, match="faulty"):
            ae.set_params(callbacks=[Faulty()], epochs=4).fit(X)
        assert ae.__dict__.get("_fitted") is before.get("_fitted")
    ae.set_params(callbacks=None, epochs=3).fit(X)


def test_an_interrupt_in_a_callback_keeps_the_epoch(X: Any) -> None:
    class Interrupt(Callback):
        def on_epoch_end(self, state: TrainingState) -> None:
            if state.epoch == 2:
                raise KeyboardInterrupt

    ae = estimator(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        ae.fit(X)
    assert (ae.n_iter_, ae.stop_reason_) == (2, "interrupted")


def test_a_callback_cannot_fit_its_estimator(X: Any) -> None:
    class Refit(Callback):
        def on_epoch_end(self, state: TrainingState) -> None:
            state.estimator.fit(X)

    with pytest.raises(RuntimeError, match="fit must not be called while this AutoEncoder is being fitted"):
        estimator(callbacks=[Refit()]).fit(X)


@pytest.mark.parametrize("callbacks", [5, "log.csv", [Callback], [print], [None], {"a": Callback()}])
def test_what_is_no_callback(callbacks: Any, X: Any) -> None:
    with pytest.raises(InvalidParameterError, match="callbacks must be None or a sequence of objects with"):
        estimator(callbacks=callbacks).fit(X)


def test_callbacks_in_company(X: Any, tmp_path: Path) -> None:
    ae = estimator(callbacks=[CSVLogger(tmp_path / "a.csv"), TensorBoardLogger(tmp_path)])
    fresh = clone(ae)
    assert fresh.callbacks[0] is not ae.callbacks[0]
    assert repr(fresh.callbacks) == repr(ae.callbacks)
    ae.set_params(callbacks=[CSVLogger(tmp_path / "a.csv")]).fit(X)
    assert repr(pickle.loads(pickle.dumps(ae))) == repr(ae)
    ae.save(tmp_path / "model")
    assert diabolo.load(tmp_path / "model").callbacks is None
    ae.partial_fit(X)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2


# ---- max_seconds ----


def test_max_seconds_in_the_middle_of_an_epoch(X: Any) -> None:
    many = np.tile(X, (3000, 1))
    ae = AutoEncoder(64, hidden_layer_sizes=(256,), epochs=10**6, random_state=0, n_jobs=1, max_seconds=1e-9)
    started = time.monotonic()
    ae.fit(many[:2000])
    assert (ae.n_iter_, ae.stop_reason_) == (1, "max_seconds")
    one = clone(ae).set_params(max_seconds=None, epochs=1).fit(many[:2000])
    assert bits(ae.get_weights()) == bits(one.get_weights())
    seconds = 3 * max(one.history_["seconds"][0], 0.05)
    ae.set_params(max_seconds=seconds)
    started = time.monotonic()
    ae.fit(many[:2000])
    assert time.monotonic() - started < seconds + 1
    assert ae.stop_reason_ == "max_seconds"
    assert {len(values) for values in ae.history_.values()} == {ae.n_iter_}
    same = clone(ae).set_params(max_seconds=None, epochs=ae.n_iter_).fit(many[:2000])
    assert bits(ae.get_weights()) == bits(same.get_weights())

    # An epoch far longer than what is left of the time is broken off.
    class Wait(Callback):
        def on_epoch_end(self, state: TrainingState) -> None:
            time.sleep(max(0.0, 0.5 - sum(state.history["seconds"])))

    ae.set_params(max_seconds=0.6, callbacks=[Wait()]).fit(many[:2000])
    assert ae.stop_reason_ == "max_seconds"


def test_max_seconds_of_blocks_and_with_progress(X: Any, capsys: Any) -> None:
    ae = estimator(max_seconds=1e-9, verbose=2).fit_blocks([X, X])
    assert (ae.n_iter_, ae.stop_reason_) == (1, "max_seconds")
    ae = estimator(max_seconds=1e-9, verbose=2, early_stopping=True, validation_fraction=0.1).fit(X)
    assert (ae.n_iter_, ae.stop_reason_) == (1, "max_seconds")
    assert "epoch 1/3" in capsys.readouterr().err
    assert estimator(max_seconds=math.inf).fit(X).stop_reason_ == "epochs"
    for seconds in (0, -1, math.nan, "1"):
        with pytest.raises(InvalidParameterError, match="max_seconds must be None or a number > 0"):
            estimator(max_seconds=seconds).fit(X)


# ---- Logs ----


def test_csv(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("old\n")
    ae = estimator(callbacks=[CSVLogger(path)], validation_fraction=0.1).fit(X)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("epoch")) for row in rows] == [1, 2, 3]
    logged = {name: [float(row[name]) for row in rows] for name in rows[0]}
    assert logged == ae.history_
    ae.set_params(callbacks=[CSVLogger(path, append=True)]).fit(X)
    assert len(path.read_text().splitlines()) == 7


def test_json_lines(X: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ae = estimator(callbacks=[JSONLinesLogger(path)]).fit(X)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.pop("epoch") for line in lines] == [1, 2, 3]
    assert {name: [line[name] for line in lines] for name in lines[0]} == ae.history_
    state = TrainingState(ae, 3, {"loss": [1.0], "val_loss": [math.nan]}, None, lambda: None, lambda _: None)
    JSONLinesLogger(path).on_epoch_end(state)
    assert json.loads(path.read_text().splitlines()[-1]) == {"epoch": 1, "loss": 1.0, "val_loss": None}


def test_a_log_that_cannot_be_written_leaves_the_estimator(X: Any, tmp_path: Path) -> None:
    ae = estimator(callbacks=[CSVLogger(tmp_path / "no" / "log.csv")])
    with pytest.raises(FileNotFoundError):
        ae.fit(X)
    assert not ae.__sklearn_is_fitted__()


@pytest.mark.parametrize("package", ["tensorboardX", "tensorboard"])
def test_tensorboard_is_written_through(package: str, X: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """What each package offers is stood in for: here only which calls it gets is seen."""
    calls: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, log_dir: str) -> None:
            calls.append(("open", log_dir))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            calls.append((tag, value, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            calls.append(("close",))

    summary = types.ModuleType("tensorboard.summary")
    summary.Writer = Writer  # type: ignore[attr-defined]
    x = types.ModuleType("tensorboardX")
    x.SummaryWriter = Writer  # type: ignore[attr-defined]
    hide(monkeypatch, {"tensorboardX", "tensorboard"} - {package})
    if package == "tensorboardX":
        monkeypatch.setitem(sys.modules, "tensorboardX", x)
    else:
        monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
        monkeypatch.setitem(sys.modules, "tensorboard.summary", summary)
    ae = estimator(callbacks=[TensorBoardLogger(tmp_path)]).fit(X)
    assert calls[0] == ("open", str(tmp_path))
    assert calls[-1] == ("close",)
    for name, values in ae.history_.items():
        assert [call for call in calls if call[0] == name] == [
            (name, value, epoch) for epoch, value in enumerate(values, 1)
        ]


def hide(monkeypatch: Any, packages: set[str]) -> None:
    """Make packages that may be installed look as if they were not."""
    import importlib

    original = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        top = name.partition(".")[0]
        if top in packages:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        return original(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_without_tensorboard(X: Any, tmp_path: Path, monkeypatch: Any) -> None:
    hide(monkeypatch, {"tensorboardX", "tensorboard"})
    ae = estimator(callbacks=[TensorBoardLogger(tmp_path)])
    with pytest.raises(ImportError, match="needs the package tensorboardX or tensorboard: pip install"):
        ae.fit(X)
    assert not ae.__sklearn_is_fitted__()


def test_files_of_tensorboard(X: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    ae = estimator(callbacks=[TensorBoardLogger(tmp_path)]).fit(X)
    events = loader.EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
    np.testing.assert_allclose([e.value for e in events.Scalars("loss")], ae.history_["loss"], rtol=1e-6)
