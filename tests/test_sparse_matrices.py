"""Sparse matrices as X: formats, order of elements, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from core_helpers import (
    digest,
)
from diabolo import (
    AutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    ReconstructionOutlierDetector,
)
from sparse_matrices import counts


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("format_", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_formats(format_: str, container: Any) -> None:
    X = counts(40, 12)
    X.eliminate_zeros()
    given = container(X).asformat(format_)
    ae = AutoEncoder(3, epochs=2, random_state=0).fit(given)
    expected = AutoEncoder(3, epochs=2, random_state=0).fit(X)
    assert digest(ae.get_weights()) == digest(expected.get_weights())
    np.testing.assert_array_equal(ae.transform(given), expected.transform(X))


@pytest.mark.parametrize("lies", [False, True])
def test_disorder_and_duplicates_are_mended_in_a_copy(lies: bool) -> None:
    """Also where SciPy's own flags, which changing the arrays leaves as they are, say all is well."""
    X = sparse.csr_array(
        (np.arange(1.0, 8.0), np.array([4, 1, 0, 2, 2, 3, 0]), np.array([0, 2, 5, 7])), shape=(3, 5)
    )
    if lies:
        X.has_sorted_indices = X.has_canonical_format = True
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    ae = AutoEncoder(2, epochs=2, random_state=0).fit(X)
    dense = np.array([[0, 2, 0, 0, 1], [3, 0, 9, 0, 0], [7, 0, 0, 6, 0]], dtype=np.float64)
    expected = AutoEncoder(2, epochs=2, random_state=0).fit(dense)
    assert digest(ae.get_weights()) == digest(expected.get_weights())
    np.testing.assert_array_equal(ae.transform(X), expected.transform(dense))
    assert all(np.array_equal(*pair) for pair in zip(before, (X.data, X.indices, X.indptr), strict=True))


def broken_matrices() -> dict[str, tuple[Any, str]]:
    def changed(format_: str = "csr", **arrays: Any) -> Any:
        X = sparse.random(5, 6, 0.4, format=format_, random_state=1, dtype=np.float64)
        for name, change in arrays.items():
            array = getattr(X, name).copy()
            change(array)
            setattr(X, name, array)
        return X

    def at(place: int, value: float) -> Any:
        return lambda array: array.__setitem__(place, value)

    too_short = changed()
    too_short.indptr = too_short.indptr[:-1]
    unequal = changed()
    unequal.data = unequal.data[:-1]
    return {
        "beyond": (changed(indices=at(3, 6)), r"sparse indices in \[0, 6\)\. Got column 6 in row"),
        "negative": (changed(indices=at(0, -1)), r"sparse indices in \[0, 6\)\. Got column -1 in row 0"),
        "starts": (changed(indptr=at(2, 99)), "indptr that ascends from 0 .* Got 99 at position 2"),
        "descending": (changed(indptr=at(1, -3)), "indptr that ascends from 0 .* Got -3 at position 1"),
        "first": (changed(indptr=at(0, 1)), "indptr that ascends from 0 .* Got 1 at position 0"),
        "too short": (too_short, "indptr of 6 entries for 5 sparse rows. Got 5"),
        "unequal": (unequal, "as many sparse values as indices"),
        "csc beyond": (changed("csc", indices=at(3, 5)), r"sparse indices in \[0, 5\)\. Got row 5 in column"),
        "coo beyond": (changed("coo", row=at(3, 5)), r"sparse indices in \[0, 5\)\. Got row 5"),
        "coo negative": (changed("coo", col=at(3, -2)), r"sparse indices in \[0, 6\)\. Got column -2"),
        "nan": (changed(data=at(4, np.nan)), "not contain NaN or infinity. Got nan at row"),
        "too large": (changed(data=at(4, 1e39)), "not exceed the range of float32"),
        "complex": (changed().astype(complex), "hold real numbers .* Got dtype complex128"),
        "no rows": (sparse.csr_array((0, 6)), r"at least one row. Got 0 sample\(s\)"),
        "no columns": (sparse.csr_array((5, 0)), r"at least one column. Got 0 feature\(s\)"),
        "1-D": (sparse.coo_array(np.ones(6)), "be 2-D, .* Got 1-D sparse data"),
    }


@pytest.mark.parametrize("case", broken_matrices())
def test_refused_matrices(case: str) -> None:
    bad, message = broken_matrices()[case]
    ae = AutoEncoder(2, epochs=1, random_state=0).fit(counts(5, 6))
    before = digest(ae.get_weights())
    for call in (ae.fit, ae.partial_fit, ae.transform, ae.reconstruct, ae.score_samples):
        with pytest.raises(InvalidDataError, match=f"AutoEncoder: X must .*{message}"):
            call(bad)
    with pytest.raises(InvalidDataError, match=f"AutoEncoder: X_val must .*{message}"):
        ae.fit(counts(5, 6), X_val=bad)
    assert digest(ae.get_weights()) == before


