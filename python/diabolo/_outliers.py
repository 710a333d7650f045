"""ReconstructionOutlierDetector: an autoencoder, and a threshold on how badly it reconstructs a row."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from diabolo import _core
from diabolo._autoencoder import AutoEncoder
from diabolo._base import Estimator
from diabolo._central_rows import central_rows
from diabolo._exportable import ExportableDetector
from diabolo._files import Saved
from diabolo._fitted import Fitted
from diabolo._inputs import Table, as_table, check_features, check_values
from diabolo._nested import NetworkOrNone, untrained_copy
from diabolo._network_estimator import NetworkEstimator
from diabolo._persistence import decoded_estimator, encoded_estimator
from diabolo._plots import HistoryPlot
from diabolo._random import RandomState, random_split, seed_from
from diabolo._running_fits import one_at_a_time
from diabolo._scikit_learn import HtmlRepr
from diabolo._thresholds import THRESHOLDS, error_threshold
from diabolo._types import Float64Array
from diabolo._validation import Choice, Real, Rule, broken, checked
from diabolo.exceptions import InvalidDataError

METRICS = ("mse", "mae")

_RULES: dict[str, Rule] = {
    "autoencoder": NetworkOrNone(),
    "contamination": Real(0.0, 0.5, above_low=True),
    "threshold": Choice(THRESHOLDS),
    "held_out_fraction": Real(0.0, 1.0, above_low=True, below_high=True),
    "tail_fraction": Real(0.0, 0.5, above_low=True),
    "support_fraction": Real(0.0, 1.0, above_low=True),
    "metric": Choice(METRICS),
    "random_state": RandomState(),
}


class _Parameters(NamedTuple):
    """The hyper-parameters, checked."""

    autoencoder: NetworkEstimator | None
    contamination: float
    threshold: str
    held_out_fraction: float
    tail_fraction: float
    support_fraction: float
    metric: str
    random_state: Any


class FittedDetector(Fitted):
    """The network's facts, the autoencoder that they belong to, and the threshold."""

    __slots__ = ("autoencoder", "metric", "offset")

    def __init__(self, autoencoder: NetworkEstimator, metric: str, offset: float) -> None:
        fitted = autoencoder._require_fitted()
        super().__init__(fitted.architecture, fitted.model, fitted.fitting)
        self.autoencoder = autoencoder
        self.metric = metric
        self.offset = offset

    def __reduce__(self) -> tuple[Any, ...]:
        return FittedDetector, (self.autoencoder, self.metric, self.offset)


def default_autoencoder(features: int, random_state: int | None = None) -> AutoEncoder:
    """Return the autoencoder for tables of few features: docs/outliers.md tells how it was chosen.

    A code far narrower than the data; the absolute error, on which the outliers among the training rows pull
    no harder than the others; bounded activations, so that rows far away from all others are not followed.
    """
    return AutoEncoder(
        n_components=min(3, features),
        hidden_layer_sizes=(64, 32),
        activation="tanh",
        loss="mae",
        learning_rate=2e-3,
        scale="standard",
        epochs=30,
        batch_size=64,
        random_state=random_state,
    )


