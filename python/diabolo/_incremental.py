"""Training that goes on: shared steps of all fits, `partial_fit`, and fits over blocks of rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from diabolo import _core
from diabolo._architecture import Architecture
from diabolo._blocks import Blocks, BlockTrainer, check_reading
from diabolo._checkpoint import RunState
from diabolo._column_groups import groups_of
from diabolo._fitted import Fitted, Fitting, Scaler, model_of
from diabolo._fitting import EpochTrainer, Outcome, TrainingRun
from diabolo._inputs import Table, as_table, check_features
from diabolo._kind import Kind
from diabolo._layers import DenseLayer, GaussianCodeLayer, Layer, label
from diabolo._memory import check_memory
from diabolo._parameters import check_validation
from diabolo._precision import warn_of_precision
from diabolo._progress import Lines, Progress
from diabolo._random import seed_from
from diabolo._running_fits import one_at_a_time, training_threads
from diabolo._sample_weights import weighted
from diabolo._scaling import fit_scaler, fit_scaler_of_blocks, without_groups
from diabolo._validation import broken
from diabolo.exceptions import InvalidParameterError

History = Mapping[str, Sequence[float]]


class TrainingEstimator(Kind):
    """Base of estimators that train a network: on blocks of rows, and where another training ended."""

    @one_at_a_time
    def partial_fit(self, X: Any, y: object = None, *, sample_weight: Any = None) -> Self:
        """Train one epoch on X, going on where the last call ended.

        Weights, the optimiser's moments, its count of steps and running means live on from call to call;
        after `fit`, `set_weights` or loading from a file, the weights alone. The first call makes the
        network, and fixes the scaling by its rows.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            Rows; each call may bring others.
        y : object
            Ignored.
        sample_weight : array-like, shape (n_rows,), optional
            How much each row counts, as in `fit`.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule, or describes another network than the one that was fitted.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.

        Notes
        -----
        Each call is an epoch for `schedule`, which reaches its end after `epochs` of them, and adds an entry
        to `history_`. After any error, and after Ctrl-C, the estimator is as it was before the call.
        """
        owner = type(self).__name__
        p = self._checked_parameters()
        for name, value in (("early_stopping", False), ("validation_fraction", 0.0), ("checkpoint", None)):
            if getattr(p, name) != value:
                raise broken(owner, name, f"{value!r} for partial_fit", getattr(p, name))
        p.schedule_epochs, p.epochs = p.epochs, 1
        p.earlier_losses = ()
        threads = training_threads(p.n_jobs)
        before = self._fitted
        missing, sparse = p.missing == "mask", self._takes_sparse
        blocks = Blocks(
            owner,
            [weighted(as_table(X, owner, "X", missing_allowed=missing, sparse=sparse), sample_weight)],
            name="X",
            features=None if before is None else before.architecture.features,
            feature_names=None if before is None else before.fitting.feature_names,
            check=lambda table: self._check_block(p, table, threads),
            sparse=self._takes_sparse,
        )
        rows = blocks.peek().rows
        plan = self._network(rows.features, p)
        _check_goes_on(owner, "partial_fit", plan)
        check_memory(owner, p, plan, rows, threads)
        seed = seed_from(p.random_state)
        model = self._first_model(p, plan, before, lambda: fit_scaler(p.scale, rows, threads), seed, threads)
        pretraining = () if before is None else before.fitting.pretraining
        if before is None:
            model, pretraining = self._pretrained(p, plan, model, blocks.peek(), seed, threads)
        state = None if before is None else before.optimizer_state
        if before is not None and state is not None:  # else the optimizer, and its schedule, begin anew
            p.earlier_losses = before.fitting.history["loss"][-state.epochs :]
        trainer = BlockTrainer(p, model, blocks, None, seed, threads, state, sum_features=self._sums_features)

        def fitted(outcome: Outcome) -> Fitted:
            history = outcome.history if before is None else _joined(before.fitting.history, outcome.history)
            fitting = Fitting(
                p.loss, p.scale, blocks.feature_names, history, "partial_fit", pretraining, zeros=p.zeros
            )
            return Fitted(plan, outcome.model, fitting, trainer.completed_state())

        self._train(p, trainer, fitted, Progress(), validates=False)
        return self

    @one_at_a_time
    def fit_blocks(self, blocks: Any, y: object = None, *, X_val: Any = None) -> Self:
        """Train a new network on rows that come in blocks: from files, a database, a generator.

        Parameters
        ----------
        blocks : iterable, or callable that returns one
            Of array-likes of shape (rows, n_features). An epoch is one reading of all blocks, so it is read
            `epochs` times, and once more for `scale`. An iterator, such as a generator, can be read only
            once: with ``epochs=1`` and ``scale=None``.
        y : object
            Ignored.
        X_val : array-like, shape (n_validation_rows, n_features), optional
            Rows on which to compute validation losses.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule. `validation_fraction` must be 0.
        InvalidDataError
            A block cannot be used, has other features than the first, or there is none.

        Notes
        -----
        Rows are shuffled within a block, and batches end with it. Schedules change the learning rate between
        epochs, not between steps.

        If reading the blocks raises anything, that comes through, and the estimator is that of the last
        completed epoch, with ``stop_reason_ == "interrupted"``; if there was none, it is as it was. The rest
        is as in `fit`.
        """
        owner = type(self).__name__
        p = self._checked_parameters()
        if p.validation_fraction != 0:
            raise broken(owner, "validation_fraction", "0 for fit_blocks (pass X_val)", p.validation_fraction)
        if p.checkpoint is not None:
            raise broken(
                owner, "checkpoint", "None for fit_blocks (a callback can save snapshots)", p.checkpoint
            )
        check_validation(owner, p, X_val is not None)
        p.schedule_epochs = p.epochs
        threads = training_threads(p.n_jobs)
        before = self._fitted if p.warm_start else None
        source = Blocks(
            owner,
            blocks,
            name="a block",
            features=None if before is None else before.architecture.features,
            feature_names=None if before is None else before.fitting.feature_names,
            check=lambda table: self._check_block(p, table, threads),
            missing_allowed=p.missing == "mask",
            sparse=self._takes_sparse,
        )
        check_reading(owner, p, source, starts_anew=before is None)
        validation = None
        if X_val is not None:
            validation = as_table(
                X_val, owner, "X_val", missing_allowed=p.missing == "mask", sparse=self._takes_sparse
            )
        first = source.peek().rows
        plan = self._network(first.features, p)
        _check_goes_on(owner, "fit_blocks", plan)
        if validation is not None:
            self._check_container(p, validation, trains=False)
            check_features(validation, plan.features, source.feature_names)
            self._check_rows(p, validation, threads)
        check_memory(owner, p, plan, first, threads)
        seed = seed_from(p.random_state)

        def scaler() -> Scaler | None:
            return fit_scaler_of_blocks(p.scale, (table.rows for table in source), threads)

        model = self._first_model(p, plan, before, scaler, seed, threads)
        validation_rows = None if validation is None else validation.rows
        trainer = BlockTrainer(
            p, model, source, validation_rows, seed, threads, None, sum_features=self._sums_features
        )
        progress = _BlockLines(p.epochs, p.verbose, trainer) if p.verbose else Progress()

        def fitted(outcome: Outcome) -> Fitted:
            names = source.feature_names
            fitting = Fitting(p.loss, p.scale, names, outcome.history, outcome.stop_reason, zeros=p.zeros)
            return Fitted(plan, outcome.model, fitting)

        self._train(p, trainer, fitted, progress, validates=validation is not None, blocks=source)
        return self

    # ---- Shared steps ----

    def _first_model(
        self,
        p: Any,
        plan: Architecture,
        before: Fitted | None,
        scaler: Callable[[], Scaler | None],
        seed: int,
        threads: int,
    ) -> _core.Model:
        """Return the model that training begins with: that of `before`, or a new one with a new scaler."""
        if before is not None:
            _check_same_network(type(self).__name__, p, plan, before)
            if plan == before.architecture:
                return before.model
            return model_of(plan, before.model.get_weights(), before.model.scaler())
        model = _core.Model(plan.core_layers(), plan.code_layers, seed, threads)
        warn_of_precision(type(self).__name__, p, model)
        shift_and_scale = scaler()
        if shift_and_scale is not None:
            model.set_scaler(*without_groups(shift_and_scale, groups_of(plan)))
        return model

    def _pretrained(
        self, p: Any, plan: Architecture, model: _core.Model, table: Table, seed: int, threads: int
    ) -> tuple[_core.Model, tuple[dict[str, tuple[float, ...]], ...]]:
        """Return what a new network learns of the rows before all its layers are trained, and how it went."""
        return model, ()

    def _train(
        self,
        p: Any,
        trainer: EpochTrainer,
        fitted: Callable[[Outcome], Fitted],
        progress: Progress,
        *,
        validates: bool,
        blocks: Blocks | None = None,
        resumed: RunState | None = None,
        save_checkpoint: Callable[[RunState], None] | None = None,
    ) -> None:
        """Run the epochs and publish the outcome; of a training cut short, the last completed epoch."""
        run = TrainingRun(
            self,
            p,
            trainer,
            fitted,
            validates=validates,
            progress=progress,
            resumed=resumed,
            save_checkpoint=save_checkpoint,
        )
        try:
            self._fitted = fitted(run.run())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or (blocks is not None and blocks.has_failed):
                outcome = run.interrupted()
                if outcome is not None:
                    self._fitted = fitted(outcome)
            raise


class _BlockLines(Lines):
    """A line for each epoch; how many rows it had is known when it is over."""

    def __init__(self, epochs: int, verbose: int, trainer: BlockTrainer) -> None:
        super().__init__(epochs, 0, paced=verbose == 1)
        self.poll = None
        self.trainer = trainer

    def epoch_done(self, loss: float, val_loss: float | None, seconds: float) -> None:
        self.rows = self.trainer.rows
        super().epoch_done(loss, val_loss, seconds)


def _check_goes_on(owner: str, method: str, plan: Architecture) -> None:
    """Refuse layers that would begin again with every block: a warm-up."""
    for layer in plan.layers:
        if isinstance(layer, GaussianCodeLayer) and layer.warmup_epochs > 0:
            raise broken(owner, "kl_warmup_epochs", f"0 for {method}", layer.warmup_epochs)


def _check_same_network(owner: str, p: Any, plan: Architecture, before: Fitted) -> None:
    """Refuse hyper-parameters of another network than the one to go on with."""
    why = "for partial_fit and warm_start=True, which go on with the network that was fitted"
    if p.scale != before.fitting.scale:
        raise broken(owner, "scale", f"{before.fitting.scale!r} {why}", p.scale)
    now, then = _shown(plan), _shown(before.architecture)
    if now != then:
        raise InvalidParameterError(
            f"{owner}: the layers must be {then} {why}. Got hyper-parameters for {now}."
        )


def _shown(plan: Architecture) -> str:
    """Return all that tells networks apart; how weights were once initialised does not."""

    def layer(of: Layer) -> str:
        if not isinstance(of, DenseLayer):
            return label(of)
        tied = f", tied to {of.tied_to}" if of.tied_to else ""
        return f"{of.name} ({of.inputs}, {of.outputs}) {of.activation}{tied}"

    return "[" + "; ".join(map(layer, plan.layers)) + "]"


def _joined(before: History, after: History) -> dict[str, tuple[float, ...]]:
    """Return one history after the other; what one of them has no entries of is NaN there."""
    lengths = len(before["loss"]), len(after["loss"])
    return {
        name: (
            *before.get(name, (math.nan,) * lengths[0]),
            *after.get(name, (math.nan,) * lengths[1]),
        )
        for name in {**before, **after}
    }
