"""Sparse rows that tests train on."""

from typing import Any

import numpy as np
from scipy import sparse

from diabolo import _core


def counts(rows: int = 200, features: int = 60, density: float = 0.1, seed: int = 0) -> Any:
    """Return a CSR array of numbers in (0, 1]; some of its rows are empty, and some zeros are stored."""
    random = np.random.default_rng(seed)
    dense = random.random((rows, features)) * (random.random((rows, features)) < density)
    dense[rows // 3 : rows // 3 + 3] = 0
    X = sparse.csr_array(dense.astype(np.float32))
    X.data[:: max(1, X.nnz // 7)] = 0.0
    return X


def rows_of(X: Any) -> _core.Rows:
    return _core.Rows.from_sparse(X.data, X.indices, X.indptr, X.shape[1])


def stored(X: Any) -> Any:
    """Return where X has elements of its own, zeros among them."""
    mask = np.zeros(X.shape, dtype=bool)
    for row, (begin, end) in enumerate(zip(X.indptr, X.indptr[1:], strict=False)):
        mask[row, X.indices[begin:end]] = True
    return mask
