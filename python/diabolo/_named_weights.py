"""What fitted networks of every kind have: their weights, as arrays by name."""

from collections.abc import Mapping
from typing import Self

import numpy.typing as npt

from diabolo._base import Estimator
from diabolo._types import Float32Array
from diabolo._weights import checked_weights


class NamedWeights(Estimator):
    """Weights by name, taken out and put in."""

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
