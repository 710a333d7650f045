"""What goes wrong in fit: divergence, interrupts, memory. The estimator is then as it was, or wholly new."""

import gc
import math
import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import diabolo
from diabolo import SGD, AutoEncoder, _core
from estimator_helpers import estimator

LONG = 10**6  # epochs: far longer than any test waits, and yet an end


@pytest.fixture(autouse=True)
def no_callbacks_of_the_garbage_collector() -> Iterator[None]:
    # Python discards an exception that a signal handler raises inside one, and Hypothesis installs one.
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


def everything(ae: AutoEncoder) -> dict[str, Any]:
    """Return all that a user can see of a fitted estimator, parameters apart."""
    facts = {name: getattr(ae, name) for name in ("history_", "n_iter_", "n_features_in_", "stop_reason_")}
    return {**facts, **{name: weight.tobytes() for name, weight in ae.get_weights().items()}}


# ---- Failing fits ----


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ae, X: ae.set_params(n_components=0).fit(X),
        lambda ae, X: ae.set_params(n_components=2**50).fit(X),
        lambda ae, X: ae.fit(X * math.nan),
        lambda ae, X: ae.fit(X, X_val=X[:, :2]),
        lambda ae, X: ae.set_params(optimizer="sgd", learning_rate=1e20).fit(X),
    ],
)
def test_a_failing_fit_leaves_the_fitted_model(spoil: Callable[..., Any], X: Any) -> None:
    ae = estimator().fit(X)
    before = everything(ae)
    with pytest.raises((ValueError, MemoryError, FloatingPointError)):
        spoil(ae, X)
    assert everything(ae) == before
    fresh = estimator()
    with pytest.raises((ValueError, MemoryError, FloatingPointError)):
        spoil(fresh, X)
    assert not fresh.__sklearn_is_fitted__()


def test_divergence_at_once(X: Any) -> None:
    ae = estimator(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(diabolo.TrainingDivergedError) as caught:
        ae.fit(X)
    error = caught.value
    assert isinstance(error, FloatingPointError)
    assert (error.epoch, error.weights) == (1, None)
    assert error.step is not None
    assert 1 <= error.step <= 7
    assert re.match(
        r"AutoEncoder: training diverged in epoch 1, step \d: (the loss|a weight) is not finite\. "
        r"Likely causes: learning_rate=1e\+30 is too high; .*clip_norm.*scale='standard'",
        str(error),
    )
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.epoch, copied.step) == (str(error), error.epoch, error.step)


def test_divergence_carries_the_weights_of_the_last_completed_epoch(X: Any) -> None:
    # A rate with which each step, here an epoch, overshoots by more than the last.
    def make(epochs: int) -> AutoEncoder:
        return estimator(optimizer=SGD(), learning_rate=5.0, batch_size=200, epochs=epochs)

    with pytest.raises(diabolo.TrainingDivergedError) as caught:
        make(1000).fit(X)
    error = caught.value
    assert error.weights is not None
    assert error.epoch > 1
    weights = make(error.epoch - 1).fit(X).get_weights()
    assert weights.keys() == error.weights.keys()
    for name in weights:
        np.testing.assert_array_equal(weights[name], error.weights[name])


def test_a_validation_loss_that_is_not_finite(X: Any) -> None:
    ae = estimator(scale="standard")
    with pytest.raises(
        diabolo.TrainingDivergedError, match="epoch 1: the validation loss is not finite"
    ) as caught:
        ae.fit(X, X_val=np.full((3, 6), 1e38))
    assert (caught.value.epoch, caught.value.step) == (1, None)
    assert caught.value.weights is not None


# ---- Memory ----


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_components": 2**40}, "n_components"),
        ({"n_components": 2**62}, "n_components"),
        ({"n_components": 2**63 - 1, "hidden_layer_sizes": (2**63 - 1,)}, "n_components"),
        ({"hidden_layer_sizes": (10**7, 10**7)}, "hidden_layer_sizes"),
        ({"decoder_layer_sizes": (2**60,)}, "decoder_layer_sizes"),
    ],
)
def test_widths_beyond_the_memory(changes: Any, name: str, X: Any) -> None:
    started = time.monotonic()
    with pytest.raises(
        MemoryError, match=f"^AutoEncoder: {name} must be .*bytes.* are available. Got "
    ) as error:
        estimator(**changes).fit(X)
    assert time.monotonic() - started < 1
    assert str(changes[name]) in str(error.value)


def test_rows_beyond_the_memory(monkeypatch: Any) -> None:
    rows = np.broadcast_to(np.float32(0.5), (3_000_000, 2))  # which themselves take four bytes
    monkeypatch.setattr(_core, "available_memory", lambda: 20_000_000)
    with pytest.raises(MemoryError, match=r"shuffle must be 'blocks' or False for so many rows \(3000000\)"):
        estimator().fit(rows)
    estimator(shuffle="blocks", epochs=1, batch_size=10_000).fit(rows)


# ---- Interrupts ----


