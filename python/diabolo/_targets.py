"""The y of supervised estimators: labels and numbers as users have them, checked, as targets of the core."""

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from diabolo import _core
from diabolo._fitted import Scaler
from diabolo._types import AnyArray, Float64Array
from diabolo._validation import shown
from diabolo.exceptions import InvalidDataError

_FLOAT32_MAX = 3.4028234663852886e38


class Classes(NamedTuple):
    """What the outputs of a classifier stand for."""

    labels: AnyArray  # (classes,), sorted
    off: float  # what the outputs of other classes than a row's are compared with

    @property
    def outputs(self) -> int:
        return len(self.labels)


class Values(NamedTuple):
    """What the outputs of a regressor stand for: output * scale + shift."""

    shift: Float64Array  # (outputs,)
    scale: Float64Array  # (outputs,)
    one_dimensional: bool

    @property
    def outputs(self) -> int:
        return len(self.shift)


Meaning = Classes | Values


class LabelledRows(NamedTuple):
    """Which rows have a target, and the targets of all rows; those of the others are not looked at."""

    indices: npt.NDArray[np.int64]  # (labelled,), ascending
    table: AnyArray  # (rows, 1) of class numbers, or (rows, outputs) of float64

    def targets(self, meaning: Meaning) -> _core.Targets:
        rows = _core.Rows(self.table)
        if isinstance(meaning, Classes):
            return _core.Targets.of_classes(rows, meaning.outputs, meaning.off)
        return _core.Targets.of_values(rows, meaning.shift, meaning.scale)


def as_labels(owner: str, name: str, y: object, rows: int) -> AnyArray:
    """Return one label for each row, (rows,); raise InvalidDataError for what holds none."""
    labels = _one_dimensional(owner, name, _as_array(owner, name, y))
    _check_length(owner, name, labels, rows)
    if labels.dtype.kind == "f":
        _check_finite(owner, name, labels)
        fraction = np.flatnonzero(labels != np.floor(labels))
        if len(fraction):
            raise _refused(
                owner,
                name,
                "hold classes",
                f"{labels[fraction[0]]!r} at row {fraction[0]}. Unknown label type: continuous",
            )
    elif labels.dtype.kind not in "biuUO":
        raise _refused(owner, name, "hold integers, bools or strings", f"dtype {labels.dtype}")
    return labels


def classes_of(
    owner: str, labels: AnyArray, unlabelled: object, off: float, counting: npt.NDArray[np.bool_]
) -> tuple[Classes, npt.NDArray[np.bool_]]:
    """Return the classes among labels, and which rows are labelled; raise InvalidDataError for too few.

    Of rows that do not count, because their weight is 0, the labels do not either.
    """
    labelled = counting if unlabelled is None else np.asarray(labels != unlabelled) & counting
    if not labelled.any():
        raise _refused(owner, "y", "have at least one labelled row", f"unlabelled={unlabelled!r} in all rows")
    try:
        classes = np.unique(labels[labelled])
    except TypeError as error:  # of types that cannot be compared
        raise _refused(
            owner, "y", "hold labels of one type", f"labels of which NumPy says: {error}"
        ) from None
    if len(classes) < 2:
        only = f"one class, {classes[0]!r}"
        if unlabelled is not None and not labelled[counting].all():
            only += (
                f", and unlabelled={unlabelled!r}, which means rows without a label. If it is a class of its "
                "own (of -1 and 1, say), take another value for unlabelled, or None"
            )
        raise _refused(owner, "y", "have at least two classes", only)
    return Classes(classes, off), labelled


def class_numbers(owner: str, name: str, labels: AnyArray, classes: Classes) -> npt.NDArray[np.int32]:
    """Return the number of each label's class, (rows, 1); raise InvalidDataError for a class that is none."""
    known = classes.labels
    numbers = np.minimum(np.searchsorted(known, labels), len(known) - 1)
    unknown = np.flatnonzero(known[numbers] != labels)
    if len(unknown):
        raise _refused(
            owner, name, f"hold the classes {shown(known)}", f"{labels[unknown[0]]!r} at row {unknown[0]}"
        )
    return numbers.astype(np.int32)[:, np.newaxis]


