"""Training on rows that come in blocks: where blocks come from, and an epoch over them.

Each block is a run of the core's trainer, which takes over weights, moments and what layers keep from the
block before.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from diabolo import _core
from diabolo._fitted import OptimizerState
from diabolo._fitting import new_trainer
from diabolo._inputs import Table, as_table, check_features, is_frame
from diabolo._types import Poll
from diabolo._validation import broken, shown
from diabolo.exceptions import InvalidDataError

# Folded into the seed, so that the rows of every block are shuffled in an order of their own: 2^64 divided by
# the golden ratio, whose multiples are spread over all 64 bits.
_SEED_STEP = 0x9E3779B97F4A7C15


class Blocks:
    """Blocks of rows, read once or again and again, and checked as they come.

    Parameters
    ----------
    owner : str
        The estimator that messages name.
    source : iterable, iterator or callable
        Of array-likes of shape (rows, features); a callable returns such an iterable at each call.
    name : str
        What messages call a block.
    features, feature_names
        What the blocks must have; None: what the first one has.
    check : callable
        Refuses a block that cannot be used, by its values or otherwise.
    missing_allowed : bool
        Whether NaN stands for a missing value.
    sparse : bool
        Whether blocks may be sparse.
    """

    def __init__(
        self,
        owner: str,
        source: Any,
        *,
        name: str,
        features: int | None,
        feature_names: tuple[str, ...] | None,
        check: Callable[[Table], None],
        missing_allowed: bool = False,
        sparse: bool = False,
    ) -> None:
        if not callable(source) and (isinstance(source, (str, bytes)) or not isinstance(source, Iterable)):
            raise InvalidDataError(
                f"{owner}: blocks must be an iterable of blocks of rows, or a callable that returns one. "
                f"Got {shown(source)}."
            )
        if getattr(source, "ndim", None) == 2 or is_frame(source, "polars"):  # pandas' frames have an ndim
            raise InvalidDataError(
                f"{owner}: blocks must be an iterable of blocks of rows, or a callable that returns one. Got "
                f"one table, of type {type(source).__name__}. Pass slices of it, or the whole to fit."
            )
        self.owner = owner
        self.name = name
        self.source: Iterable[Any] | Callable[[], Iterable[Any]] = source
        self.features = features
        self.feature_names = feature_names
        self.check = check
        self.missing_allowed = missing_allowed
        self.sparse = sparse
        self.has_failed = False  # whether the source, or what it gave, raised
        self._first: tuple[Table, Iterator[Any]] | None = None

    @property
    def reads_once(self) -> bool:
        """Whether it is an iterator, a generator for one, which cannot begin again."""
        return not callable(self.source) and isinstance(self.source, Iterator)

    def __iter__(self) -> Iterator[Table]:
        """Read all blocks: an epoch."""
        try:
            if self._first is not None:
                (first, rest), self._first = self._first, None
                yield first
            else:
                rest = iter(self.source() if callable(self.source) else self.source)
                yield self._next(rest, first=True)
            while True:
                try:
                    table = self._next(rest, first=False)
                except _Exhausted:
                    return
                yield table
        except GeneratorExit:
            raise
        except BaseException:
            self.has_failed = True
            raise

    def peek(self) -> Table:
        """Return the first block; the next reading begins with it."""
        rest = iter(self.source() if callable(self.source) else self.source)
        self._first = self._next(rest, first=True), rest
        return self._first[0]

    def _next(self, rest: Iterator[Any], *, first: bool) -> Table:
        try:
            block = next(rest)
        except StopIteration:
            if not first:
                raise _Exhausted from None
            raise InvalidDataError(
                f"{self.owner}: blocks must have at least one block of rows in every epoch. Got none."
            ) from None
        table = as_table(
            block, self.owner, self.name, missing_allowed=self.missing_allowed, sparse=self.sparse
        )
        if self.features is None:
            self.features, self.feature_names = table.rows.features, table.feature_names
        check_features(table, self.features, self.feature_names)
        self.check(table)
        return table


class _Exhausted(Exception):
    """There are no more blocks."""


class BlockEpoch(NamedTuple):
    """The report of an epoch over blocks, as `_core.EpochReport`."""

    outcome: str
    epoch: int
    step: int
    loss: float
    reconstruction_loss: float
    learning_rate: float

    @property
    def measures(self) -> dict[str, float]:
        """Nothing: what layers report of themselves (active units, ...) is kept by `fit` alone."""
        return {}


class BlockTrainer:
    """Does over blocks what `_core.Trainer` does over one table, and goes on where an optimiser was.

    The learning rate changes between epochs only: how many steps an epoch has is known when it is over.
    """

    def __init__(
        self,
        parameters: Any,
        model: _core.Model,
        blocks: Blocks,
        validation_rows: _core.Rows | None,
        seed: int,
        threads: int,
        state: OptimizerState | None,
        *,
        sum_features: bool,
    ) -> None:
        p = self.parameters = parameters
        if state is None:
            state = OptimizerState(p.optimizer, (), 0, 0, 0)
        elif state.optimizer != p.optimizer:  # another one makes nothing of these moments
            state = state._replace(optimizer=p.optimizer, moments=(), updates=0)
        self.model = model
        self.blocks = blocks
        self.validation_rows = validation_rows
        self.seed = seed
        self.threads = threads
        self.sum_features = sum_features
        self.base_rate = p.learning_rate
        self.state = state
        self.rows = 0  # of the last epoch
        self._last: _core.Trainer | None = None
        self._completed: tuple[_core.Model, BlockEpoch, OptimizerState] | None = None
        self._best = model
        self._epoch = 0

    def set_learning_rate(self, rate: float) -> None:
        self.base_rate = rate

    def measure_names(self) -> list[str]:
        return []

    def run_epoch(self, poll: Poll | None) -> BlockEpoch:
        """Train once on every block."""
        rate = self._learning_rate()
        rows, step, loss, reconstruction = 0, 0, 0.0, 0.0
        for table in self.blocks:
            report = self._run_block(table, rate, poll)
            here = step + report.step
            if report.outcome != "completed":
                return BlockEpoch(report.outcome, self._epoch, here, report.loss, report.loss, rate)
            step = here + 1
            rows += table.rows.count
            loss += report.loss * table.rows.count
            reconstruction += report.reconstruction_loss * table.rows.count
        done = BlockEpoch("completed", self._epoch, step - 1, loss / rows, reconstruction / rows, rate)
        self.rows = rows
        self._epoch += 1
        self.state = self.state._replace(epochs=self.state.epochs + 1)
        self._completed = self.model, done, self.state
        return done

    def _learning_rate(self) -> float:
        p = self.parameters
        factor = p.schedule._core_schedule().factor_at(self.state.epochs, 1, p.schedule_epochs)
        return float(self.base_rate * factor)

    def _run_block(self, table: Table, rate: float, poll: Poll | None) -> _core.EpochReport:
        state = self.state
        trainer = new_trainer(
            self.parameters,
            self.model,
            table.rows,
            self.validation_rows,
            (self.seed + state.passes * _SEED_STEP) % 2**64,
            self.threads,
            sum_features=self.sum_features,
            stored_only=self.parameters.zeros == "missing",
            learning_rate=rate,
            schedule=_core.Schedule.constant(),
            updates_before=state.updates,
        )
        if state.moments:
            trainer.take_moments(state.moments)
        if state.kept:  # other hyper-parameters may have layers keep other things
            kept = trainer.kept_states()
            trainer.take_kept_states({name: state.kept.get(name, values) for name, values in kept.items()})
        report = trainer.run_epoch(poll)
        model = trainer.completed_model()
        if report.outcome == "completed" and model is not None:
            self._last, self.model = trainer, model
            updates = state.updates + report.step + 1
            moments = tuple(trainer.moments())
            self.state = state._replace(
                moments=moments, updates=updates, passes=state.passes + 1, kept=trainer.kept_states()
            )
        return report

    def validation_losses(self) -> tuple[float, float]:
        assert self._last is not None  # an epoch was completed
        return self._last.validation_losses()

    def keep_best(self) -> None:
        self._best = self.model

    def best_model(self) -> _core.Model:
        return self._best

    def completed_report(self) -> BlockEpoch | None:
        return None if self._completed is None else self._completed[1]

    def completed_model(self) -> _core.Model | None:
        return None if self._completed is None else self._completed[0]

    def completed_state(self) -> OptimizerState | None:
        return None if self._completed is None else self._completed[2]


def check_reading(owner: str, p: Any, blocks: Blocks, *, starts_anew: bool) -> None:
    """Refuse what an iterator, which can be read only once, cannot do."""
    if not blocks.reads_once:
        return
    again = "when blocks is an iterator, which can be read only once (pass a callable that returns one)"
    if p.epochs != 1:
        raise broken(owner, "epochs", f"1 {again}", p.epochs)
    if p.scale is not None and starts_anew:
        raise broken(owner, "scale", f"None {again}", p.scale)
