"""A small estimator that several tests train."""

from typing import Any

import numpy as np

from diabolo import AutoEncoder


def estimator(**changes: Any) -> AutoEncoder:
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (5,),
        "epochs": 3,
        "batch_size": 32,
        "random_state": 3,
    }
    return AutoEncoder(**{**settings, **changes})


def bits(ae: AutoEncoder) -> dict[str, bytes]:
    return {name: weight.tobytes() for name, weight in ae.get_weights().items()}


def same_weights(a: AutoEncoder, b: AutoEncoder) -> bool:
    weights, others = a.get_weights(), b.get_weights()
    return weights.keys() == others.keys() and all(np.array_equal(weights[k], others[k]) for k in weights)
