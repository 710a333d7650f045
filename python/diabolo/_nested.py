"""An autoencoder as the hyper-parameter of another estimator, which trains a copy of it."""

import copy
from typing import Any

from diabolo._network_estimator import NetworkEstimator
from diabolo._validation import Refused, Rule


class NetworkOrNone(Rule):
    """An autoencoder of this package, or None for the default one."""

    description = "None or an autoencoder such as diabolo.AutoEncoder"

    def convert(self, value: object) -> Any:
        if value is not None and not isinstance(value, NetworkEstimator):
            raise Refused
        return value


def untrained_copy(autoencoder: NetworkEstimator) -> NetworkEstimator:
    """Return an autoencoder with the same hyper-parameters, none of them shared."""
    parameters = {name: copy.deepcopy(value) for name, value in autoencoder.get_params(deep=False).items()}
    return type(autoencoder)(**parameters)
