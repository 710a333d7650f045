"""Checkpoints: a run between two epochs, in a model file from which it goes on as if it had never ended.

The file is a model file, of the weights as they are then, and `diabolo.load` reads it as such. Beside what
that has, the metadata hold "checkpoint", the facts of `RunState`, and the tensors the optimizer's moments,
``moments.0.encoder.0.kernel`` and so on; the weights of the best epoch, ``best.encoder.0.kernel``, if the run
stops early; and what layers keep from step to step, ``kept.2.mean_activity`` for the layer number 2 in
"layers". What else determines a run follows from hyper-parameters, data and the number of the epoch: the
order of the rows, the learning rate.
"""

import math
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from diabolo import _core
from diabolo._fitted import Scaler
from diabolo._types import AnyArray, Float32Array
from diabolo._validation import shown
from diabolo.exceptions import InvalidDataError, InvalidParameterError, ModelFileError

EXTRA_TENSORS = ("moments.", "best.", "kept.")

# What may differ between the two halves of a run: it changes no number of the result.
_MAY_DIFFER = (
    "n_jobs",
    "verbose",
    "checkpoint",
    "checkpoint_every",
    "random_state",
    "callbacks",
    "max_seconds",
    "warm_start",
)


class Origins(NamedTuple):
    """What a run comes from, beside hyper-parameters."""

    seed: int
    rows: tuple[int, int]  # how many there are to train on, and the fingerprint of their values
    validation_rows: tuple[int, int] | None

    def all_rows(self) -> tuple[int, int]:
        """Return how many rows there are in both sets, and no fingerprint, for those are compared by set."""
        return self.rows[0] + (self.validation_rows or (0, 0))[0], 0


class RunState(NamedTuple):
    """Where a run stands after a completed epoch, beside its weights."""

    history: dict[str, list[float]]
    last: _core.EpochReport
    best_loss: float
    epochs_since_best: int


class Checkpoint(NamedTuple):
    """What `read_checkpoint` finds in a file, all of it checked against itself."""

    path: str
    class_name: str
    parameters: dict[str, Any]  # as they were given
    features: int
    scaler: Scaler | None
    origins: Origins
    state: RunState
    pretraining: tuple[dict[str, tuple[float, ...]], ...]
    weights: dict[str, Float32Array]
    best: dict[str, Float32Array] | None
    moments: list[dict[str, Float32Array]]
    kept: dict[str, Float32Array]

    def check_parameters(
        self,
        owner: str,
        p: SimpleNamespace,
        checked_parameters: Callable[[dict[str, Any]], SimpleNamespace],
        features: int,
    ) -> None:
        """Raise an error that names the difference, if another run would go on from here.

        `checked_parameters` makes of hyper-parameters as they were given what `p` is.
        """
        if self.class_name != owner:
            raise InvalidParameterError(
                f"{owner}: resume_from must name a checkpoint of the same class. "
                f"Got one of {self.class_name}."
            )
        theirs = checked_parameters(self.parameters)
        for name, value in vars(p).items():
            there = getattr(theirs, name, None)
            if name not in _MAY_DIFFER and there != value:
                raise InvalidParameterError(
                    f"{owner}: {name} must be {shown(there)}, as in the checkpoint {self.path}. "
                    f"Got {shown(value)}."
                )
        if isinstance(p.random_state, int) and p.random_state != self.origins.seed:
            raise InvalidParameterError(
                f"{owner}: random_state must be {self.origins.seed}, as in the checkpoint {self.path}, "
                f"or None. Got {p.random_state}."
            )
        if features != self.features:
            raise InvalidDataError(
                f"{owner}: X must have {self.features} features, as in the checkpoint {self.path}. "
                f"Got {features}."
            )

    def check_data(self, owner: str, origins: Origins, scaler: Scaler | None, *, splits: bool) -> None:
        """Raise an error that names the difference, if the rows are others.

        `splits` says whether the validation rows are a part of X.
        """
        validation = "X" if splits else "the validation rows"
        sets = [
            ("X", self.origins.rows, origins.rows),
            (validation, self.origins.validation_rows, origins.validation_rows),
        ]
        if splits:  # what a user has counted is all of X
            sets.insert(0, ("X", self.origins.all_rows(), origins.all_rows()))
        for name, there, here in sets:
            if here == there:
                continue
            if here is None or there is None:
                found, wanted = ("given" if rows else "not given" for rows in (here, there))
            elif here[0] != there[0]:
                found, wanted = (f"{rows[0]} rows" for rows in (here, there))
            else:
                found, wanted = "other values", "the same values"
            raise InvalidDataError(
                f"{owner}: {name} must be as in the checkpoint {self.path}: {wanted}. Got {found}."
            )
        same = (scaler is None) == (self.scaler is None)
        if scaler is not None and self.scaler is not None:
            same = all(np.array_equal(a, b) for a, b in zip(scaler, self.scaler, strict=True))
        if not same:
            raise InvalidDataError(
                f"{owner}: the scaling of X must be as in the checkpoint {self.path}. Got another."
            )

    def resume(self, trainer: _core.Trainer, *, needs_best: bool) -> None:
        """Bring a new trainer to where the run was; raise ModelFileError if what that takes is not there."""
        expected = len(trainer.moments())
        if len(self.moments) != expected:
            raise ModelFileError(
                f"{self.path}: the optimizer has {expected} moments, but the file {len(self.moments)}"
            )
        if needs_best and self.best is None:
            raise ModelFileError(f"{self.path}: the file lacks the weights of the best epoch")
        for name in sorted(trainer.kept_states().keys() ^ self.kept.keys()):
            what = "has a tensor that is none of a checkpoint's" if name in self.kept else "lacks the tensor"
            raise ModelFileError(f"{self.path}: the file {what}, {f'kept.{name}'!r}")
        try:
            trainer.resume(self.state.last, self.weights, self.best, self.moments, self.kept)
        except ValueError as error:
            raise ModelFileError(f"{self.path}: {error}") from None


