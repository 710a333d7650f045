"""Autoencoders on CPUs with scikit-learn's manners.

>>> from diabolo import AutoEncoder
>>> AutoEncoder(n_components=16, loss="mae")
AutoEncoder(n_components=16, loss='mae')
"""

import os
from typing import Any

# First of all, before NumPy: on a CPU that is too old its ImportError says so, where NumPy's own might crash.
from diabolo import _core
from diabolo._autoencoder import AutoEncoder
from diabolo._base import Estimator
from diabolo._callbacks import Callback, CSVLogger, JSONLinesLogger, TensorBoardLogger, TrainingState
from diabolo._denoising import DenoisingAutoEncoder
from diabolo._import_weights import from_keras, from_torch
from diabolo._outliers import ReconstructionOutlierDetector
from diabolo._persistence import load_estimator
from diabolo._sparse import SparseAutoEncoder
from diabolo._variational import VariationalAutoEncoder
from diabolo._versions import show_versions
from diabolo.exceptions import (
    InvalidDataError,
    InvalidParameterError,
    ModelFileError,
    NotFittedError,
    PosteriorCollapseWarning,
    TrainingDivergedError,
)
from diabolo.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from diabolo.schedules import ConstantRate, CosineDecay, ExponentialDecay, Schedule, StepDecay

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AutoEncoder",
    "CSVLogger",
    "Callback",
    "ConstantRate",
    "CosineDecay",
    "DenoisingAutoEncoder",
    "ExponentialDecay",
    "InvalidDataError",
    "InvalidParameterError",
    "JSONLinesLogger",
    "ModelFileError",
    "NotFittedError",
    "Optimizer",
    "PosteriorCollapseWarning",
    "RMSprop",
    "ReconstructionOutlierDetector",
    "Schedule",
    "SparseAutoEncoder",
    "StepDecay",
    "TensorBoardLogger",
    "TrainingDivergedError",
    "TrainingState",
    "VariationalAutoEncoder",
    "available_isas",
    "from_keras",
    "from_torch",
    "load",
    "show_versions",
]

__version__ = _core.__version__

_ESTIMATORS: dict[str, type[Estimator]] = {
    cls.__name__: cls
    for cls in (
        AutoEncoder,
        DenoisingAutoEncoder,
        ReconstructionOutlierDetector,
        SparseAutoEncoder,
        VariationalAutoEncoder,
    )
}


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator that its `save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        Of the class that was saved: fitted, with the parameters it had.

    Raises
    ------
    ModelFileError
        The file holds no model, is damaged or truncated, or was written by a newer version. (A ValueError.)
    OSError
        What the operating system says of the file.
    """
    return load_estimator(path, _ESTIMATORS)


def available_isas() -> list[str]:
    """Return the instruction sets that this CPU can run; the environment variable DIABOLO_ISA forces one."""
    return _core.available_isas()
