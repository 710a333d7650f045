"""The demo's picture: what comes out beside what went in, the loss curves, and codes in two dimensions."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from diabolo._demo_data import DemoError, Findings, Result, counted
from diabolo._types import AnyArray, Float32Array

_OURS, _THEIRS, _INPUT, _MUTED = "#1764ab", "#d9730d", "#222222", "#6b7280"
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": _INPUT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "text.color": _INPUT,
}
_PLAIN_NUMBERS = FuncFormatter(lambda value, _: f"{value:g}")
_MOST_SCATTERS = 8  # features, each in a panel of its own; more are drawn as curves
_MOST_CLASSES = 20
_MOST_POINTS = 5_000


def check_output(path: Path) -> None:
    """Raise DemoError if a picture cannot be written there."""
    kinds = FigureCanvasAgg(Figure()).get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise DemoError(
            f"--output must end in one of {', '.join('.' + kind for kind in kinds)}. Got {str(path)!r}."
        )
    if path.is_dir():
        raise DemoError(f"--output must name a file. {str(path)!r} is a folder.")
    if not path.parent.is_dir():
        raise DemoError(f"--output must be in a folder that exists. There is no {str(path.parent)!r}.")


def write_picture(findings: Findings, path: Path) -> None:
    """Draw everything and write the file, whose suffix says in which format."""
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own settings are
        settings: Any = mpl.rcParams
        settings.update(_STYLE)
        figure: Any = Figure(figsize=(13, 9), dpi=110)
        FigureCanvasAgg(figure)
        _draw(figure, findings)
        # Drawn in memory first: if that fails, there is no half a file.
        contents = io.BytesIO()
        figure.savefig(contents, format=path.suffix[1:].lower())
    path.write_bytes(contents.getvalue())


def _draw(figure: Any, findings: Findings) -> None:
    data, ours = findings.data, findings.autoencoder
    figure.suptitle(
        f"{_plain(data.name)}: {counted(data.features, 'number')} → {ours.components:,} → {data.features:,}",
        x=0.03,
        y=0.975,
        ha="left",
        fontsize=16,
        fontweight="bold",
    )
    top = 0.905 if data.image_shape is not None else 0.865  # else there is a line of text above
    upper, lower = figure.add_gridspec(
        2, 1, height_ratios=(1, 1.25), left=0.03, right=0.985, top=top, bottom=0.06, hspace=0.27
    )
    if data.image_shape is not None:
        _draw_images(figure, upper, findings)
    elif data.features <= _MOST_SCATTERS:
        _draw_scatters(figure, upper, findings)
    else:
        _draw_curves(figure, upper, findings)
    _, left, middle, right = lower.subgridspec(1, 4, wspace=0.14, width_ratios=(0.001, 1.1, 1, 1))
    _draw_losses(figure.add_subplot(left), findings)
    _draw_plane(
        figure.add_subplot(middle),
        findings,
        findings.plane,
        "A second autoencoder with a code of 2 units",
        _OURS,
    )
    _draw_plane(
        figure.add_subplot(right), findings, findings.pca_plane, "PCA, its first two components", _THEIRS
    )


# ---- What went in and what came out ----


def _draw_images(figure: Any, place: Any, findings: Findings) -> None:
    data, shape = findings.data, findings.data.image_shape
    shown = _examples(data.held_out_labels, len(data.held_out), 10)
    grid = place.subgridspec(
        3, len(shown) + 1, wspace=0.06, hspace=0.06, width_ratios=(1.6, *[1] * len(shown))
    )
    for line, (words, colour, rows) in enumerate(_versions(findings)):
        title = figure.add_subplot(grid[line, 0])
        title.set_axis_off()
        title.text(0, 0.5, words, color=colour, va="center", fontsize=11, transform=title.transAxes)
        for column, row in enumerate(shown):
            axes = figure.add_subplot(grid[line, column + 1])
            axes.imshow(rows[row].reshape(shape).clip(0, 1), cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="#d1d5db")


def _draw_curves(figure: Any, place: Any, findings: Findings) -> None:
    data = findings.data
    shown = _examples(data.held_out_labels, len(data.held_out), 6)
    grid = place.subgridspec(2, 3, wspace=0.1, hspace=0.22)
    for number, row in enumerate(shown):
        axes = figure.add_subplot(grid[number // 3, number % 3])
        for (words, colour, rows), width in zip(reversed(_versions(findings)), (1.3, 1.3, 1.0), strict=True):
            axes.plot(np.arange(data.features), rows[row], color=colour, linewidth=width, label=words)
        axes.margins(x=0.01)
        axes.tick_params(labelsize=8, labelbottom=number >= 3)
    _legend_above(figure, axes, f"{len(shown)} held-out rows, feature by feature")


def _draw_scatters(figure: Any, place: Any, findings: Findings) -> None:
    data = findings.data
    columns = data.features if data.features <= 4 else (data.features + 1) // 2
    grid = place.subgridspec((data.features + columns - 1) // columns, columns, wspace=0.2, hspace=0.35)
    shown = slice(0, _MOST_POINTS // 5)
    size = 3.0 if len(data.held_out) < 300 else 2.0
    for feature in range(data.features):
        axes = figure.add_subplot(grid[feature // columns, feature % columns])
        original = data.held_out[shown, feature]
        axes.axline((0, 0), slope=1, color="#9ca3af", linewidth=1)
        for words, colour, rows in reversed(_versions(findings)[1:]):
            axes.plot(
                original, rows[shown, feature], "o", color=colour, ms=size, alpha=0.6, mew=0, label=words
            )
        axes.set_title(f"feature {feature}", fontsize=9, pad=3)
        axes.tick_params(labelsize=8)
    _legend_above(figure, axes, "Held-out rows: reconstructed (up) over original (across)")


def _legend_above(figure: Any, axes: Any, title: str) -> None:
    figure.text(0.03, 0.918, title, fontsize=11)
    handles, words = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles[::-1],
        [" ".join(word.split("\n")) for word in words[::-1]],
        loc="lower right",
        bbox_to_anchor=(0.99, 0.905),
        ncols=len(words),
        markerscale=3,
    )
    for handle in legend.legend_handles:
        handle.set_alpha(1)


def _versions(findings: Findings) -> list[tuple[str, str, Float32Array]]:
    """Return the held-out rows as they are and as each method gives them back: words, colour, rows."""
    return [
        ("held-out input", _INPUT, findings.data.held_out),
        *(
            (f"{name}\nerror {result.error:.4g}", colour, result.reconstructed)
            for name, colour, result in (
                ("autoencoder", _OURS, findings.autoencoder),
                ("PCA", _THEIRS, findings.pca),
            )
        ),
    ]


def _examples(labels: AnyArray | None, rows: int, most: int) -> list[int]:
    """Return which rows to show: the first of each class, then the second, ...; ordered by class."""
    classes = None if labels is None else _classes(labels)
    if labels is None or classes is None:
        return list(range(min(most, rows)))
    turns = sorted(
        (turn, number, int(row))
        for number, name in enumerate(classes)
        for turn, row in enumerate(np.flatnonzero(labels == name)[:most])
    )
    return [row for _, row in sorted((number, row) for _, number, row in turns[:most])]


# ---- How it was learnt ----


def _draw_losses(axes: Any, findings: Findings) -> None:
    loss, val_loss = findings.history["loss"], findings.history["val_loss"]
    epochs = np.arange(1, len(loss) + 1)
    marker = "o" if len(loss) == 1 else ""
    axes.plot(epochs, loss, color="#93b9dd", linewidth=2, marker=marker, label="autoencoder, training")
    axes.plot(epochs, val_loss, color=_OURS, linewidth=2, marker=marker, label="autoencoder, validation")
    axes.axhline(findings.pca.error, color=_THEIRS, linewidth=1.5, linestyle="--", label="PCA, held out")
    axes.plot(
        np.argmin(val_loss) + 1,
        findings.autoencoder.error,
        "D",
        color=_OURS,
        markeredgecolor="white",
        markersize=8,
        label="autoencoder of the best epoch, held out",
    )
    components = counted(findings.autoencoder.components, "component")
    axes.set_title(f"Mean squared error with {components}\n{findings.data.units}")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if min(*loss, *val_loss, findings.pca.error) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(_PLAIN_NUMBERS)
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.legend(loc="upper right", fontsize=9)


# ---- Codes in two dimensions ----


def _draw_plane(axes: Any, findings: Findings, result: Result, title: str, colour: str) -> None:
    codes = result.codes[:_MOST_POINTS]
    if codes.shape[1] == 1:
        codes = np.column_stack((codes, np.zeros_like(codes)))
    labels = findings.data.held_out_labels
    labels = None if labels is None else labels[:_MOST_POINTS]
    classes = None if labels is None else _classes(labels)
    style: dict[str, Any] = {"s": 14 if len(codes) < 2000 else 5, "linewidths": 0, "alpha": 0.8}
    coloured_by = findings.data.label
    if labels is not None and classes is not None:
        _draw_classes(axes, codes, labels, classes, style)
    elif labels is not None and labels.dtype.kind in "biuf":
        points = axes.scatter(*codes.T, c=labels, cmap="viridis", **style)
    else:
        errors = findings.autoencoder.row_errors[:_MOST_POINTS]
        norm = LogNorm() if errors.min() > 0 else None
        points = axes.scatter(*codes.T, c=errors, cmap="viridis", norm=norm, **style)
        coloured_by = "row error"
    if classes is None and result is findings.pca_plane:  # the last panel: for both
        bar = axes.figure.colorbar(points, ax=axes, pad=0.02, aspect=40, format=_PLAIN_NUMBERS)
        bar.minorformatter = NullFormatter()
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
    axes.set_title(f"{title}\nerror {result.error:.4g}, coloured by {coloured_by}", color=colour)
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)


def _draw_classes(
    axes: Any, codes: AnyArray, labels: AnyArray, classes: AnyArray, style: dict[str, Any]
) -> None:
    palette: Any = mpl.colormaps["tab10" if len(classes) <= 10 else "tab20"]
    for number, name in enumerate(classes):
        points = codes[labels == name]
        axes.scatter(*points.T, color=palette(number), **style)
    for name in classes:
        axes.text(
            *np.median(codes[labels == name], axis=0),
            _plain(f"{name:g}" if isinstance(name, np.floating) else str(name)[:12]),
            fontsize=13,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=4, foreground="white")],
        )


def _classes(labels: AnyArray) -> AnyArray | None:
    """Return the classes that the labels name; None if they are measurements, or too many to tell apart."""
    classes = np.unique(labels)
    if len(classes) > _MOST_CLASSES or (classes.dtype.kind == "f" and (classes % 1).any()):
        return None
    return classes


def _plain(text: str) -> str:
    """Return text of the user's such that matplotlib takes none of it for a formula."""
    return text.replace("$", r"\$")
