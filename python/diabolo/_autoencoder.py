"""AutoEncoder, the estimator: fit, transform and back, errors, weights. Training itself is the core's."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from diabolo import _core
from diabolo._architecture import architecture
from diabolo._base import Estimator
from diabolo._fitted import Fitted, Fitting
from diabolo._fitting import Outcome, TrainingRun, new_trainer
from diabolo._inputs import Table, as_table, check_features, check_values
from diabolo._memory import check_memory
from diabolo._parameters import METRICS, RULES, check_validation, checked_parameters
from diabolo._persistence import save_estimator
from diabolo._progress import progress_for
from diabolo._random import seed_from, split_rows
from diabolo._scaling import fit_scaler
from diabolo._types import Float32Array
from diabolo._validation import Choice, broken, checked
from diabolo._weights import checked_weights
from diabolo.exceptions import InvalidDataError
from diabolo.optimizers import Optimizer
from diabolo.schedules import Schedule


class AutoEncoder(Estimator):
    """A dense autoencoder: a network trained to reproduce its input through a code of `n_components` numbers.

    The encoder has layers of widths `hidden_layer_sizes` and then the code; the decoder mirrors them unless
    `decoder_layer_sizes` says otherwise, and ends with the features. All arithmetic is in float32, and
    float32 is what comes out. The same data, parameters and `random_state` give the same weights to the last
    bit, for any number of threads and on every CPU with fused multiply-add.

    Parameters are checked by `fit`, not before.

    Parameters
    ----------
    n_components : int, default 32
        Width of the code; it may exceed the number of features.
    hidden_layer_sizes : sequence of int, default ()
        Widths of the encoder's layers before the code.
    decoder_layer_sizes : sequence of int or None, default None
        Widths of the decoder's layers between the code and the output. None: `hidden_layer_sizes` reversed.
    activation : str, default "relu"
        Of the hidden layers: "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "prelu" (its slope
        is learned, one per unit), "gelu" (exact, by erf), "silu" or "softplus".
    code_activation : str, default "identity"
        Of the code.
    output_activation : str, default "auto"
        Of the output. "auto" is "sigmoid" for binary cross-entropy and "identity" otherwise.
    tied_weights : bool, default False
        Whether the decoder's kernels are the encoder's transposed. The decoder must mirror the encoder.
    initializer : str, default "auto"
        Of the kernels: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal" (standard
        deviation 0.05) or "orthogonal". "auto" chooses by the layer's activation: "glorot_uniform" for
        identity, sigmoid and tanh, "he_uniform" for the others.
    loss : str, default "mse"
        "mse", "mae", "huber" (its quadratic part reaches to 1) or "binary_crossentropy" (X in [0, 1]). Each
        is the mean over rows and features, of values as they are after scaling.
    optimizer : str or Optimizer, default "adam"
        "adam", "adamw", "sgd" or "rmsprop", or an object such as ``diabolo.Adam(beta_1=0.95)``.
    learning_rate : float, default 1e-3
        The learning rate that `schedule` starts from.
    schedule : str or Schedule, default "constant"
        "constant", "step", "exponential" or "cosine", or an object such as
        ``diabolo.CosineDecay(warmup_epochs=2)``.
    l1, l2 : float, default 0
        Penalties on the kernels, added to the loss: `l1` times the sum of absolute values, `l2` times the sum
        of squares.
    clip_norm : float or None, default None
        Greatest Euclidean norm of the whole gradient, penalties included; longer ones are shortened to it.
    epochs : int, default 50
        Passes over the training rows.
    batch_size : int, default 256
        Rows per step; it may exceed the number of rows.
    shuffle : bool or "blocks", default True
        True: the rows are in a new random order each epoch, by an index of 8 bytes a row. "blocks": windows
        of neighbouring rows in random order, shuffled inside; for data larger than memory. False: as they
        come.
    validation_fraction : float in [0, 1), default 0
        Part of X that is set aside to compute validation losses: rows chosen at random if `shuffle` is True,
        else the last ones. At least one row stays on either side.
    early_stopping : bool, default False
        Whether to stop when the validation loss has not fallen for `patience` epochs. The weights of the best
        epoch are kept, also if all epochs were run.
    patience : int, default 10
        Epochs to wait for a better validation loss.
    min_delta : float, default 0
        By how much a validation loss must be lower to count as better.
    scale : {None, "standard", "minmax"}, default None
        How to scale each feature on the way in: to mean 0 and standard deviation 1, or to [0, 1], by the
        training rows alone. Constant features are only shifted. Reconstructions are scaled back. (Other rows
        may come to lie somewhat outside [0, 1]; binary cross-entropy bears it.)
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seed of weights, shuffling and validation rows. None: a new one each time.
    n_jobs : int or None, default None
        Threads. None or -1: as many as the process may use (OMP_NUM_THREADS, CPU affinity, cgroup quota).
    verbose : {0, 1, 2}, default 0
        1: a progress bar on a terminal or in a notebook, else lines at intervals. 2: a line for each epoch.
        All on stderr.

    Attributes
    ----------
    history_ : dict of str to list of float
        An entry per epoch: "loss" (with penalties; the mean over the epoch's rows, as the weights changed),
        "reconstruction_loss" (without penalties), "learning_rate" (of the epoch's last step), "seconds"; with
        validation rows also "val_loss" and "val_reconstruction_loss", by the weights after the epoch (NaN if
        Ctrl-C came before they were computed).
    n_iter_ : int
        Epochs run.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str objects, shape (n_features,)
        Column names; only if X was a frame whose column names are all strings.
    stop_reason_ : str
        "epochs", "early_stopping" or "interrupted".

    Notes
    -----
    X may be a NumPy array of float16, float32, float64, any integer type or bool, with any strides, read-only
    or memory-mapped; a pandas or polars frame of such columns; or what `numpy.asarray` turns into such an
    array. It is never copied or converted as a whole. It must not change while a method runs.

    Errors are measured on scaled values, so that features with large units do not drown the others.

    References
    ----------
    G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    313, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import AutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> ae = AutoEncoder(n_components=2, hidden_layer_sizes=(16,), epochs=5, random_state=0)
    >>> ae.fit_transform(X).shape
    (200, 2)
    >>> ae.reconstruction_error(X).shape
    (200,)
    """

    _in_files: ClassVar[bool] = True

    def __init__(
        self,
        n_components: int = 32,
        *,
        hidden_layer_sizes: Sequence[int] = (),
        decoder_layer_sizes: Sequence[int] | None = None,
        activation: str = "relu",
        code_activation: str = "identity",
        output_activation: str = "auto",
        tied_weights: bool = False,
        initializer: str = "auto",
        loss: str = "mse",
        optimizer: str | Optimizer = "adam",
        learning_rate: float = 1e-3,
        schedule: str | Schedule = "constant",
        l1: float = 0.0,
        l2: float = 0.0,
        clip_norm: float | None = None,
        epochs: int = 50,
        batch_size: int = 256,
        shuffle: bool | Literal["blocks"] = True,
        validation_fraction: float = 0.0,
        early_stopping: bool = False,
        patience: int = 10,
        min_delta: float = 0.0,
        scale: Literal["standard", "minmax"] | None = None,
        # Quoted, because numpy.random is loaded at its first mention, which takes 10 ms.
        random_state: "int | np.random.Generator | np.random.RandomState | None" = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.decoder_layer_sizes = decoder_layer_sizes
        self.activation = activation
        self.code_activation = code_activation
        self.output_activation = output_activation
        self.tied_weights = tied_weights
        self.initializer = initializer
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.l1 = l1
        self.l2 = l2
        self.clip_norm = clip_norm
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.patience = patience
        self.min_delta = min_delta
        self.scale = scale
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ---- Training ----

    def fit(self, X: Any, y: object = None, *, X_val: Any = None) -> Self:
        """Train a new network on X and replace what was fitted before.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows.
        y : object
            Ignored; it is there because scikit-learn's pipelines pass it.
        X_val : array-like, shape (n_validation_rows, n_features), optional
            Rows on which to compute validation losses, instead of `validation_fraction`.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule. (A ValueError, as the next.)
        InvalidDataError
            X or X_val cannot be used: its shape or type, a value that is NaN, infinite, beyond float32, or
            outside [0, 1] for binary cross-entropy.
        MemoryError
            The network or its training would not fit into the memory available. Nothing was begun.
        TrainingDivergedError
            The loss or a weight became infinite or NaN.
        KeyboardInterrupt
            On Ctrl-C. The estimator then is that of the last completed epoch, with ``stop_reason_ ==
            "interrupted"``; if there was none, it is as it was.

        Notes
        -----
        After any other error the estimator is as it was before.
        """
        owner = type(self).__name__
        p = checked_parameters(owner, self.get_params())
        check_validation(owner, p, X_val is not None)
        threads = _thread_count(p.n_jobs)
        table = as_table(X, owner, "X")
        plan = architecture(table.rows.features, p)
        validation_table = None if X_val is None else as_table(X_val, owner, "X_val")
        if validation_table is not None:
            check_features(validation_table, plan.features, table.feature_names)
        check_memory(owner, p, plan, table.rows.count, threads)
        for checked_table in filter(None, (table, validation_table)):
            check_values(checked_table, unit_interval=_unit_interval(p.loss, p.scale), threads=threads)

        seed = seed_from(p.random_state)
        rows, validation_rows = split_rows(owner, p, table.rows, seed)
        if validation_table is not None:
            validation_rows = validation_table.rows
        scaler = fit_scaler(p.scale, rows, threads)
        model = _core.Model(plan.dense_layers(), plan.code_layers, seed, threads)
        if scaler is not None:
            model.set_scaler(*scaler)
        run = TrainingRun(
            owner,
            p,
            new_trainer(p, model, rows, validation_rows, seed, threads),
            validates=validation_rows is not None,
            progress=progress_for(p.verbose, p.epochs, rows.count),
        )

        def fitted(outcome: Outcome) -> Fitted:
            fitting = Fitting(p.loss, p.scale, table.feature_names, outcome.history, outcome.stop_reason)
            return Fitted(plan, outcome.model, fitting)

        try:
            self._fitted = fitted(run.run())
        except KeyboardInterrupt:
            outcome = run.interrupted()
            if outcome is not None:
                self._fitted = fitted(outcome)
            raise
        return self

    def fit_transform(self, X: Any, y: object = None, *, X_val: Any = None) -> Float32Array:
        """Train on X and return its codes: `fit`, then `transform`.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows.
        y : object
            Ignored.
        X_val : array-like, shape (n_validation_rows, n_features), optional
            Rows on which to compute validation losses.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)
        """
        return self.fit(X, y, X_val=X_val).transform(X)

    # ---- Using the network ----

    def transform(self, X: Any) -> Float32Array:
        """Return the codes of the rows of X.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.
        """
        fitted, table, threads = self._prepared(X)
        return fitted.model.transform(table.rows, threads)

    def inverse_transform(self, X: Any) -> Float32Array:
        """Return the reconstructions that the decoder makes of codes.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_components)
            The codes.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_features)
            In the units of the data that were fitted.
        """
        fitted, threads = self._require_fitted(), self._threads()
        table = as_table(X, type(self).__name__, "X")
        components = fitted.architecture.components
        if table.rows.features != components:
            raise InvalidDataError(
                f"{table.owner}: the codes X must have n_components={components} columns. "
                f"Got {table.rows.features}."
            )
        check_values(table, unit_interval=None, threads=threads)
        return fitted.model.inverse_transform(table.rows, threads)

    def reconstruct(self, X: Any) -> Float32Array:
        """Return what the network makes of X: `transform`, then `inverse_transform`, in one pass.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows, n_features)
            In the units of X.
        """
        fitted, table, threads = self._prepared(X)
        return fitted.model.reconstruct(table.rows, threads)

    def reconstruction_error(
        self, X: Any, *, metric: Literal["mse", "loss"] = "mse", per_feature: bool = False
    ) -> Float32Array:
        """Return how far the reconstruction of each row is from the row.

        Errors are measured on scaled values (see `scale`), so that no feature weighs more for its units.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        metric : {"mse", "loss"}, default "mse"
            The squared error, whatever the loss, or the loss that the network was trained with.
        per_feature : bool, default False
            Whether to return the squared error of each feature instead of the mean over the features.

        Returns
        -------
        ndarray of float32, shape (n_rows,) or, per feature, (n_rows, n_features)
        """
        owner = type(self).__name__
        checked(owner, "metric", Choice(METRICS), metric)
        checked(owner, "per_feature", RULES["early_stopping"], per_feature)
        loss = self._require_fitted().fitting.loss if metric == "loss" else "mse"
        if per_feature and loss != "mse":
            raise broken(owner, "metric", "'mse' when per_feature=True", metric)
        fitted, table, threads = self._prepared(X, loss)
        if per_feature:
            return fitted.model.feature_errors(table.rows, threads)
        return fitted.model.row_errors(table.rows, loss, threads)

    def score_samples(self, X: Any) -> Float32Array:
        """Return minus the mean squared error of each row: the higher, the more normal the row.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows,)
        """
        errors = self.reconstruction_error(X)
        return np.negative(errors, out=errors)

    def score(self, X: Any, y: object = None) -> float:
        """Return the mean of `score_samples`: minus the mean squared error, so that higher is better.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : object
            Ignored.

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    # ---- Weights and files ----

    def get_weights(self) -> dict[str, Float32Array]:
        """Return copies of the weights.

        Returns
        -------
        dict of str to ndarray of float32
            "encoder.0.kernel" of shape (inputs, outputs), "encoder.0.bias" and, for prelu, "encoder.0.slope"
            of shape (outputs,), then "encoder.1.kernel" and so on, and the same for "decoder". A layer with
            tied weights has no kernel of its own.
        """
        return self._require_fitted().model.get_weights()

    def set_weights(self, weights: Mapping[str, npt.ArrayLike]) -> Self:
        """Replace all weights of the fitted network.

        Parameters
        ----------
        weights : mapping of str to array-like
            With the names and shapes of `get_weights`, all finite.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            A name is missing or unknown, or an array has the wrong shape or type or is not finite. The
            estimator is then as it was.
        """
        fitted = self._require_fitted()
        self._fitted = fitted.with_weights(checked_weights(type(self).__name__, weights, fitted.architecture))
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file that `diabolo.load` reads.

        The file is replaced in one step: whenever the process dies, it holds the old estimator or the new
        one. It is in safetensors format, with a checksum and no pickle.

        Parameters
        ----------
        path : str or path-like
            The usual suffix is ".safetensors".

        Raises
        ------
        NotFittedError
            Before `fit`.
        OSError
            What the operating system says; the old file is as it was.
        TypeError
            For a subclass, which `diabolo.load` could not make again.

        Notes
        -----
        A `random_state` that is a generator is not saved; None is loaded in its place.
        """
        save_estimator(self, path)

    # ---- Shared steps ----

    def _threads(self) -> int:
        return _thread_count(checked(type(self).__name__, "n_jobs", RULES["n_jobs"], self.n_jobs))

    def _prepared(self, X: Any, loss: str = "mse") -> tuple[Fitted, Table, int]:
        """Return the fitted model, X checked against it, and the threads to use."""
        fitted, threads = self._require_fitted(), self._threads()
        table = as_table(X, type(self).__name__, "X")
        check_features(table, fitted.architecture.features, fitted.fitting.feature_names)
        unit_interval = _unit_interval(loss, fitted.fitting.scale)
        check_values(table, unit_interval=unit_interval, threads=threads)
        return fitted, table, threads


def _thread_count(jobs: int | None) -> int:
    """Return the number of threads for a (checked) `n_jobs`."""
    if jobs is None:
        return _core.usable_threads()
    # A slip such as n_jobs=10**6 must not end the process for want of threads; results do not depend on them.
    return min(jobs, 4 * (os.cpu_count() or 1) + 16)


def _unit_interval(loss: str, scale: str | None) -> str | None:
    """Return why raw values must lie in [0, 1]; None if they need not."""
    if loss != "binary_crossentropy" or scale is not None:
        return None
    return "when loss='binary_crossentropy' and scale=None (scale='minmax' brings them there)"
