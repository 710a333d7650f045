"""Model files whose frame is in order, checksum included, and whose description of a network is hostile.

Hostile frames are in test_model_file.py, descriptions that are merely damaged in test_persistence.py.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from test_model_file import META, f32, seal

_HUGE = 2**40


def _dense(name: str, inputs: int, outputs: int, **changes: Any) -> dict[str, Any]:
    plain = {"activation": "identity", "initializer": "glorot_uniform", "tied_to": ""}
    return {"name": name, "inputs": inputs, "outputs": outputs, **plain, **changes}


_ENCODER, _DECODER = _dense("encoder.0", 3, 2), _dense("decoder.0", 2, 3)
_SHAPES = {
    "encoder.0.kernel": [3, 2],
    "encoder.0.bias": [2],
    "decoder.0.kernel": [2, 3],
    "decoder.0.bias": [3],
}


def _shapes_without(name: str) -> dict[str, list[int]]:
    return {other: shape for other, shape in _SHAPES.items() if other != name}


def _model(
    layers: object,
    code_layers: object = 1,
    shapes: Mapping[str, list[int]] = _SHAPES,
    weight: float = 0.5,
) -> bytes:
    """Return a whole file with these layers; by default with the tensors of a network 3-2-3."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in sorted(shapes.items()):
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = f32(shape, begin, end)
    fitting = {"loss": "mse", "scale": None, "feature_names": None, "stop_reason": "epochs"}
    contents = {
        "class": "AutoEncoder",
        "diabolo": "0.1.0",
        "parameters": {},
        "layers": layers,
        "code_layers": code_layers,
        "fitting": {**fitting, "history": {"loss": [1.0]}},
    }
    texts = {name: json.dumps(value) for name, value in contents.items()}
    data = np.full(end // 4, weight, "<f4").tobytes()
    return seal({"__metadata__": {**META, **texts}, **header}, data)


def good_model() -> bytes:
    """Return what the hostile ones were before somebody changed them."""
    return _model([_ENCODER, _DECODER])


def _without_weights(kind: str, units: object, /, **fields: object) -> dict[str, object]:
    return {"layer": kind, "units": units, **fields}


_PENALTY = _without_weights("activity_penalty", 2, l1=0.0, kl=0.0, target=0.05, decay=0.9)
_NOISE = {"kind": "masking", "amount": 0.1, "corrupted_weight": 1.0, "clean_weight": 1.0}

HOSTILE_MODELS: dict[str, bytes] = {
    "no layers": _model([], shapes={}),
    "layers that are no list": _model({"name": "encoder.0"}),
    "layers that are no objects": _model([1, 2]),
    "a layer within a layer": _model([{**_ENCODER, "inputs": [3]}, _DECODER]),
    "a hundred thousand layers": _model([1] * 100_000),
    "deep layers": _model([[[[[[[[[[]]]]]]]]]]),
    "code beyond the last layer": _model([_ENCODER, _DECODER], 2),
    "code before the first layer": _model([_ENCODER, _DECODER], 0),
    "2^63 - 1 code layers": _model([_ENCODER, _DECODER], 2**63 - 1),
    "code layers in quotes": _model([_ENCODER, _DECODER], "1"),
    "widths of 2^62": _model([_dense("encoder.0", 2**62, 2**62), _dense("decoder.0", 2**62, 2**62)]),
    "negative widths": _model([_dense("encoder.0", -3, -2), _dense("decoder.0", -2, -3)]),
    "widths that do not meet": _model([_ENCODER, _dense("decoder.0", 3, 2)]),
    "an output narrower than the input": _model(
        [_ENCODER, _dense("decoder.0", 2, 2)],
        shapes={**_SHAPES, "decoder.0.kernel": [2, 2], "decoder.0.bias": [2]},
    ),
    "a terabyte without a weight": _model(
        [_without_weights("corruption", _HUGE, **_NOISE), _without_weights("top_k", _HUGE, k=_HUGE)],
        shapes={"encoder.0.bias": [1]},
    ),
    "tied to itself": _model(
        [{**_ENCODER, "tied_to": "encoder.0"}, _DECODER],
        shapes=_shapes_without("encoder.0.kernel"),
    ),
    "tied to what is not there": _model(
        [_ENCODER, {**_DECODER, "tied_to": "encoder.9"}],
        shapes=_shapes_without("decoder.0.kernel"),
    ),
    "tied to another shape": _model(
        [_ENCODER, _dense("encoder.1", 2, 2), {**_DECODER, "tied_to": "encoder.1"}],
        2,
        {**_shapes_without("decoder.0.kernel"), "encoder.1.kernel": [2, 2], "encoder.1.bias": [2]},
    ),
    "the same name twice": _model([_ENCODER, {**_DECODER, "name": "encoder.0"}]),
    "an unknown activation": _model([{**_ENCODER, "activation": "sin"}, _DECODER]),
    "an unknown kind of layer": _model([_ENCODER, _without_weights("program", 2, code="1"), _DECODER], 2),
    "k beyond the units": _model([_ENCODER, _without_weights("top_k", 2, k=3), _DECODER], 2),
    "k of 0": _model([_ENCODER, _without_weights("top_k", 2, k=0), _DECODER], 2),
    "k that is a fraction": _model([_ENCODER, _without_weights("top_k", 2, k=1.5), _DECODER], 2),
    "units that do not meet": _model([_ENCODER, {**_PENALTY, "units": 7}, _DECODER], 2),
    "moments of another number": _model(
        [_ENCODER, _without_weights("gaussian_code", 2, beta=1.0, warmup_epochs=0, free_bits=0.0), _DECODER],
        2,
    ),
    "an unknown noise": _model(
        [_without_weights("corruption", 3, **{**_NOISE, "kind": "fog"}), _ENCODER, _DECODER], 2
    ),
    "NaN weights": _model([_ENCODER, _DECODER], weight=float("nan")),
    "infinite weights": _model([_ENCODER, _DECODER], weight=float("inf")),
    "a tensor of nobody": _model(
        [_ENCODER, _DECODER],
        shapes={**_SHAPES, "x": [1]},
    ),
    "a scaler in float32": _model(
        [_ENCODER, _DECODER],
        shapes={**_SHAPES, "scaler.shift": [3], "scaler.scale": [3]},
    ),
}
