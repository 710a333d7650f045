"""Data as users have it (arrays, lists, memory maps, frames, sparse) before the core as Rows, without a copy.

Here stands what is refused and how that is said. Values are looked at by the core; what may be done with the
rows is up to the estimator.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from diabolo._core import Rows
from diabolo._sparse_rows import as_csr, is_sparse, rows_of
from diabolo._types import AnyArray, Float64Array
from diabolo._validation import shown
from diabolo.exceptions import InvalidDataError

_FLOAT32_MAX = 3.4028234663852886e38
_READ_AS_THEY_ARE = frozenset(map(np.dtype, ("float32", "float64", "uint8")))
_MOST_SPARSE_FEATURES = 2**31
_ACCEPTED = "float16, float32, float64, ints or bool"


class Table(NamedTuple):
    """Rows, and what is needed to speak of them: who asked, what they call it, the names of the columns."""

    owner: str
    name: str
    rows: Rows
    feature_names: tuple[str, ...] | None
    # The array, the columns or the sparse matrix that `rows` refers to: they must live as long, and messages
    # quote from them.
    source: Any
    # Which rows of the source `rows` are; None: all.
    selected: npt.NDArray[np.int64] | None = None
    # Whether NaN stands for a value that nobody observed.
    missing_allowed: bool = False

    @property
    def is_sparse(self) -> bool:
        """Whether the rows are sparse: only some of their elements are stored."""
        return self.rows.most_stored is not None

    def take(self, indices: npt.NDArray[np.int64]) -> "Table":
        """Return the table of some of its rows."""
        selected = indices if self.selected is None else self.selected[indices]
        return self._replace(rows=self.rows.take(indices), selected=selected)

    def block(self, begin: int, end: int) -> Float64Array:
        """Return consecutive rows as a new array, (end - begin, features)."""
        rows = slice(begin, end) if self.selected is None else self.selected[begin:end]
        if self.is_sparse:
            raise TypeError("sparse rows are not copied as dense ones")
        if isinstance(self.source, list):
            return np.stack([column[rows] for column in self.source], axis=1).astype(np.float64)
        dense: AnyArray = self.source[rows]
        return dense.astype(np.float64)

    def value(self, row: int, column: int) -> object:
        found = self.source[column][row] if isinstance(self.source, list) else self.source[row, column]
        return found.item()

    def place(self, row: int, column: int) -> str:
        named = "" if self.feature_names is None else f" ({self.feature_names[column]!r})"
        return f"row {row}, column {column}{named}"


class Interval(NamedTuple):
    """Where values must lie, and why, for the message: "when loss=..."."""

    low: float
    high: float
    why: str

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


def as_table(
    data: Any, owner: str, name: str, *, missing_allowed: bool = False, sparse: bool = False
) -> Table:
    """Return `data` as a table of at least one row and one column; raise InvalidDataError if it is none.

    Nothing is copied, except where the memory of `data` does not hold plain numbers at all: lists, arrays of
    objects, columns of frames that are packed in bits or split in pieces, and sparse matrices in another
    format than CSR or out of order. What is a table already stays the same table, under the new names. With
    `missing_allowed`, NaN and nulls stand for missing values; `sparse` says whether the caller takes sparse
    rows.
    """
    if type(data) is np.ndarray and data.ndim == 2 and data.size > 0 and data.dtype in _READ_AS_THEY_ARE:
        # A small prediction takes no longer than the rest.
        return Table(owner, name, Rows(data), None, data, None, missing_allowed)
    if isinstance(data, Table):
        return data._replace(owner=owner, name=name)

    def refuse(rule: str, found: str) -> InvalidDataError:
        return InvalidDataError(f"{owner}: {name} must {rule}. Got {found}.")

    is_sparse_matrix = is_sparse(data)
    if is_sparse_matrix and not sparse:
        raise refuse(
            "be dense",
            f"sparse data, {type(data).__name__}. Convert a part of it at a time with .toarray()",
        )
    _refuse_masked(data, refuse)
    columns = _frame_columns(data, missing_allowed, refuse)
    source: Any
    if is_sparse_matrix:
        if data.ndim != 2:
            raise refuse("be 2-D, (rows, features)", f"{data.ndim}-D sparse data, shape {data.shape}")
        count, features = data.shape
    elif columns is not None:
        count, features = len(data), len(columns)
    else:
        array = _as_array(data, refuse)
        if array.ndim == 0 and array.dtype.kind == "O":
            raise refuse("be a 2-D array of numbers", _kind_of_object(data))
        if array.ndim != 2:
            dimensions = f"{array.ndim}-D, shape {array.shape}"
            raise refuse(
                "be 2-D, (rows, features)",
                f"{dimensions}. Reshape your data with {name}.reshape(-1, 1) if it has a single feature, "
                f"with {name}.reshape(1, -1) if it is a single row"
                if array.ndim < 2
                else dimensions,
            )
        count, features = array.shape
    # The wording after "Got" is scikit-learn's, which people search for.
    if features == 0:
        raise refuse(
            "have at least one column",
            f"0 feature(s) (shape=({count}, 0)) while a minimum of 1 is required",
        )
    if count == 0:
        raise refuse(
            "have at least one row",
            f"0 sample(s) (shape=(0, {features})) while a minimum of 1 is required",
        )
    if is_sparse_matrix:
        _refuse_dtype(data.dtype, "", refuse)
        if features >= _MOST_SPARSE_FEATURES:
            raise refuse("have less than 2^31 features if it is sparse", f"{features}")
        source = as_csr(data, refuse)
        rows = rows_of(source)
    elif columns is not None:
        merged = _as_one_array(columns)
        source = columns
        rows = Rows.from_columns(columns) if merged is None else Rows(merged)
    else:
        array = _as_numbers(array, "", refuse)
        source = array
        rows = Rows(array)
    return Table(owner, name, rows, _feature_names(data), source, None, missing_allowed)


def check_values(table: Table, *, interval: Interval | None = None, threads: int) -> None:
    """Refuse NaN, infinity, what overflows float32, and what lies outside `interval`; name the first."""
    low, high = (-np.inf, np.inf) if interval is None else interval.ends
    found = table.rows.find_invalid(low, high, threads, table.missing_allowed)
    if found is None:
        return
    value = table.value(*found)
    # Written so that NaN ends up in the first branch.
    magnitude = abs(float(value))  # type: ignore[arg-type]
    if not magnitude < np.inf:
        rule = "not contain infinity" if table.missing_allowed else "not contain NaN or infinity"
    elif magnitude > _FLOAT32_MAX:
        rule = f"not exceed the range of float32, in which all is computed ({_FLOAT32_MAX:.2g})"
    else:
        assert interval is not None
        rule = f"lie in [{low:g}, {high:g}] {interval.why}"
    raise InvalidDataError(
        f"{table.owner}: {table.name} must {rule}. Got {shown(value)} at {table.place(*found)}."
    )


def check_observed(table: Table, threads: int, *, columns: bool) -> None:
    """Refuse rows, and perhaps columns, of which nobody observed anything, if values may be missing."""
    if not table.missing_allowed:
        return
    row, column = table.rows.find_unobserved(threads)
    name, found = table.name, None
    if row is not None:
        found = f"have an observed value in every row (leave rows without any out). Got only NaN in row {row}"
    elif columns and column is not None:
        named = "" if table.feature_names is None else f" ({table.feature_names[column]!r})"
        found = f"have an observed value in every column. Got only NaN in column {column}{named}"
    if found is not None:
        raise InvalidDataError(f"{table.owner}: {name} must {found}.")


def check_features(table: Table, count: int, names: tuple[str, ...] | None) -> None:
    """Compare the columns with those the estimator was fitted on."""
    owner, name = table.owner, table.name
    # Names first, as scikit-learn does: of columns too few, they tell which are missing.
    if names is not None and table.feature_names is not None and names != table.feature_names:
        raise InvalidDataError(_names_differ(owner, name, names, table.feature_names))
    if table.rows.features != count:
        # scikit-learn's words, to the letter: its tests look for them.
        raise InvalidDataError(
            f"{name} has {table.rows.features} features, but {owner} is expecting {count} features as input"
        )
    if names is not None and table.feature_names is None:
        warnings.warn(
            f"{name} does not have valid feature names, but {owner} was fitted with feature names",
            stacklevel=4,
        )
    elif names is None and table.feature_names is not None:
        warnings.warn(
            f"{name} has feature names, but {owner} was fitted without feature names",
            stacklevel=4,
        )


def _names_differ(owner: str, name: str, fitted: tuple[str, ...], found: tuple[str, ...]) -> str:
    lines = [
        "The feature names should match those that were passed during fit.",
    ]
    for title, some, others in (
        ("Feature names unseen at fit time:", found, set(fitted)),
        ("Feature names seen at fit time, yet now missing:", fitted, set(found)),
    ):
        differing = [feature for feature in some if feature not in others]
        if differing:
            lines += [title, *(f"- {feature}" for feature in differing[:5])]
            lines += ["- ..."] if len(differing) > 5 else []
    if len(lines) == 1:
        lines.append("Feature names must be in the same order as they were in fit.")
    return f"{owner}: {name}: " + "\n".join(lines) + "\n"


def _refuse_masked(data: object, refuse: Any) -> None:
    # Whoever passes such an object has loaded its module; we must not.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(data, masked.MaskedArray):
        raise refuse(
            "have no masked values",
            "a masked array. Fill the gaps with .filled(value), or pass .data if none is masked",
        )


def _as_array(data: object, refuse: Any) -> AnyArray:
    if isinstance(data, (str, bytes)):
        raise refuse("be a 2-D array of numbers", f"a {type(data).__name__}")
    try:
        return np.asarray(data)
    # What an object's own __array__ raises is up to it: torch, for one, raises RuntimeError and TypeError.
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise refuse(
            "be something NumPy makes a 2-D array of",
            f"{type(data).__name__}, of which it says: {str(error).rstrip('.')}",
        ) from error


def _kind_of_object(data: object) -> str:
    """Return what to call an object that NumPy takes for a single value."""
    if data is None:
        return "None"
    advice = ". Rows that come in blocks are for fit_blocks" if isinstance(data, Iterator) else ""
    return f"an object of type {type(data).__name__}{advice}"


def _as_numbers(array: AnyArray, column: str, refuse: Any) -> AnyArray:
    """Return the array itself; if it holds objects, their values as float64, as scikit-learn takes them."""
    if array.dtype.kind != "O":
        _refuse_dtype(array.dtype, column, refuse)
        return array
    try:
        return array.astype(np.float64)
    # Python's words, which scikit-learn passes on: "float() argument must be a string or a real number, ..."
    except (ValueError, TypeError, OverflowError) as error:
        raise refuse(
            f"hold real numbers ({_ACCEPTED})", f"dtype object{column}, of which NumPy says: {error}"
        ) from error


def _refuse_dtype(dtype: np.dtype[Any], column: str, refuse: Any) -> None:
    """Refuse what is no real number that the core reads as it stands in memory."""
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        if dtype.isnative:
            return
        raise refuse(
            "have native byte order",
            f"dtype {dtype}{column}. Convert it with .astype({dtype.newbyteorder('=').str!r})",
        )
    advice = {
        "c": ". Complex data not supported",
        "f": ". Convert it with .astype(numpy.float64)",
        "U": ". If it holds numbers, convert it with .astype(numpy.float32)",
        "S": ". If it holds numbers, convert it with .astype(numpy.float32)",
        "M": ". Convert it to numbers first: the time since a chosen moment, or the hour of the day",
        "m": ". Convert it to numbers first, by dividing by a numpy.timedelta64",
    }.get(dtype.kind, "")
    if dtype.names is not None:
        advice = ". Pass its fields as the columns of one plain array"
    raise refuse(f"hold real numbers ({_ACCEPTED})", f"dtype {dtype}{column}{advice}")


# ---- Frames ----


def is_frame(data: object, module: str) -> bool:
    """Return whether this is a DataFrame of a library, which then is loaded; we must not load it."""
    frame_class = getattr(sys.modules.get(module), "DataFrame", None)
    return frame_class is not None and isinstance(data, frame_class)


def _frame_columns(data: Any, missing_allowed: bool, refuse: Any) -> list[AnyArray] | None:
    """Return the columns of a pandas or polars frame as arrays, views if possible; None for anything else.

    Columns, because a frame may hold several types, and to bring it to one array would copy it whole.
    """
    if is_frame(data, "pandas"):
        return [
            _pandas_column(data.iloc[:, index], label, missing_allowed, refuse)
            for index, label in enumerate(data.columns)
        ]
    if is_frame(data, "polars"):
        return [_polars_column(series, missing_allowed, refuse) for series in data.get_columns()]
    return None


def _pandas_column(series: Any, label: object, missing_allowed: bool, refuse: Any) -> AnyArray:
    where = f" in column {label!r}"
    if isinstance(series.dtype, np.dtype):
        return _as_numbers(series.to_numpy(copy=False), where, refuse)
    types = sys.modules["pandas"].api.types
    is_number = types.is_numeric_dtype(series.dtype) or types.is_bool_dtype(series.dtype)
    # Categories are labels even if they are numbers; sparse columns would be unpacked.
    if not is_number or series.dtype.name == "category" or hasattr(series, "sparse"):
        raise refuse(
            f"hold plain numbers ({_ACCEPTED})",
            f"dtype {series.dtype}{where}. If it holds numbers, convert it with .astype('float32')",
        )
    # Numbers beside a mask of those that are missing, or of pyarrow.
    missing = series.isna().to_numpy()
    if not missing.any():
        return _as_numbers(series.to_numpy(), where, refuse)
    if not missing_allowed:
        raise refuse("not contain NaN, null or infinity", f"a null at row {int(missing.argmax())}{where}")
    gaps: AnyArray = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return gaps


def _polars_column(series: Any, missing_allowed: bool, refuse: Any) -> AnyArray:
    where = f" in column {series.name!r}"
    if not (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
        raise refuse(f"hold real numbers ({_ACCEPTED})", f"dtype {series.dtype}{where}")
    if series.null_count() > 0 and not missing_allowed:
        row = int(series.is_null().arg_max())
        raise refuse("not contain NaN, null or infinity", f"a null at row {row}{where}")
    column: AnyArray = series.to_numpy()
    _refuse_dtype(column.dtype, where, refuse)
    return column


def _as_one_array(columns: Sequence[AnyArray]) -> AnyArray | None:
    """Return a 2-D view of columns that lie evenly spaced in memory, as most frames have them; else None.

    One array is read faster than separate columns. The view does not keep all the columns alive: the caller
    must.
    """
    first = columns[0]
    addresses = [column.__array_interface__["data"][0] for column in columns]
    spacing = addresses[1] - addresses[0] if len(columns) > 1 else 0
    for index, column in enumerate(columns):
        if column.dtype != first.dtype or column.strides != first.strides:
            return None
        if addresses[index] != addresses[0] + index * spacing:
            return None
    return np.lib.stride_tricks.as_strided(
        first, (len(first), len(columns)), (first.strides[0], spacing), writeable=False
    )


def _feature_names(data: Any) -> tuple[str, ...] | None:
    """Return the names of a frame's columns if they are all strings, else None."""
    if is_frame(data, "pandas") or is_frame(data, "polars"):
        labels = data.columns
    else:
        labels = getattr(data, "column_names", None)  # pyarrow's tables; their .columns are the data
    if labels is None or callable(labels):
        return None
    names = tuple(labels)
    return tuple(str(name) for name in names) if all(isinstance(name, str) for name in names) else None
