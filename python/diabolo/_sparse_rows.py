"""scipy.sparse matrices and arrays as rows of the core: what is converted, sorted in a copy, or refused.

Nothing here imports SciPy: whoever passes such an object has loaded it.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from diabolo._core import Rows
from diabolo._types import AnyArray
from diabolo.exceptions import InvalidDataError

# Arrays from outside may say anything, so formats are converted only where that cannot leave their memory.
_CONVERTED = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")

_Refuse = Callable[[str, str], InvalidDataError]


def is_sparse(data: object) -> bool:
    """Return whether this is a matrix or an array of scipy.sparse."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data))


def as_csr(data: Any, refuse: _Refuse) -> Any:
    """Return `data` in compressed sparse rows, in order and without duplicates.

    The object itself if it is so already, else a converted, sorted copy; the elements that it stores twice
    are added up, as SciPy takes them.

    Parameters
    ----------
    data : sparse matrix or array, shape (rows, features)
        Of at least one row and one column.
    refuse : callable
        Makes the error of a rule and of what was found.

    Raises
    ------
    InvalidDataError
        An index lies outside of the matrix, or the arrays do not fit each other.
    """
    csr = data if data.format == "csr" else _converted(data, refuse)
    defect = _defect(csr, csr.shape, "row", "column", refuse)
    if not defect:
        return csr
    # A copy, since the caller's arrays stay as they are. Its flags must not hide what was found.
    csr = type(csr)((csr.data.copy(), csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
    csr.has_sorted_indices = csr.has_canonical_format = False
    csr.sum_duplicates()
    return csr


def rows_of(csr: Any) -> Rows:
    """Return the rows of a matrix that `as_csr` returned."""
    return Rows.from_sparse(*_arrays(csr), csr.shape[1])


def _arrays(compressed: Any) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return values, indices and starts, adjacent in memory and with indices of 32 or 64 bits."""

    def indices(array: AnyArray) -> AnyArray:
        return np.ascontiguousarray(array, dtype=array.dtype if array.dtype in ("i4", "i8") else np.int64)

    return np.ascontiguousarray(compressed.data), indices(compressed.indices), indices(compressed.indptr)


def _defect(compressed: Any, shape: tuple[int, int], line: str, place: str, refuse: _Refuse) -> bool:
    """Return whether indices are out of order; raise InvalidDataError if they are out of range."""
    lines, width = shape
    values, indices, starts = _arrays(compressed)
    if any(array.ndim != 1 for array in (values, indices, starts)) or len(values) != len(indices):
        raise refuse(
            "have as many sparse values as indices",
            f"arrays of shapes {values.shape} and {indices.shape}",
        )
    if len(starts) != lines + 1:
        raise refuse(f"have an indptr of {lines + 1} entries for {lines} sparse {line}s", f"{len(starts)}")
    defect = Rows.sparse_defect(values, indices, starts, width)
    if defect is None:
        return False
    kind, at, found = defect
    if kind == "starts":
        rule = f"have an indptr that ascends from 0 to at most {len(indices)}, the number of sparse indices"
        raise refuse(rule, f"{found} at position {at}")
    if kind == "out_of_range":
        raise refuse(f"have sparse indices in [0, {width})", f"{place} {found} in {line} {at}")
    return True


def _converted(data: Any, refuse: _Refuse) -> Any:
    """Return another format as CSR. What SciPy's conversion would follow blindly is looked at first."""
    if data.format not in _CONVERTED:
        raise refuse("be in compressed sparse rows (CSR)", f"format {data.format!r}. Convert it to CSR")
    if data.format == "csc":
        _defect(data, data.shape[::-1], "column", "row", refuse)
    elif data.format == "coo":
        for indices, size, name in zip((data.row, data.col), data.shape, ("row", "column"), strict=True):
            outside = (indices < 0) | (indices >= size)
            if outside.any():
                found = indices[int(outside.argmax())]
                raise refuse(f"have sparse indices in [0, {size})", f"{name} {found}")
    elif data.format == "bsr":
        try:
            data.check_format(full_check=True)
        except ValueError as error:
            raise refuse("be a sound sparse matrix", f"one of which SciPy says: {error}") from error
    return data.tocsr()
