"""Tables of results as commands write them: to stdout as text, or to files, replaced in one step."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diabolo import _core
from diabolo._cli_errors import CommandError
from diabolo._types import AnyArray

FORMATS = (".npy", ".csv", ".tsv", ".parquet")
_ROWS_AT_ONCE = 10_000


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Declare where the table goes."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where to write: {', '.join(FORMATS)} (default: to stdout, as .csv)",
    )


def check_output(path: Path | None, formats: Sequence[str] = FORMATS) -> None:
    """Refuse, before any work, a file that could not be written."""
    if path is None:
        return
    if path.suffix not in formats:
        raise CommandError(f"--output must end in one of {', '.join(formats)}. Got {str(path)!r}.")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Refuse, before any work, a file in a folder that is not there or may not be written to."""
    if path.is_dir():
        raise CommandError(f"--output {path}: this is a folder")
    if not path.parent.is_dir():
        raise CommandError(f"--output {path}: there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise CommandError(f"--output {path}: the folder may not be written to")


def write_table(table: AnyArray, names: Sequence[str], path: Path | None) -> None:
    """Write a table of (rows, columns) with these names for its columns."""
    if path is None:
        _write_text(table, names, ",", sys.stdout)
    elif path.suffix == ".parquet":
        _replace(path, _parquet(table, names))
    elif path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, table, allow_pickle=False)
        _replace(path, buffer.getvalue())
    else:
        text = io.StringIO(newline="")
        _write_text(table, names, "\t" if path.suffix == ".tsv" else ",", text)
        _replace(path, text.getvalue().encode())


def _replace(path: Path, contents: bytes) -> None:
    _core.replace_file(os.fsdecode(path), contents)


def _write_text(table: AnyArray, names: Sequence[str], delimiter: str, file: Any) -> None:
    import csv

    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names)
    for begin in range(0, len(table), _ROWS_AT_ONCE):
        # The shortest digits that read back as the same float32.
        writer.writerows(table[begin : begin + _ROWS_AT_ONCE].astype(str).tolist())


def _parquet(table: AnyArray, names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    columns = {name: table[:, number] for number, name in enumerate(names)}
    for library, method in (("polars", "write_parquet"), ("pandas", "to_parquet")):
        try:
            frame = importlib.import_module(library).DataFrame(columns)
            getattr(frame, method)(buffer)
        except ImportError:
            continue
        return buffer.getvalue()
    raise CommandError("writing .parquet needs polars, or pandas with pyarrow: pip install polars")
