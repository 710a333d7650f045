"""Data as they come: what is taken as it stands, with what results, and what is refused with which words."""

import datetime
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diabolo
from diabolo import AutoEncoder

DTYPES = ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]


def estimator(**changes: Any) -> AutoEncoder:
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (3,),
        "epochs": 2,
        "batch_size": 16,
        "random_state": 3,
    }
    return AutoEncoder(**{**settings, **changes})


def small_ints(rows: int = 50, features: int = 4) -> Any:
    """Return numbers that every type holds exactly: even bool, as 0 and 1."""
    return np.random.default_rng(1).integers(0, 2, (rows, features)).astype(np.float32)


def assert_same_model(a: AutoEncoder, b: AutoEncoder) -> None:
    weights, others = a.get_weights(), b.get_weights()
    assert weights.keys() == others.keys()
    for name in weights:
        np.testing.assert_array_equal(weights[name], others[name])


# ---- Accepted: the same numbers give the same model, however they lie in memory ----


@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type(dtype: str, scale: Any) -> None:
    X = small_ints()
    expected, ae = estimator(scale=scale).fit(X), estimator(scale=scale)
    codes = ae.fit_transform(X.astype(dtype))
    assert_same_model(ae, expected)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, expected.transform(X))


def test_float64_is_scaled_before_it_is_rounded() -> None:
    # In float32 these columns would be constant.
    X = 1e9 + np.random.default_rng(0).random((60, 3))
    codes = estimator(scale="standard").fit_transform(X)
    near_zero = X - 1e9
    expected = estimator(scale="standard").fit_transform(near_zero)
    assert np.ptp(codes, axis=0).min() > 0.1
    np.testing.assert_allclose(codes, expected, atol=1e-4)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "every_second": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "offset": lambda X: np.pad(X, ((3, 1), (2, 5)))[3:-1, 2:-5],
    "list": lambda X: X.tolist(),
    "tuple_of_rows": tuple,
    "pandas": pd.DataFrame,
    "pandas_by_column": lambda X: pd.DataFrame({str(i): X[:, i].copy() for i in range(X.shape[1])}),
    "pandas_mixed": lambda X: pd.DataFrame(
        {str(i): X[:, i].astype(dtype) for i, dtype in enumerate(("f8", "i4", "u1", "?"))}
    ),
    "pandas_strided": lambda X: pd.DataFrame(np.repeat(X, 2, axis=0)).iloc[::2],
    "polars": pl.DataFrame,
    "polars_mixed": lambda X: pl.DataFrame(
        {str(i): X[:, i].astype(dtype) for i, dtype in enumerate(("f8", "i4", "u1", "?"))}
    ),
    "polars_in_pieces": lambda X: pl.concat([pl.DataFrame(X[:20]), pl.DataFrame(X[20:])], rechunk=False),
    "unaligned": lambda X: np.frombuffer(b"?" + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(X.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
def test_every_layout(layout: str) -> None:
    X = small_ints()
    laid_out = LAYOUTS[layout](X)
    expected = estimator(scale="standard").fit(X)
    ae = estimator(scale="standard").fit(laid_out)
    assert_same_model(ae, expected)
    np.testing.assert_array_equal(ae.reconstruct(laid_out), expected.reconstruct(X))
    np.testing.assert_array_equal(ae.reconstruction_error(laid_out), expected.reconstruction_error(X))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 40),
    features=st.integers(1, 9),
    row_step=st.sampled_from([-3, -1, 1, 2]),
    column_step=st.sampled_from([-2, -1, 1, 3]),
    dtype=st.sampled_from(DTYPES),
    transposed=st.booleans(),
)
def test_every_stride(
    rows: int, features: int, row_step: int, column_step: int, dtype: str, transposed: bool
) -> None:
    plain = np.random.default_rng(rows).integers(0, 2, (rows * abs(row_step), features * abs(column_step)))
    base = plain.astype(dtype)
    if transposed:
        base = np.asfortranarray(base)
    X = base[::row_step, ::column_step]
    assert X.shape == (rows, features)
    ae = estimator().fit(X)
    assert_same_model(ae, estimator().fit(np.ascontiguousarray(X, dtype=np.float32)))


