"""Callbacks: what they are asked and shown between epochs, and the ones that write logs."""

import copy
import importlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from diabolo._core import Model
from diabolo._types import Float32Array
from diabolo._validation import Refused, Rule

_EVENTS = ("on_fit_begin", "on_epoch_end", "on_fit_end")
_Path = str | os.PathLike[str]


class TrainingState:
    """What a callback sees of a training.

    Attributes
    ----------
    estimator : AutoEncoder
        The estimator that is being fitted; its fitted attributes are still those of before.
    epoch : int
        Epochs completed in this fit.
    epochs : int
        Epochs planned.
    history : dict of str to list of float
        As `history_` will be, so far.
    logs : dict of str to float
        The last entries of the history; empty before the first epoch.
    stop_reason : str or None
        As `stop_reason_` will be, in `on_fit_end`; None before.
    """

    def __init__(
        self,
        estimator: Any,
        epochs: int,
        history: Mapping[str, Sequence[float]],
        stop_reason: str | None,
        model: Callable[[], Model | None],
        fitted: Callable[[Model], Any],
    ) -> None:
        self.estimator = estimator
        self.epochs = epochs
        self.history = {name: list(values) for name, values in history.items()}
        self.epoch = len(self.history["loss"])
        self.logs = {name: values[-1] for name, values in self.history.items() if values}
        self.stop_reason = stop_reason
        self._model = model
        self._fitted = fitted

    def get_weights(self) -> dict[str, Float32Array]:
        """Return copies of the weights after the last epoch, as the estimator's `get_weights`."""
        return self._trained().get_weights()

    def snapshot(self) -> Any:
        """Return a fitted copy of the estimator as it is after the last epoch: to save, to score, to plot."""
        twin = copy.copy(self.estimator)
        twin._fitted = self._fitted(self._trained())
        return twin

    def _trained(self) -> Model:
        model = self._model()
        if model is None:
            raise RuntimeError("no epoch has been completed: there are no trained weights yet.")
        return model


class Callback:
    """Base of callbacks, each method doing nothing; any object that has one of the methods will do as well.

    What a callback raises ends the training; the estimator is then as it was before.
    """

    def on_fit_begin(self, state: TrainingState) -> object:
        """Before the first epoch; return True to stop after it."""

    def on_epoch_end(self, state: TrainingState) -> object:
        """After every epoch; return True to stop."""

    def on_fit_end(self, state: TrainingState) -> object:
        """After the last epoch, if the training was neither interrupted nor failed."""


class Callbacks(Rule):
    """None, or a sequence of callbacks."""

    description = f"None or a sequence of objects with methods {', '.join(_EVENTS[:2])} or {_EVENTS[2]}"

    def convert(self, value: object) -> tuple[Any, ...]:
        if value is None:
            return ()
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise Refused
        callbacks = tuple(value)
        for callback in callbacks:
            # A class instead of its instance is a slip that would show only when the first epoch is over.
            if isinstance(callback, type) or not any(callable(getattr(callback, e, None)) for e in _EVENTS):
                raise Refused
        return callbacks


def notify(callbacks: Iterable[Any], event: str, state: TrainingState) -> bool:
    """Call every callback that has this method; return whether one wants to stop."""
    answers = [getattr(callback, event)(state) for callback in callbacks if hasattr(callback, event)]
    return any(bool(answer) for answer in answers)


class _FileLogger(Callback):
    """Base of callbacks that add a line to a file after every epoch, so that it can be read meanwhile."""

    def __init__(self, path: _Path, *, append: bool = False) -> None:
        self.path = path
        self.append = append

    def on_fit_begin(self, state: TrainingState) -> None:
        """Start the file, or leave what it has if `append`."""
        with open(self.path, "a" if self.append else "w", encoding="utf-8"):
            pass

    def _write(self, line: str) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r}, append={self.append})"


class CSVLogger(_FileLogger):
    """Writes the history to a CSV file: a header, and a line for each epoch as soon as it is over.

    Parameters
    ----------
    path : str or path-like
    append : bool, default False
        Whether to add to a file that is there; by default it is replaced when the training begins.
    """

    def on_epoch_end(self, state: TrainingState) -> None:
        """Write a line: the epoch, counted from 1, and the entries of the history."""
        if os.path.getsize(self.path) == 0:
            self._write(",".join(("epoch", *state.logs)))
        self._write(",".join((str(state.epoch), *map(repr, state.logs.values()))))


class JSONLinesLogger(_FileLogger):
    """Writes the history to a file of JSON objects, one a line and epoch, as soon as it is over.

    Parameters
    ----------
    path : str or path-like
    append : bool, default False
        Whether to add to a file that is there; by default it is replaced when the training begins.
    """

    def on_epoch_end(self, state: TrainingState) -> None:
        """Write a line: "epoch", counted from 1, and the entries of the history; NaN is null."""
        import json  # here, because importing diabolo should cost little

        logs = {name: value if math.isfinite(value) else None for name, value in state.logs.items()}
        self._write(json.dumps({"epoch": state.epoch, **logs}, allow_nan=False))


class TensorBoardLogger(Callback):
    """Writes the history for TensorBoard, by the package tensorboardX or tensorboard; PyTorch is not needed.

    Parameters
    ----------
    log_dir : str or path-like
        The folder of this run.
    """

    def __init__(self, log_dir: _Path) -> None:
        self.log_dir = log_dir
        self._writer: Any = None

    def on_fit_begin(self, state: TrainingState) -> None:
        """Open the folder.

        Raises
        ------
        ImportError
            Neither package is installed.
        """
        self._writer = _summary_writer(os.fspath(self.log_dir))

    def on_epoch_end(self, state: TrainingState) -> None:
        """Write the entries of the history as scalars of this epoch, counted from 1."""
        for name, value in state.logs.items():
            self._writer.add_scalar(name, value, state.epoch)
        self._writer.flush()

    def on_fit_end(self, state: TrainingState) -> None:
        """Close what was written."""
        writer, self._writer = self._writer, None
        writer.close()

    # An open writer has threads and files; a copy opens its own.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}

    def __repr__(self) -> str:
        return f"TensorBoardLogger({os.fspath(self.log_dir)!r})"


def _summary_writer(log_dir: str) -> Any:
    try:
        return importlib.import_module("tensorboardX").SummaryWriter(log_dir)
    except ModuleNotFoundError as error:
        _unless_absent(error, "tensorboardX")
    try:
        return importlib.import_module("tensorboard.summary").Writer(log_dir)
    except ModuleNotFoundError as error:
        _unless_absent(error, "tensorboard")
        raise ImportError(
            "TensorBoardLogger needs the package tensorboardX or tensorboard: pip install tensorboardX"
        ) from None


def _unless_absent(error: ModuleNotFoundError, package: str) -> None:
    """Raise the error again if what is missing is something that the package itself needs."""
    if error.name is None or error.name.partition(".")[0] != package:
        raise error
