"""Products of less than float32 precision: which may be asked for, and which a machine computes."""

import warnings
from collections.abc import Sequence
from typing import Any

from diabolo import _core
from diabolo.exceptions import MatmulPrecisionWarning

# Most precise first: the names of the core's Products (kernels.h).
MATMUL_PRECISIONS = ("float32", "bfloat16_3x", "bfloat16")


def precision_used(products: Sequence[str]) -> str:
    """Return the least precise form among those that layers compute."""
    return max(products, key=MATMUL_PRECISIONS.index, default="float32")


def warn_of_precision(owner: str, parameters: Any, model: _core.Model) -> None:
    """Say so if the network multiplies more precisely, and no slower, than it was asked to."""
    wanted, used = parameters.matmul_precision, precision_used(model.products())
    if used != wanted:
        warnings.warn(
            f"{owner}: matmul_precision={wanted!r} would not be faster than {used!r} for this network "
            f"on this machine ({_core.selected_isa()}): {used!r} is used.",
            MatmulPrecisionWarning,
            stacklevel=4,
        )
