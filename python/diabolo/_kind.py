"""What one kind of autoencoder may say of itself, where it differs from the plain dense one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from diabolo._architecture import Architecture, dense_architecture
from diabolo._base import Estimator
from diabolo._parameters import RULES, check_combinations, checked_parameters
from diabolo._validation import Rule


class Kind(Estimator):
    """Base of the autoencoders, with the hooks that a kind overrides."""

    # The rules of its own hyper-parameters, and whether its loss is a sum over features, not their mean.
    _own_rules: ClassVar[Mapping[str, Rule]] = {}
    _sums_features: ClassVar[bool] = False

    def _checked_parameters(self) -> Any:
        """Return the hyper-parameters as plain values and objects; raise InvalidParameterError."""
        return self._checked_values(self.get_params(deep=False))

    @classmethod
    def _checked_values(cls, values: dict[str, object]) -> Any:
        """Return the same of values of hyper-parameters, this estimator's or those that a file has."""
        owner = cls.__name__
        p = checked_parameters(owner, {**cls._defaults(), **values}, {**RULES, **cls._own_rules})
        cls._complete(owner, p)
        check_combinations(owner, p)
        return p

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        """Check what a kind's own (checked) hyper-parameters demand of each other.

        Adds those that the kind does not leave to its user but the network needs.
        """

    @classmethod
    def _architecture(cls, features: int, parameters: Any) -> Architecture:
        """Return the network of these (checked) hyper-parameters."""
        return dense_architecture(features, parameters)

    @classmethod
    def _why_unit_interval(cls, parameters: Any) -> str | None:
        """Return why the raw values of training rows must lie in [0, 1]; None if they need not."""
        return cls._loss_wants_unit_interval(parameters.loss, parameters.scale)

    @classmethod
    def _loss_wants_unit_interval(cls, loss: str, scale: str | None) -> str | None:
        """Return the same of all rows whose loss is computed."""
        if loss != "binary_crossentropy" or scale is not None:
            return None
        return "when loss='binary_crossentropy' and scale=None (scale='minmax' brings them there)"

    @classmethod
    def _look_at(cls, owner: str, parameters: Any, history: Mapping[str, Sequence[float]]) -> None:
        """Warn of what a finished fit's history shows to have gone wrong."""
