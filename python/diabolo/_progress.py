"""What `verbose` shows while training: a bar on a terminal and in a notebook, plain lines in a log file.

It writes to stderr. A terminal that goes away or a full disk silences it; it never stops the training.
"""

import contextlib
import importlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

# Lines in a log: often enough to see that it lives, seldom enough for a fit of thousands of short epochs.
_SECONDS_BETWEEN_EPOCHS = 0.5
_SECONDS_WITHIN_EPOCH = 30.0


class Progress:
    """Shows nothing; the base of those that do."""

    # Called by the core about every 20 ms with the rows done in this epoch and their mean loss.
    poll: Callable[[int, float], object] | None = None

    epoch = 0  # done so far; a run that is resumed begins later

    def epoch_done(self, loss: float, val_loss: float | None, seconds: float) -> None:
        """Report the end of an epoch; `seconds` is what the training rows took."""

    def close(self) -> None:
        """Finish the display, whether the training succeeded or not."""


class Lines(Progress):
    """A line for each epoch; with `paced` no more than a few a second, and signs of life in long epochs."""

    def __init__(self, epochs: int, rows: int, paced: bool) -> None:
        self.epochs, self.rows, self.paced = epochs, rows, paced
        self.last_line = -math.inf
        self.held_back = ""  # the line of the last epoch, if it came too soon after another
        self.poll = self._within_epoch
        self.last_sign = time.monotonic()

    def epoch_done(self, loss: float, val_loss: float | None, seconds: float) -> None:
        self.epoch += 1
        now = self.last_sign = time.monotonic()
        rate = self.rows / max(seconds, 1e-9)
        line = f"epoch {self.epoch}/{self.epochs}: {_losses(loss, val_loss)}, {_short(rate)} rows/s"
        if self.paced and now - self.last_line < _SECONDS_BETWEEN_EPOCHS:
            self.held_back = line
            return
        self.last_line, self.held_back = now, ""
        self._write(line)

    def close(self) -> None:
        # Whatever ended the training, a log tells how it stood then.
        if self.held_back:
            self._write(self.held_back)
            self.held_back = ""

    def _within_epoch(self, rows: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.last_sign < _SECONDS_WITHIN_EPOCH:
            return
        self.last_sign = now
        percent = 100 * rows // self.rows
        self._write(f"epoch {self.epoch + 1}/{self.epochs}, {percent}%: {_losses(loss, None)}")

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or None under pythonw
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


class Bar(Progress):
    """One tqdm bar over the rows of all epochs."""

    def __init__(self, tqdm: Any, epochs: int, rows: int) -> None:
        self.epochs, self.rows = epochs, rows
        self.val_loss: float | None = None
        self.broken = False
        self.poll = self._within_epoch
        self.bar: Any = None
        with self._unless_broken():
            self.bar = tqdm(total=epochs * rows, unit=" rows", unit_scale=True, dynamic_ncols=True)
            self._show(0, math.nan)

    def epoch_done(self, loss: float, val_loss: float | None, seconds: float) -> None:
        self.epoch += 1
        self.val_loss = val_loss
        self._show(0, loss)

    def close(self) -> None:
        with self._unless_broken():
            if self.bar is not None:
                if self.bar.n == self.epoch * self.rows > 0:  # no epoch is under way
                    self._describe(self.epoch)
                self.bar.refresh()
                self.bar.close()

    def _within_epoch(self, rows: int, loss: float) -> None:
        self._show(rows, loss)

    def _show(self, rows: int, loss: float) -> None:
        with self._unless_broken():
            if self.bar is None:
                return
            self._describe(min(self.epoch + 1, self.epochs))
            self.bar.set_postfix_str(_losses(loss, self.val_loss), refresh=False)
            self.bar.update(self.epoch * self.rows + rows - self.bar.n)

    def _describe(self, epoch: int) -> None:
        self.bar.set_description_str(f"epoch {epoch}/{self.epochs}", refresh=False)

    @contextlib.contextmanager
    def _unless_broken(self) -> Any:
        if self.broken:
            return
        try:
            yield
        except (OSError, ValueError):
            self.broken = True


def progress_for(verbose: int, epochs: int, rows: int) -> Progress:
    """Return the display for this verbosity (0, 1 or 2) and for where stderr leads."""
    if verbose == 0:
        return Progress()
    tqdm = _tqdm() if verbose == 1 and _redraws() else None
    return Lines(epochs, rows, paced=verbose == 1) if tqdm is None else Bar(tqdm, epochs, rows)


def _redraws() -> bool:
    """Return whether stderr is shown by something that can redraw a line: a terminal or a notebook."""
    try:
        if sys.stderr.isatty():
            # Programs that pretend to be terminals often have no width, and then a bar would show nothing.
            return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        return False
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _tqdm() -> Any:
    with warnings.catch_warnings():
        # It warns where a notebook has no ipywidgets, and then draws with characters, which is well.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            return None


def _losses(loss: float, val_loss: float | None) -> str:
    if math.isnan(loss):
        return ""
    return f"loss {loss:.4g}" + ("" if val_loss is None else f", val_loss {val_loss:.4g}")


def _short(number: float) -> str:
    for unit in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"
