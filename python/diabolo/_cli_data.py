"""Rows of numbers in files, as commands read them: .npy, .npz, .csv and .parquet.

A cell that is no number is refused with its file, row and column, unless it is empty or NaN and the model
takes such values as missing. Files of text are read whole; a .npy file is mapped into memory, and so may be
larger than that.
"""

import argparse
import csv
import importlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diabolo._array_files import read_arrays
from diabolo._cli_errors import CommandError
from diabolo._types import AnyArray

FORMATS = (".npy", ".npz", ".csv", ".tsv", ".parquet")
_DELIMITERS = (",", "\t", ";")


class NamedRows:
    """An array whose columns have names: as much of a frame as the estimators ask for."""

    def __init__(self, array: AnyArray, column_names: Sequence[str]) -> None:
        self.array = array
        self.column_names = list(column_names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        return np.asarray(self.array, dtype)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Declare the rows to read and the choice of their columns."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help=f"the rows: {', '.join(FORMATS)}; a first line of names is seen",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--columns", metavar="A,B,...", help="use these columns only: names, or numbers from 0"
    )
    choice.add_argument("--drop", metavar="A,B,...", help="use all columns but these")


def read_rows(path: Path, arguments: argparse.Namespace, *, missing: bool) -> Any:
    """Return the rows of a file, as `fit` and the others take them; raise CommandError.

    With `missing`, a cell of text that is empty or "nan" is a missing value, NaN.
    """
    if path.suffix in (".npy", ".npz"):
        array, _, _ = read_arrays(path)
        # Whatever has more than two dimensions is one row per first index.
        rows = array.reshape(len(array), -1) if array.ndim > 2 and array.size else array
        chosen = _chosen(path, arguments, None, rows.shape[1]) if rows.ndim == 2 else None
        return rows if chosen is None else rows[:, chosen]
    if path.suffix in (".csv", ".tsv"):
        return _read_text(path, arguments, missing)
    if path.suffix == ".parquet":
        return _read_parquet(path, arguments)
    raise CommandError(f"{path}: DATA must end in one of {', '.join(FORMATS)}")


def _chosen(
    path: Path, arguments: argparse.Namespace, names: Sequence[str] | None, count: int
) -> list[int] | None:
    """Return the numbers of the columns to use; None for all."""
    listed = arguments.columns if arguments.columns is not None else arguments.drop
    if listed is None:
        return None
    numbers = []
    for item in (part.strip() for part in listed.split(",")):
        if names is not None and item in names:
            numbers.append(list(names).index(item))
        elif item.isdecimal() and int(item) < count:
            numbers.append(int(item))
        else:
            there = f"its names are {', '.join(names)}" if names else f"it has {count}, without names"
            raise CommandError(f"{path}: there is no column {item!r}: {there}")
    if arguments.columns is not None:
        return numbers
    return [number for number in range(count) if number not in numbers]


def _read_parquet(path: Path, arguments: argparse.Namespace) -> Any:
    if not path.is_file():
        raise CommandError(f"{path}: {'not a file' if path.exists() else 'No such file or directory'}")
    for library in ("polars", "pandas"):
        try:
            frame = importlib.import_module(library).read_parquet(path)
        except ImportError:  # pandas raises it too, if there is no pyarrow
            continue
        except Exception as error:  # what their readers raise for a damaged file is up to them
            raise CommandError(f"{path}: not a parquet file: {error}") from None
        names = [str(name) for name in frame.columns]
        chosen = _chosen(path, arguments, names, len(names))
        return frame if chosen is None else frame[[frame.columns[number] for number in chosen]]
    raise CommandError(f"{path}: reading .parquet needs polars, or pandas with pyarrow: pip install polars")


# ---- Text ----


def _read_text(path: Path, arguments: argparse.Namespace, missing: bool) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{path}: not text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None
    first = text[: re.match(r"[^\r\n]*", text).end()]  # type: ignore[union-attr]
    delimiter = "\t" if path.suffix == ".tsv" else max(_DELIMITERS, key=first.count)
    _, cells = next(_lines_of_cells(path, first, delimiter), (1, []))
    if not cells:
        raise CommandError(f"{path}: its first line must hold numbers or names. It is empty.")
    names = None if all(_number(cell) is not None for cell in cells) else [cell.strip() for cell in cells]
    if names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CommandError(f"{path}: the names of its columns must differ. {twice!r} is there twice.")
    columns = _chosen(path, arguments, names, len(cells))
    used = range(len(cells)) if columns is None else columns
    body = text[len(first) :] if names is not None else text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty file, which the estimator will refuse
            array = np.loadtxt(
                io.StringIO(body), delimiter=delimiter, quotechar='"', comments=None, usecols=used, ndmin=2
            ).reshape(-1, len(used))
        lines = sum(1 for line in body.splitlines() if line.strip())
        cells_follow = body.count(delimiter) == (len(cells) - 1) * len(array)
        closed = body.count('"') % 2 == 0
        sound = lines == len(array) and cells_follow and closed and bool(np.isfinite(array).all())
    except ValueError:
        sound = False
    if not sound:
        # Slowly, to say where. What is sound after all (quoted line breaks) is taken from there too.
        array = _parsed(path, text, delimiter, names, len(cells), used, missing)
    if not len(array):
        raise CommandError(f"{path}: it must have at least one row below the names of its columns. Got none.")
    return array if names is None else NamedRows(array, [names[number] for number in used])


def _parsed(
    path: Path,
    text: str,
    delimiter: str,
    names: list[str] | None,
    count: int,
    used: Sequence[int],
    missing: bool,
) -> AnyArray:
    """Return the numbers, read cell by cell; raise CommandError for the first that is none."""
    rows: list[list[float]] = []
    lines = _lines_of_cells(path, text, delimiter)
    if names is not None:
        next(lines)
    for line, cells in lines:
        if not cells:
            continue  # an empty line
        where = f"{path}: row {len(rows)} (line {line})"
        if len(cells) != count:
            raise CommandError(f"{where} must have {count} cells, as the first line has. Got {len(cells)}.")
        row: list[float] = []
        for number in used:
            value = _number(cells[number], missing)
            if value is None or not (math.isfinite(value) or (missing and math.isnan(value))):
                named = "" if names is None else f" ({names[number]!r})"
                raise CommandError(
                    f"{where}, column {number}{named} must be a finite number. Got {cells[number]!r}."
                )
            row.append(value)
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, len(used))


def _lines_of_cells(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each line's number from 1 and its cells; raise CommandError where quotes are amiss.

    Quotes may join several lines, which then have the number of the last.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            limit = csv.field_size_limit()
            if "unexpected end" in str(error):
                what = "a quotation mark in it is never closed"
            elif "field limit" in str(error):
                what = f"a quotation mark in it is never closed, or a cell is longer than {limit} characters"
            else:
                what = f"its quotes are amiss: {error}"
            raise CommandError(f"{path}: line {begin}: {what}") from None
        if cells is None:
            return
        yield reader.line_num, cells


def _number(cell: str, missing: bool = False) -> float | None:
    if missing and not cell.strip():
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None