def test_read_only_and_unchanged(X: Any) -> None:
    X.setflags(write=False)
    before = X.copy()
    ae = estimator(scale="standard", validation_fraction=0.1).fit(X)
    ae.reconstruct(X), ae.reconstruction_error(X, per_feature=True)
    np.testing.assert_array_equal(X, before)


def test_memmap(X: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert_same_model(estimator().fit(mapped), estimator().fit(X))


class Tensor:
    """What a framework's tensor is to us: an object with __array__."""

    def __init__(self, array: Any, error: Exception | None = None) -> None:
        self.array, self.error = array, error

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.error is not None:
            raise self.error
        return self.array


def test_tensors(X: Any) -> None:
    assert_same_model(estimator().fit(Tensor(X)), estimator().fit(X))
    error = RuntimeError("Can't call numpy() on Tensor that requires grad.")
    with pytest.raises(diabolo.InvalidDataError, match="Got Tensor, of which it says: Can't call numpy"):
        estimator().fit(Tensor(X, error))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (257, 3), (17, 33)])
def test_awkward_shapes(shape: tuple[int, int]) -> None:
    X = np.random.default_rng(0).random(shape)
    ae = estimator(batch_size=16).fit(X)
    assert ae.transform(X).shape == (shape[0], 2)
    assert ae.reconstruct(X).shape == shape
    assert ae.n_features_in_ == shape[1]


def test_all_methods_take_validation_data_and_codes_of_any_kind(X: Any) -> None:
    frame = pd.DataFrame(X.astype(np.float64))
    ae = estimator().fit(X, X_val=np.asfortranarray(X[:20], dtype=np.float64))
    codes = ae.transform(X)
    np.testing.assert_array_equal(ae.inverse_transform(pd.DataFrame(codes)), ae.inverse_transform(codes))
    np.testing.assert_allclose(ae.inverse_transform(codes), ae.reconstruct(X), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(ae.transform(frame), codes)


# ---- Names of columns ----


def test_nullable_columns_that_lack_nothing(X: Any) -> None:
    flags = pd.DataFrame(X > 0.5)
    assert_same_model(estimator().fit(flags.astype("boolean")), estimator().fit(flags))
    assert_same_model(
        estimator().fit(pd.DataFrame(X).astype("Float64")), estimator().fit(X.astype(np.float64))
    )
    counts = pd.DataFrame((X * 100).astype(int))
    mixed = counts.astype({0: "Int64", 1: "UInt8"})
    assert_same_model(estimator(scale="minmax").fit(mixed), estimator(scale="minmax").fit(counts))


def test_feature_names(X: Any) -> None:
    names = list("abcdef")
    for frame in (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)):
        ae = estimator().fit(frame)
        assert ae.feature_names_in_.tolist() == names
        assert ae.feature_names_in_.dtype == object
        ae.transform(frame)
        with pytest.raises(
            ValueError, match=r"(?s)should match those that were passed during fit.*same order"
        ):
            ae.transform(frame[names[::-1]])
        with pytest.raises(ValueError, match=r"(?s)unseen at fit time:\n- z\n.*now missing:\n- a\n"):
            ae.transform(type(frame)(dict(zip("zbcdef", X.T, strict=True))))
        with pytest.warns(
            UserWarning, match="X does not have valid feature names, but AutoEncoder was fitted"
        ):
            ae.transform(X)
    ae = estimator().fit(X)
    assert not hasattr(ae, "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but AutoEncoder was fitted without"):
        ae.transform(pd.DataFrame(X, columns=names))
    assert not hasattr(estimator().fit(pd.DataFrame(X)), "feature_names_in_")


