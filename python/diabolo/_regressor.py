"""AutoEncoderRegressor: values of rows, by an encoder that was pretrained on rows with and without them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from diabolo import _core
from diabolo._base import Estimator
from diabolo._fitted import Fitted
from diabolo._sample_weights import checked_weights_of_rows
from diabolo._supervised import SupervisedEstimator, restored_supervised
from diabolo._targets import LabelledRows, Meaning, Values, as_values, scale_of
from diabolo._types import Float64Array
from diabolo._validation import Choice, Flag, Rule
from diabolo.exceptions import InvalidDataError

_LOSSES = ("mse", "mae", "huber")


@dataclass(kw_only=True, repr=False, eq=False)
class AutoEncoderRegressor(SupervisedEstimator):
    """A regressor whose encoder is pretrained as an autoencoder, on rows with and without a value.

    As `AutoEncoderClassifier`, with values in the place of classes. Each output learns its values at mean 0
    and standard deviation 1, by the labelled rows, and is scaled back.

    Parameters
    ----------
    autoencoder, head_layer_sizes, activation, keep_noise, dropout
        As in `AutoEncoderClassifier`; the head has as many outputs as y has columns.
    loss : {"mse", "mae", "huber"}, default "mse"
        Of scaled values, the mean over rows and outputs.
    allow_unlabelled : bool, default False
        Whether rows whose y is NaN (in any output) count as unlabelled. Otherwise NaN is an error.
    optimizer, learning_rate, schedule, ..., verbose
        As in `AutoEncoderClassifier`.

    Attributes
    ----------
    history_, pretraining_history_, n_iter_, n_features_in_, feature_names_in_, stop_reason_
        As in `AutoEncoderClassifier`.

    References
    ----------
    As for `AutoEncoderClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import AutoEncoder, AutoEncoderRegressor
    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(300, 8))
    >>> y = np.where(random.random(300) < 0.5, X[:, 0] ** 2, np.nan)  # half of it not measured
    >>> regressor = AutoEncoderRegressor(AutoEncoder(16, epochs=5), allow_unlabelled=True, random_state=0)
    >>> regressor.fit(X, y).predict(X).shape
    (300,)
    """

    _in_files: ClassVar[bool] = True
    _own_rules: ClassVar[Mapping[str, Rule]] = {"loss": Choice(_LOSSES), "allow_unlabelled": Flag()}

    loss: Literal["mse", "mae", "huber"] = "mse"
    allow_unlabelled: bool = False

    def predict(self, X: Any) -> Float64Array:
        """Return the value of each row.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows,) or (n_rows, n_outputs), as y had it
        """
        outputs, meaning = self._outputs(X)
        assert isinstance(meaning, Values)
        outputs *= meaning.scale
        outputs += meaning.shift
        return outputs[:, 0] if meaning.one_dimensional else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the part of the variance of y that is predicted; of several outputs, the mean.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : array-like, shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : array-like, shape (n_rows,), optional
            Weights of the rows.

        Returns
        -------
        float
            1 at best. Of an output whose y is constant: 1 if it is predicted exactly, else 0.
        """
        predicted = self.predict(X)
        owner = type(self).__name__
        labelled, _ = as_values(owner, "y", y, len(predicted), allow_unlabelled=False)
        values, predicted = labelled.table, predicted.reshape(len(predicted), -1)
        if values.shape != predicted.shape:
            raise InvalidDataError(
                f"{owner}: y must have {predicted.shape[1]} columns, as what was fitted. "
                f"Got {values.shape[1]}."
            )
        weights = checked_weights_of_rows(owner, sample_weight, len(values))
        if weights is None:
            weights = np.ones(len(values))
        residual = weights @ (values - predicted) ** 2
        spread = weights @ (values - np.average(values, axis=0, weights=weights)) ** 2
        constant = spread == 0
        explained = 1.0 - residual / np.where(constant, 1.0, spread)
        return float(np.mean(np.where(constant, residual == 0, explained)))

    def _labelled(self, p: Any, y: object, weights: Float64Array) -> tuple[LabelledRows, Meaning]:
        labelled, one_dimensional = as_values(
            type(self).__name__,
            "y",
            y,
            len(weights),
            allow_unlabelled=p.allow_unlabelled,
            counting=weights > 0,
        )
        scaler = scale_of(labelled.table[labelled.indices], weights[labelled.indices])
        return labelled, Values(*scaler, one_dimensional)

    def _validation_targets(self, y: object, rows: int, meaning: Meaning) -> _core.Targets:
        owner = type(self).__name__
        labelled, _ = as_values(owner, "y_val", y, rows, allow_unlabelled=False)
        if labelled.table.shape[1] != meaning.outputs:
            raise InvalidDataError(
                f"{owner}: y_val must have {meaning.outputs} columns, as y. Got {labelled.table.shape[1]}."
            )
        return labelled.targets(meaning)

    def __sklearn_tags__(self) -> Any:
        import importlib

        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = importlib.import_module("sklearn.utils").RegressorTags()
        tags.target_tags.multi_output = True
        return tags

    # ---- Files ----

    def _more_contents(self) -> dict[str, object]:
        meaning = self._require_fitted().meaning
        assert isinstance(meaning, Values)
        return {
            "values": {
                "shift": meaning.shift.tolist(),
                "scale": meaning.scale.tolist(),
                "one_dimensional": meaning.one_dimensional,
            }
        }

    def _restore(self, fitted: Fitted, contents: Any, classes: Mapping[str, type[Estimator]]) -> None:
        facts = contents.get("values", dict)
        shift, scale = (np.array(facts[name], dtype=np.float64) for name in ("shift", "scale"))
        if (
            shift.ndim != 1
            or shift.shape != scale.shape
            or not np.isfinite(shift).all()
            or not (scale > 0).all()
        ):
            raise ValueError(f"no values: {facts!r}")
        restored_supervised(fitted, Values(shift, scale, bool(facts["one_dimensional"])), self)
