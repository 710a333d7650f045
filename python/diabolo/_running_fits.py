"""How many threads a call takes, and which estimators are being fitted: no two threads fit one of them.

The record stands here and not in the estimators: they can be pickled and copied at any time, also by a
callback in the middle of a fit.
"""

import functools
import os
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from diabolo import _core

_lock = threading.Lock()
_running: set[int] = set()  # ids: an estimator lives at least as long as its fit

P = ParamSpec("P")
T = TypeVar("T")
Owner = TypeVar("Owner")


def one_at_a_time(fit: Callable[Concatenate[Owner, P], T]) -> Callable[Concatenate[Owner, P], T]:
    """Let a method that fits an estimator refuse while another one fits the same estimator.

    What a fit finds out is published by one assignment, so there would be no race in memory; but one of the
    two results would be lost silently, and two `partial_fit` would both continue from the same state.
    """

    @functools.wraps(fit)
    def fit_alone(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with _lock:
            if id(self) in _running:
                owner = type(self).__name__
                raise RuntimeError(
                    f"{owner}: {fit.__name__} must not be called while this {owner} is being fitted, by "
                    "another thread or by a callback. Fit a copy (copy.deepcopy, sklearn.base.clone)."
                )
            _running.add(id(self))
        try:
            return fit(self, *args, **kwargs)
        finally:
            with _lock:
                _running.discard(id(self))

    return fit_alone


def thread_count(jobs: int | None) -> int:
    """Return the number of threads for a (checked) `n_jobs`."""
    if jobs is None:
        return _core.usable_threads()
    return min(jobs, _most_threads())


@functools.cache
def _most_threads() -> int:
    """Return a bound, for a slip such as n_jobs=10**6 must not end the process for want of threads."""
    return 4 * (os.cpu_count() or 1) + 16


def training_threads(jobs: int | None) -> int:
    """Return the same for a fit, which is long enough to leave other fits their part of the processors."""
    return thread_count(jobs) if jobs is not None else fair_share(thread_count(jobs))


def fair_share(threads: int) -> int:
    """Return how many of the process's threads one fit should take, as many as are running.

    So that a search in threads (joblib's, a ThreadPoolExecutor's) does not set `threads` times `threads` to
    work on as many processors. In processes, joblib says by OMP_NUM_THREADS how many there are for each.
    """
    return max(1, threads // max(1, len(_running)))


def _forget() -> None:
    """In a forked child no other thread goes on."""
    global _lock
    _lock = threading.Lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
