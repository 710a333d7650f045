"""Pictures: what is drawn, by what the axes hold; and what is said without matplotlib."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from diabolo import (
    AutoEncoderClassifier,
    AutoEncoderRegressor,
    InvalidDataError,
    InvalidParameterError,
    NotFittedError,
    ReconstructionOutlierDetector,
)
from estimator_helpers import estimator


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


def test_history(X: Any) -> None:
    ae = estimator(validation_fraction=0.1).fit(X)
    ax = ae.plot_history()
    assert [line.get_label() for line in ax.get_lines()] == ["training", "validation"]
    for line, name in zip(ax.get_lines(), ("loss", "val_loss"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), ae.history_[name])
    assert ax.get_yscale() == "log"
    mine = plt.figure().add_subplot()
    assert estimator(epochs=1).fit(X).plot_history(ax=mine) is mine
    assert mine.get_lines()[0].get_marker() == "o"


@pytest.mark.parametrize("kind", [AutoEncoderClassifier, AutoEncoderRegressor, ReconstructionOutlierDetector])
def test_history_of_other_estimators(kind: Any, X: Any) -> None:
    one = kind(estimator()).fit(X, np.arange(len(X)) % 2)
    (line,) = one.plot_history().get_lines()
    np.testing.assert_array_equal(line.get_ydata(), one.history_["loss"])
    assert not hasattr(one, "plot_code")


def test_reconstructions_as_curves(X: Any) -> None:
    ae = estimator().fit(X)
    figure = ae.plot_reconstructions(pd.DataFrame(X, columns=list("abcdef")).to_numpy(), count=3)
    assert len(figure.axes) == 6
    for column in range(3):
        upper, lower = figure.axes[column], figure.axes[3 + column]
        np.testing.assert_array_equal(upper.get_lines()[0].get_ydata(), X[column])
        np.testing.assert_array_equal(lower.get_lines()[0].get_ydata(), ae.reconstruct(X)[column])
        assert upper.get_ylim() == lower.get_ylim()
    assert len(ae.plot_reconstructions(X[:2]).axes) == 4


@pytest.mark.parametrize(("image_shape", "shape"), [(None, (4, 4)), ((2, 8), (2, 8))])
def test_reconstructions_as_pictures(image_shape: Any, shape: Any) -> None:
    X = np.random.default_rng(0).random((20, 16))
    ae = estimator().fit(X)
    figure = ae.plot_reconstructions(X, count=2, image_shape=image_shape)
    np.testing.assert_array_equal(figure.axes[1].get_images()[0].get_array(), X[1].reshape(shape))
    restored = figure.axes[3].get_images()[0]
    np.testing.assert_array_equal(restored.get_array(), ae.reconstruct(X)[1].astype(float).reshape(shape))
    assert restored.get_clim() == figure.axes[1].get_images()[0].get_clim()


def test_reconstructions_in_colour() -> None:
    X = np.random.default_rng(0).random((20, 12))
    figure = estimator().fit(X).plot_reconstructions(X, count=1, image_shape=(2, 2, 3))
    assert figure.axes[0].get_images()[0].get_array().shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("components", "name"), [(1, "row"), (2, "code 0"), (4, "first component of the code")]
)
def test_code(components: int, name: str, X: Any) -> None:
    ae = estimator(n_components=components).fit(X)
    ax = ae.plot_code(X)
    (points,) = (collection.get_offsets() for collection in ax.collections)
    assert points.shape == (200, 2)
    assert ax.get_xlabel() == name
    codes = ae.transform(X).astype(float)
    if components == 1:
        np.testing.assert_allclose(points[:, 1], codes[:, 0])
    elif components == 2:
        np.testing.assert_allclose(points, codes)
    else:
        singular_values = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False)
        np.testing.assert_allclose(np.linalg.norm(points, axis=0), singular_values[:2], rtol=1e-6)


def test_code_with_labels(X: Any) -> None:
    ae = estimator().fit(X).set_output(transform="pandas")
    labels = np.where(np.arange(200) % 3 == 0, "third", "other")
    ax = ae.plot_code(X, labels)
    assert [len(c.get_offsets()) for c in ax.collections] == [133, 67]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["other", "third"]


def test_what_cannot_be_drawn(X: Any) -> None:
    ae = estimator()
    for call in (ae.plot_history, lambda: ae.plot_reconstructions(X), lambda: ae.plot_code(X)):
        with pytest.raises(NotFittedError):
            call()
    ae.fit(X)
    for shape in ((2, 2), (6,), (1, 3, 2), "ab", (0, 6)):
        with pytest.raises(InvalidParameterError, match=r"AutoEncoder: image_shape must be"):
            ae.plot_reconstructions(X, image_shape=shape)
    with pytest.raises(InvalidParameterError, match=r"count must be an int >= 1\. Got 0"):
        ae.plot_reconstructions(X, count=0)
    with pytest.raises(
        InvalidDataError, match=r"labels must have shape \(200,\), one a row of X. Got \(3,\)"
    ):
        ae.plot_code(X, [1, 2, 3])
    assert not plt.get_fignums()


def test_without_matplotlib(X: Any, monkeypatch: Any) -> None:
    ae = estimator().fit(X)

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match="plots need matplotlib: pip install matplotlib"):
        ae.plot_history()


def test_matplotlib_is_imported_when_needed() -> None:
    code = """if True:
        import sys, diabolo
        diabolo.AutoEncoder(1, epochs=1).fit([[0.0], [1.0]])
        assert "matplotlib" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)