def test_an_invalid_value_is_named_by_its_place() -> None:
    X = counts()
    row, place = 100, int(X.indptr[100])
    X.data[place] = np.inf
    column = int(X.indices[place])
    for call in (AutoEncoder(2).fit, AutoEncoder(2, epochs=1).fit(counts()).transform):
        with pytest.raises(InvalidDataError, match=f"Got inf at row {row}, column {column}"):
            call(X)
    X.data[place] = 1.5
    with pytest.raises(InvalidDataError, match=rf"lie in \[0, 1\] .* Got 1.5 at row {row}, column {column}"):
        AutoEncoder(2, loss="binary_crossentropy").fit(X)


REFUSED_PARAMETERS = [
    (AutoEncoder(2, scale="standard"), "scale must be None when (X|a block) is sparse .* Got 'standard'"),
    (AutoEncoder(2, scale="minmax"), "scale must be None when (X|a block) is sparse .* Got 'minmax'"),
    (
        DenoisingAutoEncoder(2, corruption="gaussian"),
        "corruption must be 'masking' when (X|a block) is sparse",
    ),
    (
        DenoisingAutoEncoder(2, corruption="salt_and_pepper"),
        "corruption must be 'masking' when (X|a block) is sparse",
    ),
    (DenoisingAutoEncoder(2, clean_weight=0.5), "clean_weight must be 1 when (X|a block) is sparse"),
    (DenoisingAutoEncoder(2, corrupted_weight=2), "corrupted_weight must be 1 when (X|a block) is sparse"),
    (AutoEncoder(2, missing="mask"), "missing must be 'error' when (X|a block) is sparse"),
    (AutoEncoder(2, loss="kl_divergence"), "loss must be none of .* when (X|a block) is sparse"),
    (AutoEncoder(2, zeros="unknown"), "zeros must be one of 'values', 'missing'. Got 'unknown'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("ae", "message"), REFUSED_PARAMETERS)
def test_refused_parameters(ae: Any, message: str) -> None:
    for call in (ae.fit, ae.partial_fit, lambda X: ae.fit_blocks([X])):
        with pytest.raises(InvalidParameterError, match=f"{type(ae).__name__}: {message}"):
            call(counts())


def test_what_only_dense_or_only_sparse_rows_can_be() -> None:
    X = counts()
    ae = AutoEncoder(2, epochs=1, random_state=0)
    scaled = AutoEncoder(2, epochs=1, scale="standard").fit(X.toarray())
    with pytest.raises(InvalidDataError, match=r"X must be dense when scale='standard', which .* csr_array"):
        scaled.transform(X)
    with pytest.raises(InvalidParameterError, match="scale must be None when X_val is sparse"):
        scaled.fit(X.toarray(), X_val=X)
    with pytest.raises(InvalidDataError, match=r"X must be dense\. Got sparse data, csr_array"):
        ae.fit(X).inverse_transform(sparse.csr_array(np.eye(2)))
    with pytest.raises(InvalidDataError, match=r"X must be dense\. Got sparse data"):
        ReconstructionOutlierDetector().fit(X)
    missing = AutoEncoder(2, epochs=1, zeros="missing", random_state=0)
    with pytest.raises(InvalidParameterError, match="zeros must be 'values' when X is dense"):
        missing.fit(X.toarray())
    with pytest.raises(InvalidParameterError, match="zeros must be 'values' when X_val is dense"):
        missing.fit(X, X_val=X.toarray())
    missing.fit(X)
    with pytest.raises(InvalidDataError, match="X must be sparse for errors when zeros='missing'"):
        missing.score_samples(X.toarray())
    np.testing.assert_array_equal(missing.transform(X.toarray()), missing.transform(X))
    with pytest.raises(InvalidParameterError, match="zeros must be 'values' for to_c"):
        missing.to_c("never.h")
    with pytest.raises(InvalidParameterError, match="zeros must be 'values' for part='scores'"):
        missing.to_onnx("never.onnx", part="scores")
    # Only training adds noise.
    noisy = DenoisingAutoEncoder(2, corruption="gaussian", epochs=1).fit(X.toarray(), X_val=X)
    np.testing.assert_array_equal(noisy.transform(X), noisy.transform(X.toarray()))


def test_a_kind_says_itself_that_it_takes_sparse_rows() -> None:
    class Mine(AutoEncoder):  # a user's
        pass

    class AnotherKind(AutoEncoder):
        __module__ = "diabolo._another_kind"

    X = counts()
    assert Mine(2, epochs=1).fit(X).__sklearn_tags__().input_tags.sparse
    assert not AnotherKind().__sklearn_tags__().input_tags.sparse
    assert not AutoEncoder(scale="standard").__sklearn_tags__().input_tags.sparse
    with pytest.raises(InvalidDataError, match=r"X must be dense\. Got sparse data"):
        AnotherKind(2, epochs=1).fit(X)