# ---- Refused ----

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
SHAPES_AND_TYPES = {
    "1-D": (np.ones(4), "must be 2-D.*Got 1-D, shape \\(4,\\).*Reshape your data"),
    "0-D": (np.float64(3), "must be 2-D.*Got 0-D"),
    "3-D": (np.ones((2, 2, 2)), "must be 2-D.*Got 3-D, shape \\(2, 2, 2\\)"),
    "no_rows": (np.ones((0, 3)), "0 sample\\(s\\) \\(shape=\\(0, 3\\)\\) while a minimum of 1 is required"),
    "no_columns": (
        np.ones((3, 0)),
        "0 feature\\(s\\) \\(shape=\\(3, 0\\)\\) while a minimum of 1 is required",
    ),
    "empty_list": ([], "must be 2-D"),
    "empty_frame": (FRAME[[]], "0 feature"),
    "frame_without_rows": (FRAME[:0], "0 sample"),
    "polars_without_columns": (pl.DataFrame(), "0 feature"),
    "series": (FRAME["a"], "must be 2-D"),
    "complex": (np.ones((3, 2), complex), "Complex data not supported"),
    "object": (np.full((3, 2), b"?", object), "must hold real numbers.*dtype object.*NumPy says"),
    "text": (np.full((3, 2), "1"), "must hold real numbers.*dtype <U1"),
    "bytes": (np.full((3, 2), b"1"), "must hold real numbers.*dtype \\|S1"),
    "structured": (np.zeros((3, 2), [("a", "f4")]), "must hold real numbers.*fields as the columns"),
    "datetime": (np.zeros((3, 2), "M8[s]"), "must hold real numbers.*datetime64"),
    "timedelta": (np.zeros((3, 2), "m8[s]"), "must hold real numbers.*timedelta64"),
    "longdouble": (np.ones((3, 2), np.longdouble), "must hold real numbers.*astype\\(numpy.float64\\)"),
    "byte_order": (np.ones((3, 2), ">f4"), "native byte order.*dtype >f4.*astype\\('<f4'\\)"),
    "masked": (np.ma.masked_less(np.eye(3), 0.5), "masked array.*filled"),
    "ragged": ([[1.0, 2.0], [3.0]], "something NumPy makes a 2-D array of.*inhomogeneous"),
    "none": (None, "must be a 2-D array of numbers. Got None\\."),
    "dict": ({"a": [1.0]}, "must be a 2-D array of numbers. Got an object of type dict\\."),
    "iterator": (iter(np.eye(3)), "Got an object of type iterator.*fit_blocks"),
    "string": ("X.csv", "Got a str"),
    "pandas_null": (FRAME.astype("Float64").replace(4.0, pd.NA), "a null at row 1 in column 'b'"),
    "pandas_sparse": (FRAME.astype({"b": "Sparse[float64]"}), "dtype Sparse.* in column 'b'.*astype"),
    "pandas_object": (FRAME.assign(b=pd.Series("?", FRAME.index, object)), "object in column 'b'"),
    "pandas_categories": (FRAME.astype({"b": "category"}), "dtype category in column 'b'"),
    "pandas_dates": (FRAME.astype({"b": "datetime64[s]"}), "dtype datetime64.* in column 'b'"),
    "polars_text": (pl.DataFrame({"a": [1.0], "b": ["x"]}), "dtype String in column 'b'"),
    "polars_dates": (pl.DataFrame({"a": [datetime.date(2000, 1, 1)]}), "dtype Date in column 'a'"),
    "polars_null": (pl.DataFrame({"a": [1.0, 2.0], "b": [1.0, None]}), "a null at row 1 in column 'b'"),
}


@pytest.mark.parametrize("case", SHAPES_AND_TYPES)
def test_refused_shapes_and_types(case: str, X: Any) -> None:
    data, message = SHAPES_AND_TYPES[case]
    fitted = estimator().fit(X)
    before = fitted.get_weights()
    for call in (
        estimator().fit,
        fitted.fit,
        fitted.transform,
        fitted.inverse_transform,
        fitted.reconstruct,
        fitted.reconstruction_error,
        fitted.score_samples,
    ):
        with pytest.raises(diabolo.InvalidDataError, match=f"(?s)^AutoEncoder: X .*{message}"):
            call(data)
    if data is not None:
        with pytest.raises(diabolo.InvalidDataError, match=f"(?s)^AutoEncoder: X_val .*{message}"):
            fitted.fit(X, X_val=data)
    assert all(np.array_equal(before[name], weight) for name, weight in fitted.get_weights().items())


VALUES = [
    (np.float32, np.nan, "contain NaN or infinity. Got nan"),
    (np.float64, np.inf, "contain NaN or infinity. Got inf"),
    (np.float16, -np.inf, "contain NaN or infinity. Got -inf"),
    (np.float64, 1e39, "exceed the range of float32.*Got 1e\\+39"),
    (np.float64, -1e300, "exceed the range of float32.*Got -1e\\+300"),
]


