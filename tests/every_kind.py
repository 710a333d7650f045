"""Estimators of every kind, small enough to train in a moment: for tests that none may escape."""

from typing import Any

import numpy as np
import numpy.typing as npt

import diabolo
from diabolo import (
    AutoEncoder,
    AutoEncoderClassifier,
    AutoEncoderRegressor,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    ReconstructionOutlierDetector,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
)
from diabolo._base import Estimator

_SETTINGS: dict[str, Any] = {
    "n_components": 4,
    "hidden_layer_sizes": (7, 5),
    "activation": "gelu",
    "scale": "minmax",
    "epochs": 3,
    "batch_size": 50,
    "learning_rate": 1e-2,
    "random_state": 0,
}

_SUPERVISED: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-2, "random_state": 0}

AUTOENCODERS: dict[str, Estimator] = {
    "plain": AutoEncoder(**_SETTINGS),
    "stacked": StackedAutoEncoder(**_SETTINGS),
    "denoising": DenoisingAutoEncoder(**_SETTINGS),
    "contractive": ContractiveAutoEncoder(**{**_SETTINGS, "activation": "sigmoid"}),
    "sparse, l1": SparseAutoEncoder(**_SETTINGS),
    "sparse, kl": SparseAutoEncoder(sparsity="kl", **_SETTINGS),
    "sparse, top_k": SparseAutoEncoder(sparsity="top_k", k=3, **{**_SETTINGS, "n_components": 9}),
    "sparse, top_k, shallow": SparseAutoEncoder(
        sparsity="top_k", k=2, **{**_SETTINGS, "hidden_layer_sizes": (), "tied_weights": True}
    ),
    "variational, gaussian": VariationalAutoEncoder(beta=0.01, output_variance=0.01, **_SETTINGS),
    "variational, bernoulli": VariationalAutoEncoder(
        likelihood="bernoulli", beta=0.01, **{**_SETTINGS, "hidden_layer_sizes": ()}
    ),
    "detector": ReconstructionOutlierDetector(random_state=0),
    "detector, variational": ReconstructionOutlierDetector(
        VariationalAutoEncoder(beta=0.01, output_variance=0.01, **_SETTINGS),
        metric="mse",
        threshold="quantile",
        random_state=0,
    ),
    "detector, sparse": ReconstructionOutlierDetector(
        SparseAutoEncoder(sparsity="top_k", k=2, **_SETTINGS), support_fraction=1.0
    ),
}

SUPERVISED: dict[str, Estimator] = {
    "classifier": AutoEncoderClassifier(AutoEncoder(**_SETTINGS), **_SUPERVISED),
    "classifier, hinge": AutoEncoderClassifier(
        VariationalAutoEncoder(beta=0.01, output_variance=0.01, **_SETTINGS),
        loss="hinge",
        head_layer_sizes=(6,),
        **_SUPERVISED,
    ),
    "regressor": AutoEncoderRegressor(SparseAutoEncoder(sparsity="top_k", k=3, **_SETTINGS), **_SUPERVISED),
}

KINDS = {**AUTOENCODERS, **SUPERVISED}


# What they compute of rows, by the name of the results: of each kind those that it has.
METHODS = {
    "scores": "score_samples",
    "codes": "transform",
    "reconstructions": "reconstruct",
    "predictions": "predict",
}


def file_name(kind: str) -> str:
    """Return what a file that holds an estimator of this kind is called, without a suffix."""
    return kind.replace(", ", "-")


def public_estimators() -> dict[str, type[Estimator]]:
    """Return the classes of estimators that the package shows, by name."""
    found = {name: getattr(diabolo, name) for name in diabolo.__all__}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, Estimator)
    }


def targets(kind: str, X: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """Return the y that this kind is fitted to; none if it takes none."""
    if kind not in SUPERVISED:
        return ()
    if isinstance(SUPERVISED[kind], AutoEncoderRegressor):
        return (np.column_stack([X[:, 0] + 50.0 * X[:, 1], 1e3 * X[:, 2]]),)
    return (np.array(["low", "middle", "high"])[(X[:, :2] > np.median(X[:, :2], axis=0)).sum(axis=1)],)


def trained(kind: str, X: npt.NDArray[Any]) -> Any:
    """Return a fitted estimator of this kind, none of whose weights is special."""
    estimator: Any = type(KINDS[kind])(**KINDS[kind].get_params(deep=False))
    estimator.fit(X, *targets(kind, X))
    if not hasattr(estimator, "set_weights"):
        return estimator
    random = np.random.default_rng(3)
    weights = estimator.get_weights()
    for name, weight in weights.items():
        if not name.endswith(".kernel"):
            weight += 0.1 * random.normal(size=weight.shape)
    return estimator.set_weights(weights)
