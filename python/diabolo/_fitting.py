"""The run over epochs: validation, callbacks, what stops it, and what remains when it is cut short."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from diabolo import _core
from diabolo._callbacks import TrainingState, notify
from diabolo._checkpoint import RunState
from diabolo._progress import Progress
from diabolo._types import Poll
from diabolo.exceptions import TrainingDivergedError


class Outcome(NamedTuple):
    """A trained model and how it came about."""

    model: _core.Model
    history: dict[str, tuple[float, ...]]
    stop_reason: str


class EpochReport(Protocol):
    """How an epoch went; epochs and steps count from 0."""

    @property
    def outcome(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def reconstruction_loss(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def measures(self) -> Mapping[str, float]: ...


class EpochTrainer(Protocol):
    """What trains an epoch a call: `_core.Trainer` over one table, `BlockTrainer` over blocks."""

    def set_learning_rate(self, rate: float) -> None: ...
    def measure_names(self) -> list[str]: ...
    def run_epoch(self, poll: Poll | None) -> EpochReport: ...
    def validation_losses(self) -> tuple[float, float]: ...
    def keep_best(self) -> None: ...
    def best_model(self) -> _core.Model: ...
    def completed_model(self) -> _core.Model | None: ...
    def completed_report(self) -> EpochReport | None: ...


class _OutOfTime(Exception):
    """`max_seconds` are over, in the middle of an epoch."""


Shuffle = Literal["rows", "blocks", "none"]
SHUFFLES: dict[object, Shuffle] = {True: "rows", "blocks": "blocks", False: "none"}


def new_trainer(
    parameters: Any,
    model: _core.Model,
    rows: _core.Rows,
    validation_rows: _core.Rows | None,
    seed: int,
    threads: int,
    *,
    sum_features: bool = False,
    stored_only: bool = False,
    learning_rate: float | None = None,
    schedule: _core.Schedule | None = None,
    updates_before: int = 0,
    targets: _core.Targets | None = None,
    validation_targets: _core.Targets | None = None,
) -> _core.Trainer:
    """Return a trainer with these (checked) hyper-parameters, or with another rate and schedule."""
    p = parameters
    rule = p.optimizer._update_rule()
    return _core.Trainer(
        model,
        rows,
        validation_rows,
        loss=p.loss,
        sum_features=sum_features,
        stored_only=stored_only,
        batch_size=min(p.batch_size, rows.count),
        epochs=p.epochs,
        learning_rate=p.learning_rate if learning_rate is None else learning_rate,
        schedule=p.schedule._core_schedule() if schedule is None else schedule,
        rule=rule.lazy() if getattr(p, "lazy_adam", False) else rule,
        l1=p.l1,
        l2=p.l2,
        clip_norm=p.clip_norm or 0.0,  # 0: no clipping
        shuffle=SHUFFLES[p.shuffle],
        seed=seed,
        threads=threads,
        updates_before=updates_before,
        targets=targets,
        validation_targets=validation_targets,
    )


class TrainingRun:
    """Runs a trainer to the end of its epochs, or until something stops it.

    Parameters
    ----------
    estimator
        What callbacks are shown.
    fitted : callable
        Makes what `estimator._fitted` would be of an Outcome, for callbacks that want a snapshot.
    """

    def __init__(
        self,
        estimator: Any,
        parameters: Any,
        trainer: EpochTrainer,
        fitted: Callable[[Outcome], Any],
        *,
        validates: bool,
        progress: Progress,
        resumed: RunState | None = None,
        save_checkpoint: Callable[[RunState], None] | None = None,
    ) -> None:
        self.owner = type(estimator).__name__
        self.estimator = estimator
        self.fitted = fitted
        self.parameters = parameters
        self.trainer = trainer
        self.validates = validates
        self.progress = progress
        names = ["loss", "reconstruction_loss"]
        names += trainer.measure_names()
        names += ["val_loss", "val_reconstruction_loss"] if validates else []
        # Lists of floats, and no object per epoch: those would set the garbage collector to work again and
        # again in a fit of very many short epochs.
        self.history: dict[str, list[float]] = {name: [] for name in (*names, "learning_rate", "seconds")}
        self.best_loss, self.epochs_since_best = math.inf, 0
        self.save_checkpoint = save_checkpoint
        if resumed is not None:
            self.history = {name: list(resumed.history[name]) for name in self.history}
            progress.epoch = len(self.history["loss"])
            self.best_loss, self.epochs_since_best = resumed.best_loss, resumed.epochs_since_best
        # A checkpoint's history tells it again what the run had told it.
        self.plateau = parameters.schedule._follower()
        for loss in (*getattr(parameters, "earlier_losses", ()), *self.history[self._followed_loss()]):
            self._follow(loss)
        self.started = self.epoch_started = time.perf_counter()

    def run(self) -> Outcome:
        """Train; raise TrainingDivergedError, or whatever a signal handler or a callback raises."""
        try:
            stop_reason = "callback" if self._notify("on_fit_begin", None) else None
            stop_reason = self._run_epochs(stop_reason)
            model = self._final_model()
            self._notify("on_fit_end", stop_reason, model)
            return Outcome(model, self._history(), stop_reason)
        finally:
            self.progress.close()

    def interrupted(self) -> Outcome | None:
        """Return the outcome of the epochs that were completed; None if not even one was."""
        report, model = self.trainer.completed_report(), self.trainer.completed_model()
        if report is None or model is None:
            return None
        recorded = min(len(values) for values in self.history.values())
        if recorded == report.epoch:  # it came between the end of the epoch and the end of its record
            for values in self.history.values():
                del values[recorded:]
            self._record(report, (math.nan, math.nan) if self.validates else None)
        return Outcome(model, self._history(), "interrupted")

    def _run_epochs(self, stop_reason: str | None) -> str:
        """Train until an epoch has brought a reason to stop, or has been the last; return the reason."""
        p = self.parameters
        poll = self.progress.poll if p.max_seconds is None else self._poll_the_clock
        for _ in range(len(self.history["loss"]), p.epochs):
            if self._has_ceased_to_improve():
                break
            self.epoch_started = time.perf_counter()
            if self.plateau is not None:
                self.trainer.set_learning_rate(p.learning_rate * self.plateau.factor)
            try:
                report = self.trainer.run_epoch(poll)
            except _OutOfTime:
                return "max_seconds"
            if report.outcome != "completed":
                raise self._diverged(report)
            training_seconds = time.perf_counter() - self.epoch_started
            validation = self._validation_losses(report)
            self._record(report, validation)
            self._follow(self.history[self._followed_loss()][-1])
            val_loss = None if validation is None else validation[0]
            self.progress.epoch_done(report.loss, val_loss, training_seconds)
            if p.early_stopping and val_loss is not None:
                self._compare_with_best(val_loss, report.epoch)
            self._checkpoint(report)
            told_to_stop = self._notify("on_epoch_end", None)
            if self._has_ceased_to_improve():
                break
            if told_to_stop or stop_reason is not None:
                return "callback"
            if self._out_of_time():
                return "max_seconds"
        return "early_stopping" if self._has_ceased_to_improve() else "epochs"

    def _followed_loss(self) -> str:
        return "val_loss" if self.validates else "loss"

    def _follow(self, loss: float) -> None:
        if self.plateau is not None and not math.isnan(loss):
            self.plateau.add(loss)

    def _compare_with_best(self, val_loss: float, epoch: int) -> None:
        if val_loss < self.best_loss - self.parameters.min_delta or epoch == 0:
            self.best_loss, self.epochs_since_best = val_loss, 0
            self.trainer.keep_best()
        else:
            self.epochs_since_best += 1

    def _has_ceased_to_improve(self) -> bool:
        p = self.parameters
        return bool(p.early_stopping and self.epochs_since_best >= p.patience)

    def _checkpoint(self, report: EpochReport) -> None:
        p = self.parameters
        if self.save_checkpoint is None:
            return
        assert isinstance(report, _core.EpochReport)  # blocks have no checkpoints
        done = report.epoch + 1
        if done % p.checkpoint_every == 0 or done == p.epochs or self._has_ceased_to_improve():
            self.save_checkpoint(RunState(self.history, report, self.best_loss, self.epochs_since_best))

    def _final_model(self) -> _core.Model:
        if self.parameters.epochs == 0:  # pretrained alone
            self.trainer.keep_best()
        best = self.parameters.early_stopping or self.parameters.epochs == 0
        model = self.trainer.best_model() if best else self.trainer.completed_model()
        assert model is not None  # an epoch was completed
        return model

    def _out_of_time(self) -> bool:
        limit = self.parameters.max_seconds
        return limit is not None and time.perf_counter() - self.started >= limit

    def _poll_the_clock(self, rows: int, loss: float) -> None:
        # The first epoch is always completed: before, there is no model to keep.
        if self.history["loss"] and self._out_of_time():
            raise _OutOfTime
        if self.progress.poll is not None:
            self.progress.poll(rows, loss)

    def _notify(self, event: str, stop_reason: str | None, model: _core.Model | None = None) -> bool:
        callbacks = self.parameters.callbacks
        if not callbacks:
            return False
        history = self._history()
        state = TrainingState(
            self.estimator,
            self.parameters.epochs,
            history,
            stop_reason,
            self.trainer.completed_model if model is None else lambda: model,
            lambda trained: self.fitted(Outcome(trained, history, stop_reason or "snapshot")),
        )
        return notify(callbacks, event, state)

    def _validation_losses(self, report: EpochReport) -> tuple[float, float] | None:
        if not self.validates:
            return None
        losses = self.trainer.validation_losses()
        if not all(map(math.isfinite, losses)):
            raise self._error("the validation loss is not finite", report.epoch, None)
        return losses

    def _record(self, report: EpochReport, validation: tuple[float, float] | None) -> None:
        history = self.history
        history["loss"].append(report.loss)
        history["reconstruction_loss"].append(report.reconstruction_loss)
        for name, value in report.measures.items():
            history[name].append(value)
        if validation is not None:
            history["val_loss"].append(validation[0])
            history["val_reconstruction_loss"].append(validation[1])
        history["learning_rate"].append(report.learning_rate)
        history["seconds"].append(time.perf_counter() - self.epoch_started)

    def _history(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(values) for name, values in self.history.items()}

    def _diverged(self, report: EpochReport) -> TrainingDivergedError:
        what = {"loss_not_finite": "the loss is not finite", "weight_not_finite": "a weight is not finite"}
        return self._error(what[report.outcome], report.epoch, report.step)

    def _error(self, what: str, epoch: int, step: int | None) -> TrainingDivergedError:
        model = self.trainer.completed_model()
        where = f"epoch {epoch + 1}" + ("" if step is None else f", step {step + 1}")
        return TrainingDivergedError(
            f"{self.owner}: training diverged in {where}: {what}. {self._likely_causes()} "
            "The estimator is as it was before fit; "
            "this error's `weights` are those of the last completed epoch, if there was one.",
            weights=None if model is None else model.get_weights(),
            epoch=epoch + 1,
            step=None if step is None else step + 1,
        )

    def _likely_causes(self) -> str:
        p = self.parameters
        causes = [f"learning_rate={p.learning_rate:g} is too high"]
        if p.clip_norm is None:
            causes.append("single gradients are huge (clip_norm=1.0 bounds them)")
        if p.scale is None:
            causes.append("X has very large values (scale='standard' or 'minmax' brings them to about 1)")
        return "Likely causes: " + "; ".join(causes) + "."
