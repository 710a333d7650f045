"""What every kind of fitted autoencoder makes of rows: codes and back, errors, scores, imputations."""

from typing import Any, Literal

import numpy as np

from diabolo import _core
from diabolo._architecture import Architecture
from diabolo._column_groups import check_probabilities
from diabolo._common_layers import takes_missing
from diabolo._encoding import Encoding, checked_values
from diabolo._fitted import Fitted
from diabolo._inputs import Table, as_table, check_features
from diabolo._kind import Kind
from diabolo._layers import DenseLayer
from diabolo._parameters import METRICS, RULES
from diabolo._sample_weights import checked_weights_of_rows
from diabolo._types import Float32Array, Float64Array
from diabolo._validation import Choice, broken, checked
from diabolo.exceptions import InvalidDataError


class Predictions(Encoding, Kind):
    """Decoding, reconstructing, scoring; `transform` is `Encoding`'s."""

    missing: Literal["error", "mask"]

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
        return checked_values(fitted.model.inverse_transform(table.rows, threads, True), table)

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
        return checked_values(fitted.model.reconstruct(table.rows, threads, True), table)

    def impute(self, X: Any) -> Float32Array | Float64Array:
        """Return X with what nobody observed, NaN, filled in by the reconstruction.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            A row that is missing entirely gets what the network makes of zeros in the scaled space.

        Returns
        -------
        ndarray, shape (n_rows, n_features)
            Of float32 if X is an array of float32 or float16, else of float64. Other values are those of X.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            The network was not fitted with ``missing="mask"``.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.
        """
        owner = type(self).__name__
        fitted, table, threads = self._prepared(X)
        if not takes_missing(fitted.architecture):
            raise broken(owner, "missing", "'mask', when the network is fitted, for impute", self.missing)
        restored = checked_values(fitted.model.reconstruct(table.rows, threads, True), table)
        filled: Float32Array | Float64Array = table.block(0, table.rows.count)
        if isinstance(table.source, np.ndarray) and table.source.dtype in (np.float16, np.float32):
            filled = filled.astype(np.float32)
        unobserved = np.isnan(filled)
        filled[unobserved] = restored[unobserved]
        return filled

    def reconstruction_error(
        self, X: Any, *, metric: Literal["mse", "loss"] = "mse", per_feature: bool = False
    ) -> Float32Array:
        """Return how far the reconstruction of each row is from the row.

        Errors are measured on scaled values (see `scale`), so that no feature weighs more for its units. With
        ``missing="mask"`` they are those of what was observed: means over these features, NaN for the others
        and for a row without any.

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
        fitted, table, threads = self._prepared(X)
        only_stored = stored_only(fitted, table)
        if per_feature:
            return checked_values(fitted.model.feature_errors(table.rows, threads, True, only_stored), table)
        interval = self._loss_interval(loss, fitted.fitting.scale)
        check_probabilities(table, loss, fitted.architecture, threads or _core.usable_threads())
        ends = None if interval is None else interval.ends
        sum_features = self._sums_features and metric == "loss"
        errors = fitted.model.row_errors(table.rows, loss, threads, True, ends, sum_features, only_stored)
        return checked_values(errors, table, interval)

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

    def score(self, X: Any, y: object = None, sample_weight: Any = None) -> float:
        """Return the mean of `score_samples`: minus the mean squared error, so that higher is better.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : object
            Ignored.
        sample_weight : array-like, shape (n_rows,), optional
            How much each row counts in the mean.

        Returns
        -------
        float
        """
        scores = self.score_samples(X)
        weights = checked_weights_of_rows(type(self).__name__, sample_weight, len(scores))
        return float(np.average(scores.astype(np.float64), weights=weights))

    # ---- Shared steps ----

    def _row_errors(self, table: Table, loss: str) -> Float32Array:
        """Return the mean error of each row in scaled units, by any of the losses that has no condition."""
        fitted, table, threads = self._prepared(table)
        only_stored = stored_only(fitted, table)
        errors = fitted.model.row_errors(table.rows, loss, threads, True, stored_only=only_stored)
        return checked_values(errors, table)

    def _prepared(self, X: Any) -> tuple[Fitted, Table, int]:
        """Return the fitted model, X as a table of its features, and the threads to use.

        Values are checked by the pass that reads them (see `checked_values`).
        """
        fitted, threads = self._require_fitted(), self._threads()
        missing = takes_missing(fitted.architecture)
        table = as_table(
            X,
            type(self).__name__,
            "X",
            missing_allowed=missing,
            sparse=self._takes_sparse and takes_sparse(fitted.architecture),
        )
        check_features(table, fitted.features, fitted.fitting.feature_names)
        if fitted.fitting.scale is not None and table.is_sparse:
            raise InvalidDataError(
                f"{table.owner}: X must be dense when scale={fitted.fitting.scale!r}, which it was fitted "
                f"with. Got sparse data, {type(table.source).__name__}."
            )
        return fitted, table, threads


def takes_sparse(plan: Architecture) -> bool:
    """Return whether a network computes everything of sparse rows; its last layer compares with them."""
    return isinstance(plan.layers[-1], DenseLayer) and not takes_missing(plan)


def stored_only(fitted: Fitted, table: Table) -> bool:
    """Return whether errors count what sparse rows store alone; refuse rows that do not tell."""
    if fitted.fitting.zeros == "values":
        return False
    if not table.is_sparse:
        raise InvalidDataError(
            f"{table.owner}: {table.name} must be sparse for errors when zeros='missing', which it was "
            "fitted with: what is missing in dense rows, nothing tells. Got dense data."
        )
    return True