@dataclass(kw_only=True, repr=False, eq=False)
class ReconstructionOutlierDetector(ExportableDetector, Saved, HtmlRepr, HistoryPlot):
    """An outlier detector: rows that an autoencoder reconstructs badly are unlike those it was trained on.

    A copy of `autoencoder` is trained on the central part of the rows, so that outliers among them do not
    teach it to reconstruct outliers. The score of a row is minus its reconstruction error, in scaled units;
    rows whose score is below `offset_` are outliers.

    Parameters
    ----------
    autoencoder : AutoEncoder or another kind of autoencoder, or None, default None
        What to train; it is copied, and remains as it is. None: a small one that suits most tables, with
        ``scale="standard"``; docs/outliers.md has its settings and how they were chosen.
    contamination : float in (0, 0.5], default 0.1
        The part of rows to call outliers; of which rows, `threshold` says.
    threshold : {"contamination", "quantile", "pareto"}, default "contamination"
        "contamination": `contamination` of the training rows are outliers. "quantile": of the rows that are
        like the training rows, at most `contamination` are called outliers (the false alarms); the threshold
        is a quantile of the errors of rows held out from training, by the rule of conformal prediction.
        "pareto": the same, by a generalised Pareto distribution fitted to the largest errors of the rows held
        out; for a `contamination` so small that no quantile could be counted.
    held_out_fraction : float in (0, 1), default 0.2
        The part of X to hold out, chosen at random, for "quantile" and "pareto" if `X_held_out` is not given
        to `fit`.
    tail_fraction : float in (0, 0.5], default 0.1
        The part of the held-out errors that "pareto" fits.
    support_fraction : float in (0, 1], default 0.7
        The part of the rows to train on: those nearest to the centre, by the mean distance from the features'
        medians in standard deviations. 1: all of them.
    metric : {"mae", "mse"}, default "mae"
        The error of a row: mean absolute or mean squared difference over the features.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seed of the rows held out, and of the default autoencoder. Another autoencoder has its own.

    Attributes
    ----------
    offset_ : float
        The threshold: rows whose `score_samples` is below it are outliers.
    autoencoder_ : AutoEncoder
        The trained autoencoder (a copy each time).
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str objects, shape (n_features,)
        Column names; only if X was a frame whose column names are all strings.
    history_, n_iter_, stop_reason_
        Of the training, as those of the autoencoder.

    References
    ----------
    S. Hawkins, H. He, G. Williams and R. Baxter, "Outlier detection using replicator neural networks",
    DaWaK 2002. The central rows are in the spirit of P. J. Rousseeuw and K. Van Driessen, "A fast algorithm
    for the minimum covariance determinant estimator", Technometrics 41, 1999.

    Conformal quantile: V. Vovk, A. Gammerman and G. Shafer, "Algorithmic learning in a random world", 2005.
    Pareto tail: A. Siffer, P.-A. Fouque, A. Termier and C. Largouet, "Anomaly detection in streams with
    extreme value theory", KDD 2017, with the fit of Zhang and Stephens (Technometrics 51, 2009).

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import ReconstructionOutlierDetector
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ np.ones((3, 6))
    >>> X[0] *= [1, -1, 1, -1, 1, -1]
    >>> X[0] += 9
    >>> detector = ReconstructionOutlierDetector(contamination=0.01, random_state=0).fit(X)
    >>> int(detector.predict(X)[0])
    -1
    """

    _in_files: ClassVar[bool] = True

    autoencoder: NetworkEstimator | None = field(default=None, kw_only=False)
    contamination: float = 0.1
    threshold: Literal["contamination", "quantile", "pareto"] = "contamination"
    held_out_fraction: float = 0.2
    tail_fraction: float = 0.1
    support_fraction: float = 0.7
    metric: Literal["mae", "mse"] = "mae"
    # Quoted, because numpy.random is loaded at its first mention, which takes 10 ms.
    random_state: "int | np.random.Generator | np.random.RandomState | None" = None

    # ---- Training ----

    @one_at_a_time
    def fit(self, X: Any, y: object = None, *, X_held_out: Any = None) -> Self:
        """Train the autoencoder on the central rows of X, and choose the threshold.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows; some of them may be outliers.
        y : object
            Ignored.
        X_held_out : array-like, shape (n_held_out_rows, n_features), optional
            Rows to choose the threshold by, for "quantile" and "pareto", instead of a part of X.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule. (A ValueError, as the next.)
        InvalidDataError
            X or X_held_out cannot be used, or X_held_out has too few rows for so low a contamination.
        RuntimeError
            This estimator is being fitted already, by another thread.

        Notes
        -----
        What the autoencoder's own `fit` raises comes through. After any error, and after Ctrl-C, the detector
        is as it was before.
        """
        owner = type(self).__name__
        p = self._checked_parameters()
        counts_held_out = p.threshold != "contamination"
        if X_held_out is not None and not counts_held_out:
            raise broken(owner, "threshold", "'quantile' or 'pareto' when X_held_out is given", p.threshold)
        table = as_table(X, owner, "X")
        check_values(table, threads=_core.usable_threads())
        seed = seed_from(p.random_state)
        training, held_out = table, None
        if X_held_out is not None:
            held_out = as_table(X_held_out, owner, "X_held_out")
            check_features(held_out, table.rows.features, table.feature_names)
        elif counts_held_out:
            training, held_out = _split(owner, table, p.held_out_fraction, seed)
        autoencoder = _untrained(p.autoencoder, table.rows.features, seed)
        autoencoder.fit(central_rows(training, p.support_fraction))
        errors = _errors(autoencoder, training if held_out is None else held_out, p.metric)
        offset = -error_threshold(owner, p.threshold, p.contamination, p.tail_fraction, errors)
        self._fitted = FittedDetector(autoencoder, p.metric, offset)
        return self

    def fit_predict(self, X: Any, y: object = None, *, X_held_out: Any = None) -> npt.NDArray[np.int64]:
        """Train on X and return which of its rows are outliers: `fit`, then `predict`.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : object
            Ignored.
        X_held_out : array-like, shape (n_held_out_rows, n_features), optional
            Rows to choose the threshold by.

        Returns
        -------
        ndarray of int64, shape (n_rows,)
            -1 for outliers, 1 for the others.
        """
        return self.fit(X, X_held_out=X_held_out).predict(X)

    # ---- Using it ----

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return which rows of X are outliers.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of int64, shape (n_rows,)
            -1 for outliers, whose `decision_function` is negative, 1 for the others.
        """
        return np.where(self.decision_function(X) < 0, np.int64(-1), np.int64(1))

    def decision_function(self, X: Any) -> Float64Array:
        """Return ``score_samples(X) - offset_``: negative for outliers.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows,)
        """
        scores = self.score_samples(X)
        return np.subtract(scores, self._require_fitted().offset, out=scores)

    def score_samples(self, X: Any) -> Float64Array:
        """Return minus the reconstruction error of each row: the higher, the more normal the row.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows,)

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.
        """
        fitted = self._require_fitted()
        errors = _errors(fitted.autoencoder, self._table(X), fitted.metric)
        return np.negative(errors, out=errors)

    def explain(self, X: Any) -> Float64Array:
        """Return how much each feature contributes to the error of each row.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            Not negative; a row's sum is minus its `score_samples`, to rounding.
        """
        fitted = self._require_fitted()
        squares = fitted.autoencoder.reconstruction_error(self._table(X), per_feature=True)
        contributions = squares.astype(np.float64)
        if fitted.metric == "mae":
            np.sqrt(contributions, out=contributions)
        contributions /= self.n_features_in_
        return contributions

    @property
    def offset_(self) -> float:
        """The threshold on `score_samples`."""
        return self._require_fitted().offset

    @property
    def autoencoder_(self) -> NetworkEstimator:
        """The trained autoencoder; a copy, so that whatever happens to it the detector stays as it is."""
        return copy.copy(self._require_fitted().autoencoder)

    # ---- scikit-learn's questions ----

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "outlier_detector"
        tags.transformer_tags = None
        return tags

    # ---- Shared steps ----

    def _require_fitted(self) -> FittedDetector:
        fitted = super()._require_fitted()
        assert isinstance(fitted, FittedDetector)
        return fitted

    def _checked_parameters(self) -> _Parameters:
        owner = type(self).__name__
        values = {name: checked(owner, name, rule, getattr(self, name)) for name, rule in _RULES.items()}
        p = _Parameters(**values)
        if p.threshold == "pareto" and p.contamination > p.tail_fraction:
            rule = f"at most tail_fraction={p.tail_fraction:g} when threshold='pareto'"
            raise broken(owner, "contamination", rule, p.contamination)
        return p

    def _table(self, X: Any) -> Table:
        """Return X under the detector's name, so that messages speak of what the user called."""
        fitted = self._require_fitted()
        table = as_table(X, type(self).__name__, "X")
        check_features(table, fitted.architecture.features, fitted.fitting.feature_names)
        return table

    # ---- Files ----

    def _more_contents(self) -> dict[str, object]:
        fitted = self._require_fitted()
        facts = {"metric": fitted.metric, "offset": fitted.offset}
        return {"detector": {**facts, "autoencoder": encoded_estimator(fitted.autoencoder)}}

    def _restore(self, fitted: Fitted, contents: Any, classes: Mapping[str, type[Estimator]]) -> None:
        facts = contents.get("detector", dict)
        autoencoder = decoded_estimator(facts["autoencoder"], classes)
        autoencoder._fitted = fitted
        metric = _RULES["metric"].convert(facts["metric"])
        offset = float(facts["offset"])
        if not isinstance(autoencoder, NetworkEstimator) or not math.isfinite(offset):
            raise ValueError(f"no detector: {facts!r}")
        self._fitted = FittedDetector(autoencoder, metric, offset)


def _untrained(autoencoder: NetworkEstimator | None, features: int, seed: int) -> NetworkEstimator:
    """Return a copy to train, or the default autoencoder."""
    if autoencoder is None:
        return default_autoencoder(features, seed >> 1)  # an int as users may give it has 63 bits
    return untrained_copy(autoencoder)


def _split(owner: str, table: Table, fraction: float, seed: int) -> tuple[Table, Table]:
    """Return the rows to train on, and those held out: at least one of each."""
    count = table.rows.count
    chosen = min(max(1, math.floor(count * fraction + 0.5)), count - 1)
    if chosen < 1:
        raise InvalidDataError(f"{owner}: X must have at least two rows to hold some out. Got 1.")
    training, held_out = random_split(count, chosen, seed)
    return table.take(training), table.take(held_out)


def _errors(autoencoder: NetworkEstimator, table: Table, metric: str) -> Float64Array:
    """Return the error of each row, in double precision."""
    return autoencoder._row_errors(table, metric).astype(np.float64)
