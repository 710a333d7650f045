"""Pictures of a trained estimator, with matplotlib, which is imported when first needed."""

import importlib
import math
from abc import abstractmethod
from typing import Any

import numpy as np

from diabolo._base import Estimator
from diabolo._types import AnyArray, Float32Array
from diabolo._validation import Integer, Widths, checked
from diabolo.exceptions import InvalidDataError, InvalidParameterError


class HistoryPlot(Estimator):
    """A method that draws the training, of whatever was trained."""

    def plot_history(self, *, ax: Any = None) -> Any:
        """Draw the losses over the epochs.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default None
            Where to draw; None: a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        NotFittedError
            Before `fit`.
        ImportError
            matplotlib is not installed.
        """
        history = self.history_
        ax = _new_axes() if ax is None else ax
        epochs = range(1, len(history["loss"]) + 1)
        # A curve of a single point would show nothing.
        marker = "o" if len(epochs) == 1 else None
        for name, label in (("loss", "training"), ("val_loss", "validation")):
            if name in history:
                ax.plot(epochs, history[name], label=label, marker=marker)
        if all(value > 0 for value in history["loss"]):
            ax.set_yscale("log")
        ax.set(xlabel="epoch", ylabel="loss", title=type(self).__name__)
        ax.legend()
        return ax


class Plots(HistoryPlot):
    """Methods that draw: the training, reconstructions, the code, which autoencoders have."""

    @abstractmethod
    def transform(self, X: Any) -> Any:
        """Return the codes of the rows of X."""

    @abstractmethod
    def reconstruct(self, X: Any) -> Float32Array:
        """Return what the network makes of X."""

    def plot_reconstructions(
        self, X: Any, *, count: int = 8, image_shape: tuple[int, ...] | None = None
    ) -> Any:
        """Draw rows, and under each what the network makes of it: as pictures or as curves.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The first `count` of its rows are drawn.
        count : int, default 8
            How many at most.
        image_shape : (height, width), (height, width, 3) or None, default None
            Of rows that are pictures. None: square pictures if the number of features is a square of at
            least 16, else curves over the features.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InvalidParameterError
            `image_shape` does not fit the features.
        """
        owner = type(self).__name__
        count = checked(owner, "count", Integer(1), count)
        rows = np.asarray(X)[:count]
        restored = self.reconstruct(X[:count])
        shape = _image_shape(owner, image_shape, restored.shape[1])
        columns = len(restored)
        figure, axes = _pyplot().subplots(2, columns, squeeze=False, figsize=(1.3 * columns + 1, 3))
        for upper, lower, row, row_restored in zip(*axes, rows, restored, strict=True):
            # One scale for both, so that they can be compared.
            low, high = float(min(row.min(), row_restored.min())), float(max(row.max(), row_restored.max()))
            for ax, values in ((upper, row), (lower, row_restored)):
                _draw_row(ax, values, shape, low, high)
        axes[0, 0].set_ylabel("row")
        axes[1, 0].set_ylabel("restored")
        return figure

    def plot_code(self, X: Any, labels: Any = None, *, ax: Any = None) -> Any:
        """Draw the codes of the rows of X in the plane.

        A code of two numbers is drawn as it is, one number over the rows' positions, and of more the first
        two principal components.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        labels : array-like, shape (n_rows,), or None, default None
            Numbers or names to colour the points by.
        ax : matplotlib.axes.Axes or None, default None
            Where to draw; None: a new figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        codes = np.asarray(self.transform(X), dtype=np.float64)
        kinds = None if labels is None else np.asarray(labels)
        if kinds is not None and kinds.shape != (len(codes),):
            raise InvalidDataError(
                f"{type(self).__name__}: labels must have shape ({len(codes)},), one a row of X. "
                f"Got {kinds.shape}."
            )
        points, names = _in_the_plane(codes)
        ax = _new_axes() if ax is None else ax
        if kinds is None:
            ax.scatter(*points.T, s=8)
        else:
            for kind in np.unique(kinds):
                ax.scatter(*points[kinds == kind].T, s=8, label=str(kind))
            ax.legend(markerscale=2, fontsize="small")
        ax.set(xlabel=names[0], ylabel=names[1], title=type(self).__name__)
        return ax


def _pyplot() -> Any:
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ImportError("plots need matplotlib: pip install matplotlib") from None


def _new_axes() -> Any:
    return _pyplot().subplots()[1]


def _image_shape(owner: str, given: Any, features: int) -> tuple[int, ...] | None:
    if given is None:
        side = math.isqrt(features)
        return (side, side) if side >= 4 and side * side == features else None
    shape: tuple[int, ...] = checked(owner, "image_shape", Widths(), given)
    if math.prod(shape) != features or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise InvalidParameterError(
            f"{owner}: image_shape must be (height, width) or (height, width, 3), {features} values in all. "
            f"Got {shape}."
        )
    return shape


def _draw_row(ax: Any, values: AnyArray, shape: tuple[int, ...] | None, low: float, high: float) -> None:
    if shape is None:
        ax.plot(values)
        ax.set_ylim(low, high if high > low else low + 1)
    elif len(shape) == 3:
        extent = high - low if high > low else 1.0
        ax.imshow((np.asarray(values, dtype=np.float64).reshape(shape) - low) / extent)
    else:
        ax.imshow(np.asarray(values, dtype=np.float64).reshape(shape), cmap="gray", vmin=low, vmax=high)
    ax.set(xticks=[], yticks=[])


def _in_the_plane(codes: AnyArray) -> tuple[AnyArray, tuple[str, str]]:
    """Return two coordinates of each code, (rows, 2), and their names."""
    width = codes.shape[1]
    if width == 1:
        return np.column_stack([np.arange(len(codes)), codes]), ("row", "code")
    if width == 2:
        return codes, ("code 0", "code 1")
    centred = codes - codes.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # by growing variance
    return centred @ directions[:, :-3:-1], ("first component of the code", "second component")
