"""scikit-learn's manners without scikit-learn: parameters, repr, tags, and what being fitted shows."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from diabolo._fitted import Fitted
from diabolo._precision import precision_used
from diabolo._validation import shown
from diabolo.exceptions import InvalidParameterError, not_fitted


class Estimator:
    """Base of the estimators. Their `__init__` only stores its arguments, under the arguments' names.

    All that `fit` finds out is one immutable object, published by one assignment: so whatever interrupts a
    fit, an estimator is either as it was or wholly new, and a thread that predicts never sees half of each.
    """

    _fitted: Fitted | None = None

    # Whether X may be a sparse matrix. Each kind says so itself, for what a kind derived from it adds may not
    # take sparse rows; only classes outside of this package inherit it.
    _takes_sparse: ClassVar[bool] = False

    # Set by each class that files may hold, itself; a subclass of it does not count.
    _in_files: ClassVar[bool]

    # What follows the encoder in a network: a decoder, which gives the features back, or a "head".
    _second_part: ClassVar[str] = "decoder"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__.startswith("diabolo."):
            cls._takes_sparse = vars(cls).get("_takes_sparse", False)

    # ---- Parameters ----

    @classmethod
    def _defaults(cls) -> dict[str, object]:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self
        return {parameter.name: parameter.default for parameter in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyper-parameters.

        Parameters
        ----------
        deep : bool, default True
            Whether to return those of nested estimators as well, under names such as
            "autoencoder__n_components".

        Returns
        -------
        dict
            Names and values, as they were given.
        """
        params = {name: getattr(self, name) for name in self._defaults()}
        if deep:
            for name, value in list(params.items()):
                if _is_estimator(value):
                    params.update({f"{name}__{inner}": v for inner, v in value.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set hyper-parameters; they take effect, and are checked, at the next `fit`.

        Parameters
        ----------
        **params
            Names and new values; "autoencoder__epochs" is the `epochs` of the estimator `autoencoder`.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            For a name that is no hyper-parameter; nothing is set then.
        """
        own = self._defaults()
        nested: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            outer, _, inner = name.partition("__")
            if inner:
                nested.setdefault(outer, {})[inner] = value
            # The new value, if there is one: an estimator and its parameters may be set in one call.
            holder = params.get(outer, getattr(self, outer, None))
            if outer not in own or (inner and not _is_estimator(holder)):
                raise InvalidParameterError(
                    f"Invalid parameter {name!r} for estimator {self!r}. "
                    f"Valid parameters are: {sorted(own)!r}."
                )
        for outer, inner_params in nested.items():
            params.get(outer, getattr(self, outer)).set_params(**inner_params)
        for name, value in params.items():
            if "__" not in name:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{name}={shown(getattr(self, name, None))}"
            for name, default in self._defaults().items()
            if not _same(getattr(self, name, None), default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    # ---- scikit-learn's questions ----

    def __sklearn_is_fitted__(self) -> bool:
        return self._fitted is not None

    def __sklearn_tags__(self) -> Any:
        utils = importlib.import_module("sklearn.utils")  # only scikit-learn asks
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(preserves_dtype=["float32"]),
            input_tags=utils.InputTags(sparse=self._takes_sparse),
        )

    # ---- Files ----

    def _more_contents(self) -> dict[str, object]:
        """Return facts beside those of every estimator, by names of their own, for the metadata of a file."""
        return {}

    def _restore(self, fitted: Fitted, contents: Any, classes: Mapping[str, type["Estimator"]]) -> None:
        """Become what a file holds."""
        self._fitted = fitted

    # ---- What fit has found out ----

    def _require_fitted(self) -> Fitted:
        fitted = self._fitted
        if fitted is None:
            raise not_fitted(type(self).__name__)
        return fitted

    @property
    def history_(self) -> dict[str, list[float]]:
        """A list per quantity, with an entry per epoch (a copy; see the class for the names)."""
        return {name: list(values) for name, values in self._require_fitted().fitting.history.items()}

    @property
    def n_iter_(self) -> int:
        """The number of epochs that were run."""
        return len(self._require_fitted().fitting.history["loss"])

    @property
    def n_features_in_(self) -> int:
        """The number of columns of the X that was fitted."""
        return self._require_fitted().architecture.features

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """The names of the columns; there only if X was a frame whose column names are all strings."""
        names = self._require_fitted().fitting.feature_names
        if names is None:
            raise AttributeError(
                f"This {type(self).__name__} was fitted on data without column names: no feature_names_in_."
            )
        return np.asarray(names, dtype=object)

    @property
    def matmul_precision_used_(self) -> str:
        """The least precise form of products that the network computes on this machine."""
        return precision_used(self._require_fitted().model.products())

    @property
    def stop_reason_(self) -> str:
        """Why the training ended: "epochs" (all were run), "early_stopping", "interrupted" (Ctrl-C), ...

        Others are "max_seconds", "callback", "partial_fit" and, from another library, "imported".
        """
        return self._require_fitted().fitting.stop_reason


def _is_estimator(value: object) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "set_params") and not isinstance(value, type)


def _same(value: object, default: object) -> bool:
    """Return whether a parameter has its default; an array, whose == is an array, has not."""
    if value is default:
        return True
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError):
        return False