def as_values(
    owner: str,
    name: str,
    y: object,
    rows: int,
    *,
    allow_unlabelled: bool,
    counting: npt.NDArray[np.bool_] | None = None,
) -> tuple[LabelledRows, bool]:
    """Return the numbers of each row, (rows, outputs), and whether y has one dimension.

    Rows that do not count, because their weight is 0, have no target, whatever they hold. None: all do.
    """
    array = _as_array(owner, name, y)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise _refused(owner, name, "be 1-D, (rows,), or 2-D, (rows, outputs)", f"shape {array.shape}")
    _check_length(owner, name, array, rows)
    if array.dtype.kind == "c":
        raise _refused(owner, name, "hold real numbers", f"dtype {array.dtype}. Complex data not supported")
    try:
        values = np.array(array, dtype=np.float64, ndmin=1)  # a copy, that may be changed
    except (ValueError, TypeError) as error:
        raise _refused(
            owner, name, "hold real numbers", f"dtype {array.dtype}, of which NumPy says: {error}"
        ) from None
    table = values.reshape(rows, -1)
    if counting is not None:
        table[~counting] = np.nan
    missing = np.isnan(table).any(axis=1)
    if not allow_unlabelled:
        _check_finite(owner, name, table, counting)
    elif missing.all():
        raise _refused(owner, name, "have at least one labelled row", "NaN in all rows")
    table[missing] = 0.0
    _check_finite(owner, name, table)
    return LabelledRows(np.flatnonzero(~missing), table), array.ndim == 1


def scale_of(values: Float64Array, weights: Float64Array) -> Scaler:
    """Return mean and standard deviation of each column by the rows' weights, 1 where that is 0."""
    shift = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - shift) ** 2, axis=0, weights=weights))
    return shift, np.where(scale > 0, scale, 1.0)


def _as_array(owner: str, name: str, y: object) -> AnyArray:
    if y is None:
        # The words are scikit-learn's, whose tests look for them.
        raise InvalidDataError(f"{owner}: fit requires y to be passed, but the target y is None")
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(y):
        raise _refused(owner, name, "be dense", f"sparse data, {type(y).__name__}")
    try:
        return np.asarray(y)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _refused(owner, name, "be something NumPy makes an array of", f"{error}") from None


def _one_dimensional(owner: str, name: str, array: AnyArray) -> AnyArray:
    if array.ndim == 2 and array.shape[1] == 1:
        theirs = sys.modules.get("sklearn.exceptions")
        category: Any = UserWarning if theirs is None else theirs.DataConversionWarning
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected: "
            f"{owner} takes {name}.ravel() instead",
            category,
            stacklevel=5,
        )
        return array[:, 0]
    if array.ndim != 1:
        raise _refused(owner, name, "be 1-D, (rows,): y should be a 1d array", f"shape {array.shape}")
    return array


def _check_length(owner: str, name: str, array: AnyArray, rows: int) -> None:
    if len(array) != rows:
        raise _refused(owner, name, f"have an entry for each of the {rows} rows", f"{len(array)} entries")


def _check_finite(
    owner: str, name: str, values: AnyArray, counting: npt.NDArray[np.bool_] | None = None
) -> None:
    unusable = ~(np.abs(values) <= _FLOAT32_MAX)
    if counting is not None:
        unusable[~counting] = False
    bad = np.argwhere(unusable)
    if len(bad):
        at = tuple(bad[0])
        raise _refused(
            owner,
            name,
            "not contain NaN, infinity or what overflows float32",
            f"{values[at]!r} at row {at[0]}",
        )


def _refused(owner: str, name: str, rule: str, found: str) -> InvalidDataError:
    return InvalidDataError(f"{owner}: {name} must {rule}. Got {found}.")
