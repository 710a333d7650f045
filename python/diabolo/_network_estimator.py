"""What every kind of autoencoder shares: its hyper-parameters, and `fit`.

A kind adds hyper-parameters and their rules, and what it hands to the core where it differs: the hooks of
`Kind`. The training itself is the core's; what a fitted network is good for is in `Predictions`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from diabolo._checkpoint import RunState, extra_contents, origins_of
from diabolo._exportable import Exportable
from diabolo._files import Saved
from diabolo._fitted import Fitted, Fitting
from diabolo._fitting import Outcome, new_trainer
from diabolo._incremental import TrainingEstimator
from diabolo._inputs import as_table, check_features
from diabolo._memory import check_memory
from diabolo._named_weights import NamedWeights
from diabolo._parameters import check_validation
from diabolo._persistence import check_class, read_checkpoint, write_estimator
from diabolo._plots import Plots
from diabolo._predictions import Predictions
from diabolo._progress import progress_for
from diabolo._random import seed_from, split_rows
from diabolo._running_fits import one_at_a_time, training_threads
from diabolo._sample_weights import weighted
from diabolo._scaling import fit_scaler
from diabolo._scikit_learn import HtmlRepr, PartialFitRouting, ScoreRouting
from diabolo.optimizers import Optimizer
from diabolo.schedules import Schedule


# The generated __init__ only stores its arguments, as scikit-learn's manners ask; a kind derived from this
# one names its own hyper-parameters alone and has these too. Their meanings stand in AutoEncoder's docstring.
@dataclass(kw_only=True, repr=False, eq=False)
class NetworkEstimator(
    TrainingEstimator,
    NamedWeights,
    Saved,
    Predictions,
    HtmlRepr,
    PartialFitRouting,
    ScoreRouting,
    Plots,
    Exportable,
):
    """Base of the autoencoders: a network trained on rows, and what it makes of rows afterwards."""

    n_components: int = field(default=32, kw_only=False)
    hidden_layer_sizes: Sequence[int] = ()
    decoder_layer_sizes: Sequence[int] | None = None
    activation: str = "relu"
    initializer: str = "auto"
    optimizer: str | Optimizer = "adam"
    learning_rate: float = 1e-3
    schedule: str | Schedule = "constant"
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    epochs: int = 50
    batch_size: int = 256
    shuffle: bool | Literal["blocks"] = True
    validation_fraction: float = 0.0
    early_stopping: bool = False
    patience: int = 10
    min_delta: float = 0.0
    warm_start: bool = False
    max_seconds: float | None = None
    callbacks: Sequence[Any] | None = None
    scale: Literal["standard", "minmax"] | None = None
    zeros: Literal["values", "missing"] = "values"
    missing: Literal["error", "mask"] = "error"
    dropout: float | Sequence[float] = 0.0
    batch_norm: bool = False
    # Quoted, because numpy.random is loaded at its first mention, which takes 10 ms.
    random_state: "int | np.random.Generator | np.random.RandomState | None" = None
    n_jobs: int | None = None
    matmul_precision: str = "float32"
    verbose: int = 0
    checkpoint: "str | os.PathLike[str] | None" = None
    checkpoint_every: int = 1

    # ---- Training ----

    @one_at_a_time
    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        X_val: Any = None,
        sample_weight: Any = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train a new network on X and replace what was fitted before.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows.
        y : object
            Ignored; it is there because scikit-learn's pipelines pass it.
        X_val : array-like, shape (n_validation_rows, n_features), optional
            Rows on which to compute validation losses, instead of `validation_fraction`.
        sample_weight : array-like, shape (n_rows,), optional
            How much each row counts: the loss of a batch is the mean of the rows' losses with these weights,
            and so are means and deviations for `scale`. Rows of weight 0 are left out. Rows that
            `validation_fraction` sets aside keep their weights; those of X_val have none.
        resume_from : str or path-like, optional
            A file that an earlier run with the same data and hyper-parameters wrote as its `checkpoint`. The
            result is that of the uninterrupted run, to the last bit; `n_jobs` may differ.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule, or differs from the checkpoint's. (A ValueError, as the next.)
        ModelFileError
            `resume_from` is no checkpoint, or damaged. (A ValueError.)
        OSError
            What the operating system says of `checkpoint` or `resume_from`.
        InvalidDataError
            X or X_val cannot be used: its shape or type, a value that is NaN, infinite, beyond float32, or
            outside [0, 1] for binary cross-entropy; or they are not those of the checkpoint. `sample_weight`
            has not one finite number >= 0 for each row, or only zeros.
        MemoryError
            The network or its training would not fit into the memory available. Nothing was begun.
        TrainingDivergedError
            The loss or a weight became infinite or NaN.
        KeyboardInterrupt
            On Ctrl-C. The estimator then is that of the last completed epoch, with ``stop_reason_ ==
            "interrupted"``; if there was none, it is as it was.
        RuntimeError
            This estimator is being fitted already, by another thread.

        Notes
        -----
        After any other error the estimator is as it was before.
        """
        owner = type(self).__name__
        p = self._checked_parameters()
        check_validation(owner, p, X_val is not None)
        resumed = None if resume_from is None else read_checkpoint(resume_from, self._defaults())
        if p.checkpoint is not None:
            check_class(self)
        threads = training_threads(p.n_jobs)
        missing = p.missing == "mask"
        sparse = self._takes_sparse
        table = as_table(X, owner, "X", missing_allowed=missing, sparse=sparse)
        self._check_container(p, table)
        table = weighted(table, sample_weight)
        plan = self._network(table.rows.features, p)
        if resumed is not None:
            kind = type(self)
            resumed.check_parameters(
                owner, p, lambda given: kind(**given)._checked_parameters(), plan.features
            )
        validation_table = None
        if X_val is not None:
            validation_table = as_table(X_val, owner, "X_val", missing_allowed=missing, sparse=sparse)
            self._check_container(p, validation_table, trains=False)
            check_features(validation_table, plan.features, table.feature_names)
        check_memory(owner, p, plan, table.rows, threads)
        for checked_table in filter(None, (table, validation_table)):
            self._check_rows(p, checked_table, threads, columns=checked_table is table)

        seed = seed_from(p.random_state) if resumed is None else resumed.origins.seed
        rows, validation_rows = split_rows(owner, p, table.rows, seed)
        if validation_table is not None:
            validation_rows = validation_table.rows
        before = self._fitted if p.warm_start and resumed is None else None
        model = self._first_model(p, plan, before, lambda: fit_scaler(p.scale, rows, threads), seed, threads)
        pretraining = () if resumed is None else resumed.pretraining
        if before is None and resumed is None:
            model, pretraining = self._pretrained(p, plan, model, table._replace(rows=rows), seed, threads)
        trainer = new_trainer(
            p,
            model,
            rows,
            validation_rows,
            seed,
            threads,
            sum_features=self._sums_features,
            stored_only=p.zeros == "missing",
        )

        def fitted(outcome: Outcome) -> Fitted:
            names = table.feature_names
            fitting = Fitting(
                p.loss, p.scale, names, outcome.history, outcome.stop_reason, pretraining, zeros=p.zeros
            )
            return Fitted(plan, outcome.model, fitting)

        def save_checkpoint(state: RunState) -> None:
            now = trainer.completed_model()
            assert now is not None  # an epoch was completed
            history = {name: tuple(values) for name, values in state.history.items()}
            extra = extra_contents(trainer, state, origins, has_best=p.early_stopping)
            write_estimator(self, fitted(Outcome(now, history, "interrupted")), p.checkpoint, *extra)

        if resumed is not None or p.checkpoint is not None:
            origins = origins_of(seed, rows, validation_rows, threads)
        if resumed is not None:
            splits = validation_table is None and validation_rows is not None
            resumed.check_data(owner, origins, model.scaler(), splits=splits)
            resumed.resume(trainer, needs_best=p.early_stopping)
        self._train(
            p,
            trainer,
            fitted,
            progress_for(p.verbose, p.epochs, rows.count),
            validates=validation_rows is not None,
            resumed=None if resumed is None else resumed.state,
            save_checkpoint=None if p.checkpoint is None else save_checkpoint,
        )
        self._look_at(owner, p, self.history_)
        return self

    def fit_transform(self, X: Any, y: object = None, *, X_val: Any = None, sample_weight: Any = None) -> Any:
        """Train on X and return its codes: `fit`, then `transform`.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows.
        y : object
            Ignored.
        X_val : array-like, shape (n_validation_rows, n_features), optional
            Rows on which to compute validation losses.
        sample_weight : array-like, shape (n_rows,), optional
            How much each row counts in training; all rows are transformed.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)
            Or a frame, if `set_output` says so.
        """
        return self.fit(X, y, X_val=X_val, sample_weight=sample_weight).transform(X)

    # ---- scikit-learn's questions ----

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.input_tags.sparse &= self.scale is None and self.missing == "error"
        return tags