def interrupt_after(seconds: float) -> list[float]:
    """Send this process SIGINT; return a list that will hold the time it was sent."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(seconds, send).start()
    return sent


def delay_of_interrupt(fit: Callable[[], object], after: float = 0.4) -> float:
    """Return how long an interrupt takes to end a fit that would last far longer."""
    sent = interrupt_after(after)
    with pytest.raises(KeyboardInterrupt):
        fit()
    return time.monotonic() - sent[0]


@pytest.mark.parametrize("verbose", [0, 2])
@pytest.mark.parametrize("validation_fraction", [0.0, 0.5])
def test_interrupt_keeps_the_last_completed_epoch(
    verbose: int, validation_fraction: float, X: Any, capfd: Any
) -> None:
    X = np.tile(X, (10, 1))  # an epoch is done within 0.4 s on the busiest machine
    ae = estimator(epochs=LONG, verbose=verbose, validation_fraction=validation_fraction)
    assert delay_of_interrupt(lambda: ae.fit(X)) < 0.2
    assert ae.stop_reason_ == "interrupted"
    assert ae.n_iter_ > 0
    assert {len(values) for values in ae.history_.values()} == {ae.n_iter_}
    assert np.isfinite(ae.history_["loss"]).all()
    same = estimator(epochs=ae.n_iter_, validation_fraction=validation_fraction).fit(X)
    assert all(np.array_equal(weight, same.get_weights()[name]) for name, weight in ae.get_weights().items())
    assert ae.history_["loss"] == same.history_["loss"]
    if validation_fraction:
        assert ae.history_["val_loss"][:-1] == same.history_["val_loss"][:-1]
        last = ae.history_["val_loss"][-1]
        assert last == same.history_["val_loss"][-1] or math.isnan(last)
    copied = pickle.loads(pickle.dumps(ae))
    assert copied.stop_reason_ == "interrupted"
    assert ae.set_params(epochs=2, verbose=0).fit(X).stop_reason_ == "epochs"


@pytest.mark.parametrize(
    ("rows", "batch_size"),
    [pytest.param(10_000, 16, id="long_epoch"), pytest.param(10_000, 10_000, id="large_batch")],
)
def test_interrupt_inside_the_first_epoch(rows: int, batch_size: int, X: Any) -> None:
    wide = np.random.default_rng(0).random((rows, 512), dtype=np.float32)
    delays = []
    for _ in range(3):  # a busy machine may be late once
        ae = estimator(n_components=512, hidden_layer_sizes=(4096,), batch_size=batch_size)
        delays.append(delay_of_interrupt(lambda ae=ae: ae.fit(wide)))
        assert not ae.__sklearn_is_fitted__()
        if delays[-1] < 0.2:
            break
    assert min(delays) < 0.2
    ae = estimator().fit(X)
    before = everything(ae)
    ae.set_params(n_components=512, hidden_layer_sizes=(4096,), batch_size=batch_size)
    delay_of_interrupt(lambda: ae.fit(wide))
    assert everything(ae) == before


def test_interrupt_of_predictions(X: Any) -> None:
    ae = estimator(n_components=256, hidden_layer_sizes=(4096,), epochs=1).fit(X)
    many = np.broadcast_to(X[0], (100_000, 6))
    for method in (ae.transform, ae.reconstruct, ae.score_samples):
        assert min(delay_of_interrupt(lambda method=method: method(many), 0.1) for _ in range(2)) < 0.2


def test_interrupt_between_the_end_of_an_epoch_and_its_record(X: Any, monkeypatch: Any) -> None:
    from diabolo._fitting import TrainingRun

    record = TrainingRun._record
    calls = []

    def interrupted_once(self: Any, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            self.history["loss"].append(0.0)  # in the middle of it
            raise KeyboardInterrupt
        return record(self, *arguments)

    monkeypatch.setattr(TrainingRun, "_record", interrupted_once)
    ae = estimator(epochs=10, validation_fraction=0.2)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(X)
    assert (ae.n_iter_, ae.stop_reason_) == (3, "interrupted")
    assert math.isnan(ae.history_["val_loss"][-1])
    monkeypatch.undo()
    same = estimator(epochs=3, validation_fraction=0.2).fit(X)
    assert ae.history_["loss"] == same.history_["loss"]
    assert all(np.array_equal(weight, same.get_weights()[name]) for name, weight in ae.get_weights().items())


def test_another_exception_from_a_signal_handler_is_an_error(X: Any) -> None:
    class Alarm(Exception):
        pass

    def ring(number: int, frame: Any) -> None:
        raise Alarm

    ae = estimator().fit(X)
    before = everything(ae)
    old = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        started = time.monotonic()
        with pytest.raises(Alarm):
            ae.set_params(epochs=LONG).fit(X)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - started < 0.6
    assert everything(ae) == before


def test_fits_outside_the_main_thread_are_not_interrupted(X: Any) -> None:
    results: list[AutoEncoder] = []
    thread = threading.Thread(target=lambda: results.append(estimator().fit(X)))
    thread.start()
    thread.join(60)
    assert everything(results[0]).keys() == everything(estimator().fit(X)).keys()
    assert results[0].get_weights()["encoder.0.kernel"].tobytes() == (
        estimator().fit(X).get_weights()["encoder.0.kernel"].tobytes()
    )
