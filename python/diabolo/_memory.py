"""Refuses, before training starts, what this process cannot allocate."""

from typing import Any

from diabolo import _core
from diabolo._architecture import Architecture
from diabolo._core import Rows
from diabolo._fitting import SHUFFLES, Shuffle
from diabolo._validation import MAX_INT, shown


def check_memory(owner: str, parameters: Any, plan: Architecture, rows: Rows, threads: int) -> None:
    """Compare what model and training will take with what there is; raise MemoryError if it cannot be had."""
    available = _core.available_memory()
    needed = _bytes_needed(plan, parameters, rows, SHUFFLES[parameters.shuffle], threads)
    if _fits(needed, available):
        return
    # The order of all rows takes memory that grows with their number.
    in_blocks = _bytes_needed(plan, parameters, rows, "blocks", threads)
    if parameters.shuffle is True and _fits(in_blocks, available):
        name, rule = "shuffle", f"'blocks' or False for so many rows ({rows.count})"
    else:
        name, rule = _widest(parameters), "small enough for the memory"
    amount = "more than 2^63 bytes" if needed is None else _amount(needed)
    there = "" if available is None else f", and {_amount(available)} are available"
    raise MemoryError(
        f"{owner}: {name} must be {rule}: training needs {amount}{there}. "
        f"Got {shown(getattr(parameters, name))}."
    )


def check_amount(owner: str, name: str, what: str, needed: int, value: object) -> None:
    """Raise MemoryError, naming a hyper-parameter, if so many bytes cannot be had."""
    available = _core.available_memory()
    if not _fits(needed, available):
        there = "" if available is None else f", and {_amount(available)} are available"
        raise MemoryError(
            f"{owner}: {name} must be small enough for the memory: {what} needs {_amount(needed)}{there}. "
            f"Got {shown(value)}."
        )


def _fits(needed: int | None, available: int | None) -> bool:
    return needed is not None and (available is None or needed <= available)


def _bytes_needed(
    plan: Architecture, parameters: Any, rows: Rows, shuffle: Shuffle, threads: int
) -> int | None:
    """Return the bytes for the model and for training it; None if they are beyond counting."""
    # Widths that overflow the core's own integers do not even get there.
    if sum(4 * layer.inputs * layer.outputs for layer in plan.layers) > MAX_INT:
        return None
    layers = plan.core_layers()
    try:
        return _core.Model.planned_bytes(layers) + _core.Trainer.planned_bytes(
            layers,
            rows.count,
            batch_size=min(parameters.batch_size, rows.count),
            rule=parameters.optimizer._update_rule(),
            clip=parameters.clip_norm is not None,
            shuffle=shuffle,
            threads=threads,
            most_stored=rows.most_stored,
        )
    except OverflowError:
        return None


def _widest(parameters: Any) -> str:
    """Return the name of the parameter that holds the greatest width."""
    widths = {"n_components": getattr(parameters, "n_components", 0)}
    for name in ("hidden_layer_sizes", "decoder_layer_sizes", "head_layer_sizes"):
        widths[name] = max(getattr(parameters, name, None) or (0,))
    return max(widths, key=lambda name: widths[name])


def _amount(count: int) -> str:
    """Return a number of bytes as people read it, and exactly."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.3g} {unit} ({count} bytes)"
