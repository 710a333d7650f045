"""What one kind of autoencoder may say of itself, where it differs from the plain dense one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from diabolo._architecture import Architecture, dense_architecture
from diabolo._base import Estimator
from diabolo._column_groups import SOFTMAX_LOSSES, check_groups, check_probabilities
from diabolo._common_layers import with_common_layers
from diabolo._inputs import Interval, Table, check_observed, check_values
from diabolo._layers import CorruptionLayer
from diabolo._parameters import RULES, check_combinations, checked_parameters
from diabolo._validation import Rule, broken


class Kind(Estimator):
    """Base of the autoencoders, with the hooks that a kind overrides."""

    # The rules of its own hyper-parameters, and whether its loss is a sum over features, not their mean.
    _own_rules: ClassVar[Mapping[str, Rule]] = {}
    _sums_features: ClassVar[bool] = False

    def _checked_parameters(self) -> Any:
        """Return the hyper-parameters as plain values and objects; raise InvalidParameterError."""
        owner = type(self).__name__
        p = checked_parameters(owner, self.get_params(deep=False), {**RULES, **self._own_rules})
        self._complete(owner, p)
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
    def _row_noise(cls, features: int, parameters: Any) -> CorruptionLayer | None:
        """Return the noise that training puts on rows, of (checked) hyper-parameters; None: none."""
        return None

    @classmethod
    def _check_container(cls, parameters: Any, table: Table, *, trains: bool = True) -> None:
        """Refuse (checked) hyper-parameters that make nothing of sparse rows, or of dense ones.

        `trains` says whether these are rows to train on, not rows to be evaluated.
        """
        p, owner, name = parameters, table.owner, table.name
        if not table.is_sparse:
            if p.zeros == "missing":
                rule = f"'values' when {name} is dense: what is missing in it, nothing tells"
                raise broken(owner, "zeros", rule, p.zeros)
            return
        if p.missing != "error":
            rule = f"'error' when {name} is sparse (zeros='missing' leaves out what it does not store)"
            raise broken(owner, "missing", rule, p.missing)
        if p.loss in SOFTMAX_LOSSES:
            rule = f"none of {', '.join(map(repr, SOFTMAX_LOSSES))} when {name} is sparse"
            raise broken(owner, "loss", rule, p.loss)
        if p.scale is not None:
            rule = f"None when {name} is sparse (shifting its zeros would fill it; MaxAbsScaler does not)"
            raise broken(owner, "scale", rule, p.scale)
        if trains:
            cls._check_sparse(owner, p, name)

    @classmethod
    def _check_block(cls, parameters: Any, table: Table, threads: int) -> None:
        """Refuse training rows that come in a block of their own."""
        cls._check_container(parameters, table)
        cls._check_rows(parameters, table, threads)

    @classmethod
    def _check_sparse(cls, owner: str, parameters: Any, name: str) -> None:
        """Check what a kind's own (checked) hyper-parameters must be to train on sparse rows."""

    @classmethod
    def _network(cls, features: int, parameters: Any) -> Architecture:
        """Return that network with the layers that every kind may have besides."""
        check_groups(cls.__name__, features, parameters, all_columns=cls._sums_features)
        plan = cls._architecture(features, parameters)
        return with_common_layers(cls.__name__, plan, parameters, sums_features=cls._sums_features)

    @classmethod
    def _interval(cls, parameters: Any) -> Interval | None:
        """Return where the raw values of training rows must lie, and why; None if anywhere."""
        return cls._loss_interval(parameters.loss, parameters.scale)

    @classmethod
    def _loss_interval(cls, loss: str, scale: str | None) -> Interval | None:
        """Return the same of all rows whose loss is computed."""
        if loss == "hinge":
            return Interval(-1.0, 1.0, "when loss='hinge' (2 * X - 1 brings values in [0, 1] there)")
        if loss != "binary_crossentropy" or scale is not None:
            return None
        why = "when loss='binary_crossentropy' and scale=None (scale='minmax' brings them there)"
        return Interval(0.0, 1.0, why)

    @classmethod
    def _check_rows(cls, parameters: Any, table: Table, threads: int, *, columns: bool = False) -> None:
        """Refuse training or validation rows whose values cannot be used; columns too of which none can."""
        check_values(table, interval=cls._interval(parameters), threads=threads)
        check_observed(table, threads, columns=columns)
        check_probabilities(table, parameters.loss, cls._network(table.rows.features, parameters), threads)

    @classmethod
    def _look_at(cls, owner: str, parameters: Any, history: Mapping[str, Sequence[float]]) -> None:
        """Warn of what a finished fit's history shows to have gone wrong."""
