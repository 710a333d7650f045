"""The errors diabolo raises beyond Python's own; their texts are written where they are raised."""

import sys

from diabolo._core import ModelFileError
from diabolo._types import Float32Array

__all__ = [
    "InvalidDataError",
    "InvalidParameterError",
    "MatmulPrecisionWarning",
    "ModelFileError",
    "NotFittedError",
    "PosteriorCollapseWarning",
    "TrainingDivergedError",
]

ModelFileError.__doc__ = "The file is no model, is damaged or truncated, or was written by a newer diabolo."


# Both name a ValueError and a TypeError, as scikit-learn's InvalidParameterError does: which of the two a
# wrong argument is, is a matter of taste, and callers catch either.
class InvalidParameterError(ValueError, TypeError):
    """A hyper-parameter breaks its rule; the message names estimator, parameter, rule and value."""


class InvalidDataError(ValueError, TypeError):
    """An array passed in cannot be used; the message names estimator, argument, rule and what was found."""


class NotFittedError(ValueError, AttributeError):
    """The estimator was used before `fit`.

    Where scikit-learn is loaded, what is raised is its `sklearn.exceptions.NotFittedError` as well.
    """

    # What is raised beside scikit-learn is a class made on the spot, which pickle could not find by its name.
    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return NotFittedError, self.args


class MatmulPrecisionWarning(UserWarning):
    """Products are computed more precisely than `matmul_precision` asks, since that is no slower here."""


class PosteriorCollapseWarning(UserWarning):
    """The codes of a variational autoencoder hardly depend on the rows: the decoder goes without them."""


class TrainingDivergedError(FloatingPointError):
    """A loss or a weight became infinite or NaN while training; the estimator is as it was before `fit`.

    Attributes
    ----------
    weights : dict of str to ndarray, or None
        The weights after the last completed epoch, as `get_weights` gives them; None if there was none.
    epoch : int
        The epoch it happened in, counted from 1.
    step : int or None
        The step (batch) within that epoch, counted from 1; None if the validation loss was at fault.
    """

    # All but the message have defaults: exceptions are unpickled from their message, and then given their
    # dict.
    def __init__(
        self,
        message: str,
        *,
        weights: dict[str, Float32Array] | None = None,
        epoch: int = 1,
        step: int | None = None,
    ) -> None:
        super().__init__(message)
        self.weights = weights
        self.epoch = epoch
        self.step = step


_combined_with_sklearn: type[NotFittedError] | None = None


def not_fitted(owner: str) -> NotFittedError:
    """Return the error to raise when the estimator `owner` has not been fitted."""
    global _combined_with_sklearn
    error = NotFittedError
    theirs = sys.modules.get("sklearn.exceptions")
    if theirs is not None:
        if _combined_with_sklearn is None:
            bases = (NotFittedError, theirs.NotFittedError)
            _combined_with_sklearn = type("NotFittedError", bases, {"__module__": __name__})
        error = _combined_with_sklearn
    return error(
        f"This {owner} instance is not fitted yet. "
        "Call 'fit' with appropriate arguments before using this estimator."
    )