def origins_of(seed: int, rows: _core.Rows, validation_rows: _core.Rows | None, threads: int) -> Origins:
    """Return what the run comes from; it reads all rows once."""

    def identified(some: _core.Rows) -> tuple[int, int]:
        return some.count, some.fingerprint(threads)

    return Origins(seed, identified(rows), None if validation_rows is None else identified(validation_rows))


def extra_contents(
    trainer: _core.Trainer, state: RunState, origins: Origins, *, has_best: bool
) -> tuple[dict[str, object], dict[str, AnyArray]]:
    """Return what a checkpoint has beside a model: the entry "checkpoint" of the metadata, and tensors."""
    last = state.last
    facts: dict[str, object] = {
        **origins._asdict(),
        "last": {name: getattr(last, name) for name in _REPORT},
        "best_loss": None if math.isinf(state.best_loss) else state.best_loss,
        "epochs_since_best": state.epochs_since_best,
    }
    tensors: dict[str, AnyArray] = {}
    for which, moments in enumerate(trainer.moments()):
        tensors.update({f"moments.{which}.{name}": array for name, array in moments.items()})
    if has_best:
        best = trainer.best_model().get_weights()
        tensors.update({f"best.{name}": array for name, array in best.items()})
    tensors.update({f"kept.{name}": array for name, array in trainer.kept_states().items()})
    return facts, tensors


_REPORT = ("epoch", "step", "loss", "reconstruction_loss", "learning_rate")


def checkpoint_from(
    path: str | os.PathLike[str],
    class_name: str,
    parameters: dict[str, Any],
    weights: dict[str, Float32Array],
    scaler: Scaler | None,
    history: Mapping[str, tuple[float, ...]],
    pretraining: tuple[dict[str, tuple[float, ...]], ...],
    facts: dict[str, Any],
    tensors: Mapping[str, AnyArray],
) -> Checkpoint:
    """Return a checkpoint of a file's contents, whose model has been checked; raise ModelFileError."""

    def named(prefix: str) -> dict[str, Float32Array] | None:
        found = {name: tensors[prefix + name] for name in weights if prefix + name in tensors}
        if not found:
            return None
        if found.keys() != weights.keys() or any(found[n].shape != weights[n].shape for n in weights):
            raise ModelFileError(f"its tensors {prefix}* are not those of its weights")
        if not all(np.isfinite(array).all() and array.dtype == np.float32 for array in found.values()):
            raise ModelFileError(f"its tensors {prefix}* are not all finite float32")
        return found

    moments: list[dict[str, Float32Array]] = []
    while (these := named(f"moments.{len(moments)}.")) is not None:
        moments.append(these)
    best = named("best.")
    kept: dict[str, Float32Array] = {
        name.removeprefix("kept."): array for name, array in tensors.items() if name.startswith("kept.")
    }
    if not all(array.ndim == 1 and array.dtype == np.float32 for array in kept.values()):
        raise ModelFileError("its tensors kept.* are not all vectors of float32")
    expected = len(weights) * (len(moments) + (best is not None)) + len(kept)
    if sum(name.startswith(EXTRA_TENSORS) for name in tensors) != expected:
        raise ModelFileError("it has tensors that are none of a checkpoint's")
    last = _core.EpochReport(**{name: facts["last"][name] for name in _REPORT})
    if last.epoch < 0 or last.epoch + 1 != len(history["loss"]):
        raise ModelFileError("its history does not end where its training did")
    count, validation = tuple(facts["rows"]), facts["validation_rows"]
    if not 0 <= facts["seed"] < 2**64:
        raise ModelFileError("its seed must be below 2^64")
    return Checkpoint(
        os.fsdecode(path),
        class_name,
        parameters,
        next(iter(weights.values())).shape[0],
        scaler,
        Origins(int(facts["seed"]), count, None if validation is None else tuple(validation)),
        RunState(
            {name: list(values) for name, values in history.items()},
            last,
            math.inf if facts["best_loss"] is None else float(facts["best_loss"]),
            int(facts["epochs_since_best"]),
        ),
        pretraining,
        weights,
        best,
        moments,
        kept,
    )
