"""Names for types: of arrays, and of what is told how far a training is; nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]

# Called with the rows done in this epoch and their mean loss.
Poll = Callable[[int, float], object]
