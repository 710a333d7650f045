"""AutoEncoderClassifier: classes of rows, by an encoder pretrained on rows with and without labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from diabolo import _core
from diabolo._base import Estimator
from diabolo._fitted import Fitted
from diabolo._sample_weights import checked_weights_of_rows
from diabolo._supervised import SOFTMAX_LOSS, SupervisedEstimator, restored_supervised
from diabolo._targets import Classes, LabelledRows, Meaning, as_labels, class_numbers, classes_of
from diabolo._types import AnyArray, Float64Array
from diabolo._validation import Choice, Refused, Rule, shown
from diabolo.exceptions import InvalidDataError

# What the outputs of other classes than a row's are compared with, by loss.
_OFF = {SOFTMAX_LOSS: 0.0, "hinge": -1.0, "mse": 0.0}


class _LabelOrNone(Rule):
    """The label of rows that have none."""

    description = "None, an int or a str"

    def convert(self, value: object) -> Any:
        if value is None or isinstance(value, (int, str, np.integer)):
            return value
        raise Refused


@dataclass(kw_only=True, repr=False, eq=False)
class AutoEncoderClassifier(SupervisedEstimator):
    """A classifier whose encoder is pretrained as an autoencoder, on labelled and unlabelled rows alike.

    First a copy of `autoencoder`, of any kind, is trained on all rows. Then its encoder, as it was left, and
    a new head on top of it are trained together on the labelled rows: fine-tuned. What only the pretraining
    needed (decoder, noise, penalties on the code) is left behind.

    Parameters
    ----------
    autoencoder : AutoEncoder or another kind of autoencoder, or None, default None
        What to pretrain; it is copied, and remains as it is. Its scaling becomes the classifier's. None: one
        of 256 relu units with ``scale="standard"``, 20 epochs. If it has no `random_state` it gets one that
        follows from this estimator's.
    head_layer_sizes : sequence of int, default ()
        Widths of the head's layers between the code and the outputs, of which each class has one.
    activation : str, default "relu"
        Of the head's hidden layers.
    keep_noise : bool, default False
        Whether a `DenoisingAutoEncoder`'s noise, or that of a stacked one's first layer, goes on corrupting
        rows in the fine-tuning, which then overfits less. Never in predictions.
    dropout : float in [0, 1) or sequence of float, default 0
        Probability with which the fine-tuning sets a unit of the code, or of a hidden layer of the head, to
        0, dividing the others by 1 minus it (Srivastava et al. 2014). A sequence has one for the code and
        then one for each hidden layer. What `dropout` the autoencoder has, goes on in its hidden layers.
    loss : {"categorical_crossentropy", "hinge", "mse"}, default "categorical_crossentropy"
        Minus the logarithm of the probability of a row's class, by a softmax; or the mean over outputs of
        max(0, 1 - t y) with t = 1 for a row's class and -1 for the others; or that of (y - t)^2, t = 1 or 0.
    unlabelled : int, str or None, default None
        The label of rows that have none. None: all rows are labelled. -1 is the convention of scikit-learn's
        semi-supervised module.
    optimizer, learning_rate, schedule, l1, l2, clip_norm, shuffle
        As in `AutoEncoder`, of the fine-tuning. The penalties are on encoder and head.
    epochs : int, default 50
        Passes over the labelled rows.
    batch_size : int, default 64
        Rows per step.
    validation_fraction, early_stopping, patience, min_delta, max_seconds, callbacks
        As in `AutoEncoder`, of the fine-tuning: parts of the labelled rows, and their loss.
    random_state, n_jobs, verbose
        As in `AutoEncoder`.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels of the classes, sorted.
    history_ : dict of str to list of float
        Of the fine-tuning, an entry per epoch: "loss" (with penalties), "learning_rate", "seconds" and, with
        validation rows, "val_loss".
    pretraining_history_ : list of dict
        The `history_` of the autoencoder; those of its layers come first, if it was stacked.
    n_iter_, n_features_in_, feature_names_in_, stop_reason_
        As in `AutoEncoder`, of the fine-tuning.

    References
    ----------
    P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked denoising autoencoders", JMLR
    11, 2010. S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive auto-encoders", ICML
    2011.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import AutoEncoder, AutoEncoderClassifier
    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(300, 8))
    >>> y = np.where(random.random(300) < 0.2, X[:, 0] > 0, -1)  # four fifths without a label
    >>> classifier = AutoEncoderClassifier(AutoEncoder(16, epochs=5), unlabelled=-1, random_state=0)
    >>> classifier.fit(X, y).classes_
    array([0, 1])
    >>> classifier.predict_proba(X).shape
    (300, 2)
    """

    _in_files: ClassVar[bool] = True
    _own_rules: ClassVar[Mapping[str, Rule]] = {"loss": Choice(_OFF), "unlabelled": _LabelOrNone()}

    loss: Literal["categorical_crossentropy", "hinge", "mse"] = "categorical_crossentropy"
    unlabelled: int | str | None = None

    @property
    def classes_(self) -> AnyArray:
        """The labels of the classes, sorted (a copy)."""
        return self._classes().labels.copy()

    def predict(self, X: Any) -> AnyArray:
        """Return the class of each row.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray, shape (n_rows,)
            Of the labels' type.
        """
        outputs, _ = self._outputs(X)
        predicted: AnyArray = self._classes().labels[np.argmax(outputs, axis=1)]
        return predicted

    def decision_function(self, X: Any) -> Float64Array:
        """Return how much speaks for each class: the outputs before any softmax.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes)
            Of two classes the difference, (n_rows,): positive for ``classes_[1]``.
        """
        outputs, _ = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    @property
    def predict_proba(self) -> Callable[[Any], Float64Array]:
        """Return the probabilities of the classes, (n_rows, n_classes), in float64.

        There only with ``loss="categorical_crossentropy"``.
        """
        if self.loss != SOFTMAX_LOSS:
            raise AttributeError(
                f"{type(self).__name__}: predict_proba is there only if loss={SOFTMAX_LOSS!r}. "
                f"Got loss={self.loss!r}."
            )
        return self._probabilities

    def _probabilities(self, X: Any) -> Float64Array:
        outputs, _ = self._outputs(X)
        outputs -= outputs.max(axis=1, keepdims=True)
        np.exp(outputs, out=outputs)
        outputs /= outputs.sum(axis=1, keepdims=True)
        return outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the part of the rows whose class is predicted.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : array-like, shape (n_rows,)
            Their classes.
        sample_weight : array-like, shape (n_rows,), optional
            Weights of the rows.

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        owner = type(self).__name__
        labels = as_labels(owner, "y", y, len(predicted))
        weights = checked_weights_of_rows(owner, sample_weight, len(predicted))
        return float(np.average(predicted == labels, weights=weights))

    def _classes(self) -> Classes:
        meaning = self._require_fitted().meaning
        assert isinstance(meaning, Classes)
        return meaning

    def _labelled(self, p: Any, y: object, weights: Float64Array) -> tuple[LabelledRows, Meaning]:
        owner = type(self).__name__
        labels = as_labels(owner, "y", y, len(weights))
        classes, labelled = classes_of(owner, labels, p.unlabelled, _OFF[p.loss], weights > 0)
        # The others stand in for a class that is known; nobody looks.
        known = np.where(labelled, labels, classes.labels[0]) if not labelled.all() else labels
        return LabelledRows(np.flatnonzero(labelled), class_numbers(owner, "y", known, classes)), classes

    def _validation_targets(self, y: object, rows: int, meaning: Meaning) -> _core.Targets:
        assert isinstance(meaning, Classes)
        owner = type(self).__name__
        numbers = class_numbers(owner, "y_val", as_labels(owner, "y_val", y, rows), meaning)
        return LabelledRows(np.arange(rows), numbers).targets(meaning)

    def __sklearn_tags__(self) -> Any:
        import importlib

        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = importlib.import_module("sklearn.utils").ClassifierTags()
        return tags

    # ---- Files ----

    def _more_contents(self) -> dict[str, object]:
        classes = self._classes()
        kind = classes.labels.dtype.kind
        if kind == "O" and not all(isinstance(label, str) for label in classes.labels):
            raise InvalidDataError(
                f"{type(self).__name__}: save takes labels that are numbers or strings. "
                f"Got {shown(classes.labels)}."
            )
        dtype = "object" if kind == "O" else classes.labels.dtype.str
        return {"classes": {"dtype": dtype, "labels": classes.labels.tolist(), "off": classes.off}}

    def _restore(self, fitted: Fitted, contents: Any, classes: Mapping[str, type[Estimator]]) -> None:
        facts = contents.get("classes", dict)
        dtype = np.dtype(facts["dtype"])
        if dtype.kind not in "biufUO":
            raise ValueError(f"no labels: dtype {dtype}")
        labels = np.array(facts["labels"], dtype=dtype)
        restored_supervised(fitted, Classes(labels, float(facts["off"])), self)
