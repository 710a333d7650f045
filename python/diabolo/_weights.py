"""Weights that a user hands in, checked against an architecture."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from diabolo._architecture import Architecture
from diabolo._types import Float32Array
from diabolo.exceptions import InvalidDataError


def checked_weights(owner: str, weights: object, plan: Architecture) -> dict[str, Float32Array]:
    """Return the weights in float32; raise InvalidDataError for wrong names, shapes, types and values."""
    shapes = plan.parameter_shapes()
    if not isinstance(weights, Mapping):
        found = type(weights).__name__
        raise InvalidDataError(f"{owner}: weights must be a mapping of names to arrays. Got {found}.")
    missing = sorted(shapes.keys() - weights.keys())
    unknown = sorted(str(name) for name in weights.keys() - shapes.keys())
    if missing or unknown:
        raise InvalidDataError(
            f"{owner}: weights must have the names {list(shapes)}. Missing: {missing}; unknown: {unknown}."
        )
    return {name: _checked_weight(owner, name, weights[name], shape) for name, shape in shapes.items()}


def _checked_weight(owner: str, name: str, weight: npt.ArrayLike, shape: tuple[int, ...]) -> Float32Array:
    given = np.asarray(weight)
    if given.dtype.kind not in "biuf":
        raise InvalidDataError(f"{owner}: weights[{name!r}] must hold real numbers. Got dtype {given.dtype}.")
    if given.shape != shape:
        raise InvalidDataError(f"{owner}: weights[{name!r}] must have shape {shape}. Got {given.shape}.")
    with np.errstate(over="ignore"):  # what overflows is found below
        array = np.ascontiguousarray(given, dtype=np.float32)
    if not np.isfinite(array).all():
        raise InvalidDataError(f"{owner}: weights[{name!r}] must be finite in float32. Got NaN or infinity.")
    if name.endswith(".variance") and (array < 0).any():
        raise InvalidDataError(f"{owner}: weights[{name!r}] must not be negative. Got {array.min()}.")
    return array
