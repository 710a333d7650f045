"""The demo's data: digits or a user's file, split and scaled; and the shape of what is found in them."""

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diabolo import InvalidDataError, _core
from diabolo._array_files import read_arrays
from diabolo._cli_errors import CommandError
from diabolo._inputs import as_table, check_values
from diabolo._types import AnyArray, Float32Array

# Beyond this many numbers (200 MB as float32) a demo takes a random part of the rows.
_MAX_NUMBERS = 50_000_000
_MIN_ROWS = 10
_HELD_OUT = 0.25


class DemoError(CommandError):
    """What the demo cannot do as it was asked to."""


class Table(NamedTuple):
    """A whole data set, in its own units."""

    name: str
    rows: AnyArray  # (rows, features)
    labels: AnyArray | None  # (rows,)
    label: str  # what a label is
    image_shape: tuple[int, ...] | None  # of a row: (height, width) or (height, width, channels)
    part_of: int | None = None  # how many rows there were, if these are only some of them


class Split(NamedTuple):
    """Training rows and held-out rows, scaled alike by what the training rows show."""

    name: str
    train: Float32Array  # (rows, features)
    held_out: Float32Array  # (rows, features)
    held_out_labels: AnyArray | None
    label: str
    image_shape: tuple[int, ...] | None
    part_of: int | None
    units: str

    @property
    def features(self) -> int:
        return int(self.train.shape[1])


class Result(NamedTuple):
    """What a method makes of the held-out rows."""

    components: int
    codes: Float32Array  # (rows, components)
    reconstructed: Float32Array  # (rows, features)
    row_errors: Float32Array  # (rows,) mean squared error

    @property
    def error(self) -> float:
        return float(self.row_errors.mean(dtype=np.float64))


class Findings(NamedTuple):
    """All that the picture shows."""

    data: Split
    autoencoder: Result
    pca: Result
    plane: Result  # of a second autoencoder, with a code of two tanh units
    pca_plane: Result  # of PCA with two components, or as many as there can be
    history: dict[str, list[float]]


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: "1 row", "1,797 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def needs_extra() -> Iterator[None]:
    """Turn the absence of scikit-learn or matplotlib into advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DemoError(
            f"the demo needs scikit-learn and matplotlib, and {error.name} is missing: "
            'pip install "diabolo[demo]"'
        ) from None


def load_digits() -> Table:
    """Return scikit-learn's handwritten digits."""
    with needs_extra():
        digits = importlib.import_module("sklearn.datasets").load_digits()
    return Table("handwritten digits (scikit-learn)", digits.data, digits.target, "digit", (8, 8))


def load_file(path: Path, seed: int) -> Table:
    """Return the rows, and the labels if there are any, of a .npy or .npz file."""
    if path.suffix not in (".npy", ".npz"):
        raise DemoError(f"--data must name a .npy or .npz file. Got {str(path)!r}.")
    array, labels, array_name = read_arrays(path)
    if array.ndim >= 1 and array.dtype.kind in "biuf" and len(array) < _MIN_ROWS:
        raise DemoError(f"{path}: {array_name} must have at least {_MIN_ROWS} rows. Got {len(array)}.")
    # Whatever has more than two dimensions is one row per first index.
    rows = array.reshape(len(array), -1) if array.ndim > 2 and array.size else array
    try:
        check_values(as_table(rows, str(path), array_name), threads=_core.usable_threads())
    except InvalidDataError as error:
        raise DemoError(str(error)) from None
    if labels is not None and labels.shape != (len(rows),):
        raise DemoError(
            f"{path}: the labels must be one for each of the {len(rows)} rows. Got shape {labels.shape}."
        )
    table = Table(path.name, np.asarray(rows), labels, "label", _image_shape(array))
    most = max(_MIN_ROWS, _MAX_NUMBERS // rows.shape[1])
    if len(rows) <= most:
        return table
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    return table._replace(
        rows=table.rows[some], labels=None if labels is None else labels[some], part_of=len(rows)
    )


def _image_shape(array: AnyArray) -> tuple[int, ...] | None:
    """Return the shape of a row's picture, if a row is one."""
    if array.ndim == 3:
        return array.shape[1:]
    if array.ndim == 4 and array.shape[3] in (1, 3):
        return array.shape[1:] if array.shape[3] == 3 else array.shape[1:3]
    if array.ndim != 2:
        return None
    # Flat rows are taken for pictures if they make a square of what pixels usually are.
    side = round(array.shape[1] ** 0.5)
    sample = array[:1000]
    are_pixels = sample.min() >= 0 and (sample.max() <= 1 or (sample.max() <= 255 and not (sample % 1).any()))
    return (side, side) if side >= 8 and side**2 == array.shape[1] and are_pixels else None


def split(table: Table, seed: int) -> Split:
    """Set rows aside at random; scale pictures as a whole to [0, 1], other features each to variance 1."""
    order = np.random.default_rng(seed).permutation(len(table.rows))
    held_out = order[: max(1, round(_HELD_OUT * len(order)))]
    train = order[len(held_out) :]
    training_rows = table.rows[train]
    shift: Any
    scale: Any
    if table.image_shape is not None:
        units = "pixels in [0, 1]"
        shift = np.float32(min(0.0, float(training_rows.min())))
        extent = np.float32(training_rows.max()) - shift
        scale = extent if extent > 0 else np.float32(1.0)
    else:
        units = "features scaled to variance 1"
        shift = training_rows.mean(axis=0, dtype=np.float64)
        scale = training_rows.std(axis=0, dtype=np.float64)
        scale[scale <= 1e-9 * np.abs(shift)] = 1.0  # constant columns: what is left of them is rounding

    def scaled(rows: AnyArray) -> Float32Array:
        result: Float32Array = ((rows - shift) / scale).astype(np.float32)
        return result

    return Split(
        table.name,
        scaled(training_rows),
        scaled(table.rows[held_out]),
        None if table.labels is None else table.labels[held_out],
        table.label,
        table.image_shape,
        table.part_of,
        units,
    )
