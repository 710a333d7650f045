"""What scikit-learn asks of transformers beyond numbers: names of outputs, frames as outputs, HTML.

Nothing here imports scikit-learn; where it is loaded already, its global configuration counts, and notebooks
show its diagrams.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from diabolo._base import Estimator
from diabolo._inputs import is_frame
from diabolo._types import Float32Array
from diabolo._validation import Choice, broken, checked, shown
from diabolo.exceptions import InvalidDataError

_CONTAINERS = ("default", "pandas", "polars")


class FrameOutput(Estimator):
    """`transform` that returns frames on demand, and the names of their columns."""

    # Under this name, and in this form, because scikit-learn's `clone` copies it along.
    _sklearn_output_config: dict[str, str]

    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """Choose what `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default None
            "default": a NumPy array. "pandas", "polars": a frame, with the columns of
            `get_feature_names_out` and, in pandas, the index of X. None: no change. As long as nothing is
            chosen, scikit-learn's own configuration counts, if scikit-learn is loaded.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            For any other name; nothing is changed then.
        """
        if transform is not None:
            chosen = checked(type(self).__name__, "transform", Choice(_CONTAINERS), transform)
            self._sklearn_output_config = {"transform": chosen}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the components: the class's name in small letters, and a number.

        Parameters
        ----------
        input_features : array-like of str or None, default None
            Only compared with the columns that were fitted, as scikit-learn's pipelines expect.

        Returns
        -------
        ndarray of str objects, shape (n_components,)

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            `input_features` are not those that were fitted.
        """
        fitted = self._require_fitted()
        if input_features is not None:
            self._check_input_features(np.asarray(input_features, dtype=object))
        prefix = type(self).__name__.lower()
        return np.asarray([f"{prefix}{i}" for i in range(fitted.architecture.components)], dtype=object)

    def _check_input_features(self, given: npt.NDArray[np.object_]) -> None:
        names, count = self._require_fitted().fitting.feature_names, self.n_features_in_
        owner = type(self).__name__
        # The words are scikit-learn's, whose tests look for them.
        if names is not None and not np.array_equal(np.asarray(names, dtype=object), given):
            raise InvalidDataError(f"{owner}: input_features is not equal to feature_names_in_")
        if len(given) != count:
            raise InvalidDataError(
                f"{owner}: input_features should have length equal to number of features ({count}), "
                f"got {len(given)}"
            )

    def _in_container(self, codes: Float32Array, X: Any) -> Any:
        """Return the codes as `set_output` wants them; without a copy."""
        container = self._output_container()
        if container == "default":
            return codes
        # Asked for by the user: an ImportError says what is missing.
        library = importlib.import_module(container)
        names = list(self.get_feature_names_out())
        if container == "pandas":
            index = X.index if is_frame(X, "pandas") else None
            return library.DataFrame(codes, index=index, columns=names, copy=False)
        return library.DataFrame(codes, schema=names, orient="row")

    def _output_container(self) -> str:
        own: str | None = getattr(self, "_sklearn_output_config", {}).get("transform")
        if own is not None:
            return own
        sklearn = sys.modules.get("sklearn")
        everywhere = "default" if sklearn is None else sklearn.get_config()["transform_output"]
        return str(checked("scikit-learn's config", "transform_output", Choice(_CONTAINERS), everywhere))


class _Requests(dict[str, bool | str | None]):
    """What each method asks for; scikit-learn's `clone` takes it along."""

    def __sklearn_clone__(self) -> "_Requests":
        return _Requests(self)


class MetadataRouting(Estimator):
    """Whether scikit-learn's meta-estimators hand `sample_weight` on to `fit`, which all of these have."""

    # Under this name because scikit-learn's `clone` copies it along.
    _metadata_request: _Requests

    def set_fit_request(self, *, sample_weight: bool | str | None = None) -> Self:
        """Say whether a meta-estimator, such as a pipeline, passes `sample_weight` on to `fit`.

        It counts only with ``sklearn.set_config(enable_metadata_routing=True)``.

        Parameters
        ----------
        sample_weight : bool, str or None, default None
            True: it is passed on, if there is any. False: it is not. None: it is not, and the meta-estimator
            raises an error if there is any. A str: the name that the meta-estimator's caller gives it.

        Returns
        -------
        self
        """
        return self._request("fit", sample_weight)

    def get_metadata_routing(self) -> Any:
        """Return scikit-learn's record of these requests; it imports scikit-learn.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        routing = importlib.import_module("sklearn.utils.metadata_routing")
        record = routing.MetadataRequest(owner=self)
        requests = getattr(self, "_metadata_request", {})
        for method in _WEIGHTED_METHODS:
            if hasattr(self, f"set_{method}_request"):
                getattr(record, method).add_request(param="sample_weight", alias=requests.get(method))
        return record

    def _request(self, method: str, sample_weight: object) -> Self:
        if sample_weight is not None and not isinstance(sample_weight, (bool, str)):
            raise broken(type(self).__name__, "sample_weight", "True, False, None or a name", sample_weight)
        requests = _Requests(getattr(self, "_metadata_request", {}))
        requests[method] = sample_weight
        self._metadata_request = requests
        return self


_WEIGHTED_METHODS = ("fit", "partial_fit", "score")


class PartialFitRouting(MetadataRouting):
    """The same of `partial_fit`, for estimators that have it."""

    def set_partial_fit_request(self, *, sample_weight: bool | str | None = None) -> Self:
        """Say the same of `partial_fit`.

        Parameters
        ----------
        sample_weight : bool, str or None, default None
            As in `set_fit_request`.

        Returns
        -------
        self
        """
        return self._request("partial_fit", sample_weight)


class ScoreRouting(MetadataRouting):
    """The same of `score`, for estimators that have it."""

    def set_score_request(self, *, sample_weight: bool | str | None = None) -> Self:
        """Say the same of `score`.

        Parameters
        ----------
        sample_weight : bool, str or None, default None
            As in `set_fit_request`.

        Returns
        -------
        self
        """
        return self._request("score", sample_weight)


class HtmlRepr(Estimator):
    """How notebooks show an estimator: scikit-learn's diagram where it is loaded, else a plain table."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if _shows_diagrams():
            bundle["text/html"] = self._html()
        return bundle

    @property
    def _repr_html_(self) -> Callable[[], str]:
        # A property, so that hasattr tells whether there is any: scikit-learn's way.
        if not _shows_diagrams():
            raise AttributeError("_repr_html_ is there only if scikit-learn's 'display' is 'diagram'")
        return self._html

    def _html(self) -> str:
        utils = sys.modules.get("sklearn.utils")
        if utils is not None:
            return str(utils.estimator_html_repr(self))
        import html  # here, because importing diabolo should cost little

        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(shown(value))}</td></tr>"
            for name, value in self.get_params(deep=False).items()
        )
        name, state = type(self).__name__, "fitted" if self.__sklearn_is_fitted__() else "not fitted"
        return f"<details><summary>{name} ({state})</summary><table>{rows}</table></details>"


def _shows_diagrams() -> bool:
    sklearn = sys.modules.get("sklearn")
    return sklearn is None or sklearn.get_config()["display"] == "diagram"
