"""Names for the types of arrays; nothing else."""

from typing import Any

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
