"""Models to be exported, none of whose numbers is special, and how near an export must come."""

from typing import Any

import numpy as np
import numpy.typing as npt

from diabolo import AutoEncoder
from diabolo._layers import ACTIVATIONS

# Each activation in hidden layers, code and output; tied weights or not; scaled or not.
VARIANTS: dict[str, dict[str, Any]] = {
    f"{activation}{'-tied' if tied else ''}{'-' + scale if scale else ''}": {
        "activation": activation,
        "code_activation": activation,
        "output_activation": activation,
        "tied_weights": tied,
        "scale": scale,
    }
    for activation in ACTIVATIONS
    for tied in (False, True)
    for scale in (None, "standard")
}

FEATURES = 6


def rows(count: int = 40) -> npt.NDArray[np.float32]:
    """Return rows whose features have different units and offsets."""
    random = np.random.default_rng(5)
    units = np.geomspace(0.1, 30.0, FEATURES)
    return (random.normal(size=(count, FEATURES)) * units + 3.0 * units).astype(np.float32)


def fitted(X: npt.NDArray[Any], **changes: Any) -> AutoEncoder:
    settings = {"n_components": 3, "hidden_layer_sizes": (7, 5), "epochs": 1, "random_state": 2, **changes}
    ae = AutoEncoder(**settings).fit(X)
    random = np.random.default_rng(3)
    weights = ae.get_weights()
    for name, weight in weights.items():
        if not name.endswith(".kernel"):
            weight += 0.1 * random.normal(size=weight.shape)
    return ae.set_weights(weights)


def scaled(ae: AutoEncoder, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return rows in the units of the network."""
    scaler = ae._require_fitted().model.scaler()
    if scaler is None:
        return np.asarray(x, np.float64)
    shift, scale = scaler
    return (np.asarray(x, np.float64) - shift) / scale


def assert_near(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Check what an export promises: |difference| <= 1e-5 (1 + |value|), in the scaled space."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