@pytest.mark.parametrize(("dtype", "value", "message"), VALUES)
@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_the_first_bad_value_is_named(dtype: Any, value: float, message: str, loss: str, X: Any) -> None:
    fitted = estimator(loss=loss).fit(X)
    bad = X.astype(dtype)
    bad[150, 0] = bad[100, 4] = bad[101, 1] = value
    for data, place in (
        (bad, "row 100, column 4"),
        (np.asfortranarray(bad), "row 100, column 4"),
        (bad[::-1], "row 49, column 0"),
        (bad[90:], "row 10, column 4"),
    ):
        for call in (estimator(loss=loss).fit, fitted.fit, fitted.transform, fitted.reconstruction_error):
            with pytest.raises(
                diabolo.InvalidDataError, match=f"AutoEncoder: X must not {message} at {place}\\."
            ):
                call(data)
    with pytest.raises(ValueError, match=f"X_val must not {message} at row 100, column 4"):
        fitted.fit(X, X_val=bad)
    frame = pd.DataFrame(bad, columns=list("abcdef"))
    with pytest.raises(ValueError, match=f"{message} at row 100, column 4 \\('e'\\)\\."):
        estimator(loss=loss).fit(frame)


def test_the_largest_float32_is_no_overflow() -> None:
    largest = float(np.finfo(np.float32).max)
    X = np.array([[largest], [0.0], [-largest]])
    estimator(scale="minmax", hidden_layer_sizes=()).fit(X)
    estimator(scale="minmax", hidden_layer_sizes=()).fit(np.array([[2**64 - 1], [0]], dtype=np.uint64))
    half_a_unit_above = 2.0**128 * (1 - 2.0**-25)  # from there on float32 rounds to infinity
    estimator(scale="minmax", hidden_layer_sizes=()).fit([[np.nextafter(half_a_unit_above, 0)], [0.0]])
    with pytest.raises(ValueError, match="range of float32"):
        estimator(scale="minmax", hidden_layer_sizes=()).fit([[half_a_unit_above], [0.0]])


@pytest.mark.parametrize("value", [-0.25, 1.5, 2])
def test_binary_crossentropy_wants_the_unit_interval(value: float, X: Any) -> None:
    ae = estimator(loss="binary_crossentropy").fit(X)
    bad = X.copy()
    bad[7, 3] = value
    rule = r"must lie in \[0, 1\] when loss='binary_crossentropy' and scale=None \(scale='minmax' .*\)"
    message = rf"{rule}. Got {float(value)} at row 7, "
    for call in (estimator(loss="binary_crossentropy").fit, ae.fit):
        with pytest.raises(diabolo.InvalidDataError, match=f"AutoEncoder: X {message}column 3"):
            call(bad)
    with pytest.raises(diabolo.InvalidDataError, match=f"AutoEncoder: X_val {message}column 3"):
        ae.fit(X, X_val=bad)
    with pytest.raises(diabolo.InvalidDataError, match=f"AutoEncoder: X {message}column 3"):
        ae.reconstruction_error(bad, metric="loss")
    # Where no logarithm is taken there is nothing wrong with them.
    ae.transform(bad), ae.reconstruct(bad), ae.reconstruction_error(bad), ae.score(bad)
    estimator(loss="binary_crossentropy", scale="minmax").fit(bad).reconstruction_error(bad, metric="loss")


def test_another_number_of_features(X: Any) -> None:
    ae = estimator().fit(X)
    message = "^X has 1 features, but AutoEncoder is expecting 6 features as input$"
    for call in (ae.transform, ae.reconstruct, ae.reconstruction_error, ae.score_samples, ae.score):
        with pytest.raises(ValueError, match=message):
            call(X[:, :1])
    with pytest.raises(ValueError, match=r"^X_val has 1 features, but AutoEncoder is expecting 6 features"):
        ae.fit(X, X_val=X[:, :1])
    with pytest.raises(
        ValueError, match=r"^AutoEncoder: the codes X must have n_components=2 columns. Got 6\.$"
    ):
        ae.inverse_transform(X)


def test_a_byte_order_that_is_spelt_out(X: Any) -> None:
    """As zarr's arrays have it: NumPy itself writes '=' for the machine's own."""
    order = "<" if sys.byteorder == "little" else ">"
    spelt = X.view(X.dtype.newbyteorder(order))
    assert spelt.dtype.byteorder == order
    np.testing.assert_array_equal(estimator().fit(spelt).transform(spelt), estimator().fit(X).transform(X))
