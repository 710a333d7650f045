"""Autoencoders on CPUs with scikit-learn's manners.

>>> from diabolo import AutoEncoder
>>> AutoEncoder(n_components=16, loss="mae")
AutoEncoder(n_components=16, loss='mae')
"""

import importlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

# First of all, before NumPy: on a CPU that is too old its ImportError says so, where NumPy's own might crash.
from diabolo import _core

if TYPE_CHECKING:
    from diabolo._autoencoder import AutoEncoder
    from diabolo._base import Estimator
    from diabolo._callbacks import Callback, CSVLogger, JSONLinesLogger, TensorBoardLogger, TrainingState
    from diabolo._classifier import AutoEncoderClassifier
    from diabolo._contractive import ContractiveAutoEncoder
    from diabolo._denoising import DenoisingAutoEncoder
    from diabolo._import_weights import from_keras, from_torch
    from diabolo._outliers import ReconstructionOutlierDetector
    from diabolo._regressor import AutoEncoderRegressor
    from diabolo._sparse import SparseAutoEncoder
    from diabolo._stacked import StackedAutoEncoder
    from diabolo._variational import VariationalAutoEncoder
    from diabolo._versions import show_versions
    from diabolo.exceptions import (
        InvalidDataError,
        InvalidParameterError,
        MatmulPrecisionWarning,
        ModelFileError,
        NotFittedError,
        PosteriorCollapseWarning,
        TrainingDivergedError,
    )
    from diabolo.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
    from diabolo.schedules import (
        ConstantRate,
        CosineDecay,
        ExponentialDecay,
        ReduceOnPlateau,
        Schedule,
        StepDecay,
    )

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AutoEncoder",
    "AutoEncoderClassifier",
    "AutoEncoderRegressor",
    "CSVLogger",
    "Callback",
    "ConstantRate",
    "ContractiveAutoEncoder",
    "CosineDecay",
    "DenoisingAutoEncoder",
    "ExponentialDecay",
    "InvalidDataError",
    "InvalidParameterError",
    "JSONLinesLogger",
    "MatmulPrecisionWarning",
    "ModelFileError",
    "NotFittedError",
    "Optimizer",
    "PosteriorCollapseWarning",
    "RMSprop",
    "ReconstructionOutlierDetector",
    "ReduceOnPlateau",
    "Schedule",
    "SparseAutoEncoder",
    "StackedAutoEncoder",
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

# Loaded at their first mention, so that importing diabolo stays a matter of milliseconds: the module of each.
_ON_DEMAND = {
    "SGD": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "AutoEncoder": "_autoencoder",
    "AutoEncoderClassifier": "_classifier",
    "AutoEncoderRegressor": "_regressor",
    "CSVLogger": "_callbacks",
    "Callback": "_callbacks",
    "ConstantRate": "schedules",
    "ContractiveAutoEncoder": "_contractive",
    "CosineDecay": "schedules",
    "DenoisingAutoEncoder": "_denoising",
    "ExponentialDecay": "schedules",
    "InvalidDataError": "exceptions",
    "InvalidParameterError": "exceptions",
    "JSONLinesLogger": "_callbacks",
    "MatmulPrecisionWarning": "exceptions",
    "ModelFileError": "exceptions",
    "NotFittedError": "exceptions",
    "Optimizer": "optimizers",
    "PosteriorCollapseWarning": "exceptions",
    "RMSprop": "optimizers",
    "ReconstructionOutlierDetector": "_outliers",
    "ReduceOnPlateau": "schedules",
    "Schedule": "schedules",
    "SparseAutoEncoder": "_sparse",
    "StackedAutoEncoder": "_stacked",
    "StepDecay": "schedules",
    "TensorBoardLogger": "_callbacks",
    "TrainingDivergedError": "exceptions",
    "TrainingState": "_callbacks",
    "VariationalAutoEncoder": "_variational",
    "from_keras": "_import_weights",
    "from_torch": "_import_weights",
    "show_versions": "_versions",
}
_MODULES = ("exceptions", "optimizers", "schedules")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")  # which makes it an attribute
    module = _ON_DEMAND.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND, *_MODULES})


class _Estimators(Mapping[str, "type[Estimator]"]):
    """The classes that files may hold, by name; each is loaded when a file holds it."""

    _names = (
        "AutoEncoder",
        "AutoEncoderClassifier",
        "AutoEncoderRegressor",
        "ContractiveAutoEncoder",
        "DenoisingAutoEncoder",
        "ReconstructionOutlierDetector",
        "SparseAutoEncoder",
        "StackedAutoEncoder",
        "VariationalAutoEncoder",
    )

    def __getitem__(self, name: str) -> "type[Estimator]":
        if name not in self._names:
            raise KeyError(name)
        found: type[Estimator] = globals().get(name) or __getattr__(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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
    from diabolo._persistence import load_estimator  # reading waits, too

    return load_estimator(path, _Estimators())


def available_isas() -> list[str]:
    """Return the instruction sets that this CPU can run; the environment variable DIABOLO_ISA forces one."""
    return _core.available_isas()
