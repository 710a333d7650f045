"""What every estimator with an encoder does with it: the codes of rows."""

from abc import abstractmethod
from typing import Any, TypeVar

from diabolo import _core
from diabolo._fitted import Fitted
from diabolo._inputs import Interval, Table, check_values
from diabolo._parameters import RULES
from diabolo._running_fits import thread_count
from diabolo._scikit_learn import FrameOutput
from diabolo._types import Float32Array, Float64Array
from diabolo._validation import checked
from diabolo.exceptions import InvalidDataError

_Array = TypeVar("_Array", Float32Array, Float64Array)


class Encoding(FrameOutput):
    """`transform`, and what a prediction needs."""

    n_jobs: int | None

    def transform(self, X: Any) -> Any:
        """Return the codes of the rows of X.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)
            Or a frame, if `set_output` says so.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.
        """
        fitted, table, threads = self._prepared(X)
        return self._in_container(checked_values(fitted.model.transform(table.rows, threads, True), table), X)

    @abstractmethod
    def _prepared(self, X: Any) -> tuple[Fitted, Table, int]:
        """Return the fitted model, X as a table of its features, and the threads to use."""

    def _threads(self) -> int:
        """Return the most threads for a prediction; 0: as many as there are, which takes long to find out."""
        jobs = self.n_jobs
        if type(jobs) is not int or jobs < 1:
            jobs = checked(type(self).__name__, "n_jobs", RULES["n_jobs"], jobs)
        return 0 if jobs is None else thread_count(jobs)


def checked_values(result: _Array | None, table: Table, interval: Interval | None = None) -> _Array:
    """Return what a pass over the table returned; None means that it met a value it refused."""
    if result is not None:
        return result
    check_values(table, interval=interval, threads=_core.usable_threads())
    raise InvalidDataError(f"{table.owner}: {table.name} must not change while it is read. It did.")
