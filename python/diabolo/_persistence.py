"""Estimators in files: safetensors with our facts as JSON in the metadata. Format and safety are the core's.

The metadata, each a string of JSON:

=============  ==========================================================================================
class          name of the estimator's class
diabolo        version that wrote the file
parameters     the hyper-parameters; objects as {"class": name, "fields": {...}}
layers         list of {"name", "inputs", "outputs", "activation", "initializer", "tied_to"}; layers that are
               not dense are named by "layer" and have other fields
code_layers    how many of them, from the first, make the code
fitting        {"loss", "scale", "feature_names", "history", "stop_reason"}; NaN in the history is null;
               "pretraining", a list of histories, if there was any
checkpoint     only in checkpoints: see `_checkpoint.py`, also for their additional tensors
=============  ==========================================================================================

The tensors are the weights under the names of `get_weights`, and `scaler.shift` and `scaler.scale` (float64)
if the estimator scales.
"""

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from diabolo import _core, optimizers, schedules
from diabolo._architecture import Architecture
from diabolo._base import Estimator
from diabolo._checkpoint import EXTRA_TENSORS, Checkpoint, checkpoint_from
from diabolo._fitted import Fitted, Scaler, restored
from diabolo._layers import ACTIVATIONS, INITIALIZERS, DenseLayer, Layer, described, layer_from
from diabolo._parameters import LOSSES, RULES
from diabolo._types import AnyArray
from diabolo._validation import Choice, Refused
from diabolo.exceptions import ModelFileError

_SHIFT, _SCALE = "scaler.shift", "scaler.scale"
_OBJECTS: dict[str, Callable[..., Any]] = {
    cls.__name__: cls for cls in (*optimizers.BY_NAME.values(), *schedules.BY_NAME.values())
}
_NOT_SAVED = ("callbacks",)  # programs, not numbers
Tensors = Mapping[str, AnyArray]
_T = TypeVar("_T")


def check_class(estimator: Estimator) -> None:
    """Raise TypeError for a class that `load` could not make again."""
    if "_in_files" not in vars(type(estimator)):
        raise TypeError(
            f"{type(estimator).__name__}: save knows diabolo's own classes only, and `load` could not bring "
            "back another. Pickle it, or save its weights."
        )


def save_estimator(estimator: Estimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file, replacing it in one step."""
    fitted = estimator._require_fitted()
    check_class(estimator)
    write_estimator(estimator, fitted, path)


def write_estimator(
    estimator: Estimator,
    fitted: Fitted,
    path: str | os.PathLike[str],
    checkpoint: object = None,
    extra_tensors: Tensors | None = None,
) -> None:
    """Write an estimator with what it has been fitted to, and what a checkpoint has besides."""
    import json  # here, because importing diabolo should cost little

    layers, code_layers = fitted.architecture
    facts = fitted.fitting._asdict()
    facts["history"] = {
        name: [None if math.isnan(value) else value for value in values]
        for name, values in fitted.fitting.history.items()
    }
    facts["pretraining"] = list(facts["pretraining"])
    if not facts["pretraining"]:  # most have none, nor had files of version 0.1
        del facts["pretraining"]
    contents = {
        "class": type(estimator).__name__,
        "diabolo": _core.__version__,
        "parameters": encoded_estimator(estimator)["fields"],
        "layers": [described(layer) for layer in layers],
        "code_layers": code_layers,
        "fitting": facts,
        **estimator._more_contents(),
    }
    if checkpoint is not None:
        contents["checkpoint"] = checkpoint
    # Strict JSON: other readers than Python's refuse NaN.
    metadata = {name: json.dumps(value, allow_nan=False) for name, value in contents.items()}
    tensors: dict[str, AnyArray] = dict(fitted.model.get_weights())
    scaler = fitted.model.scaler()
    if scaler is not None:
        tensors[_SHIFT], tensors[_SCALE] = scaler
    tensors.update(extra_tensors or {})
    _core.write_model_file(_file_name(path), metadata, tensors)


def load_estimator(path: str | os.PathLike[str], classes: Mapping[str, type[Estimator]]) -> Estimator:
    """Read a file that `save_estimator` wrote; raise ModelFileError if it is no such file."""
    return _read(path, lambda contents, tensors: _from_contents(contents, tensors, classes))


def read_checkpoint(path: str | os.PathLike[str], defaults: Mapping[str, object]) -> Checkpoint:
    """Read a file that `fit` wrote as a checkpoint; raise ModelFileError if it is none.

    A hyper-parameter that an older version did not know has its default there.
    """

    def from_contents(contents: _Contents, tensors: Tensors) -> Checkpoint:
        if "checkpoint" not in contents.metadata:
            raise ModelFileError("a saved model, no checkpoint of a run")
        facts = contents.get("checkpoint", dict)
        parameters = contents.get("parameters", dict)
        fitted = _fitted_from(contents, tensors)
        return checkpoint_from(
            path,
            contents.get("class", str),
            {**defaults, **{name: _decoded(value, {}) for name, value in parameters.items()}},
            fitted.model.get_weights(),
            fitted.model.scaler(),
            fitted.fitting.history,
            fitted.fitting.pretraining,
            facts,
            tensors,
        )

    return _read(path, from_contents)


def _read(path: str | os.PathLike[str], from_contents: "Callable[[_Contents, Tensors], _T]") -> _T:
    name = _file_name(path)
    metadata, tensors = _core.read_model_file(name)
    try:
        return from_contents(_Contents(metadata), tensors)
    except ModelFileError as error:
        raise ModelFileError(f"{name}: {error}") from None
    # A file may say anything: what is amiss then shows where its contents are first used.
    except (Refused, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"{name}: the model's description is damaged: {error}") from error


def _file_name(path: str | os.PathLike[str]) -> str:
    name = os.fsdecode(path)
    if "\0" in name:  # where C would end the name, and write to another file
        raise ValueError(f"the path must have no null character. Got {name!r}.")
    return name


class _Contents:
    """The metadata, decoded as they are asked for."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata

    def get(self, name: str, kind: type) -> Any:
        import json

        if name not in self.metadata:
            raise ModelFileError(f"not an estimator: the metadata have no {name!r}")
        value = json.loads(self.metadata[name])
        if not isinstance(value, kind):
            raise ModelFileError(f"the metadata {name!r} must be a JSON {kind.__name__}")
        return value


def _from_contents(
    contents: _Contents, tensors: Tensors, classes: Mapping[str, type[Estimator]]
) -> Estimator:
    class_name = contents.get("class", str)
    if class_name not in classes:
        raise ModelFileError(
            f"it holds a {class_name!r}, which this diabolo does not know; it knows {sorted(classes)}"
        )
    estimator = decoded_estimator({"class": class_name, "fields": contents.get("parameters", dict)}, classes)
    fitted = _fitted_from(contents, tensors, estimator._second_part)
    estimator._restore(fitted, contents, classes)
    return estimator


def _fitted_from(contents: _Contents, tensors: Tensors, second_part: str = "decoder") -> Fitted:
    architecture = Architecture(
        tuple(layer_from(layer) for layer in contents.get("layers", list)), contents.get("code_layers", int)
    )
    _check_architecture(architecture, second_part)
    if "checkpoint" in contents.metadata:
        tensors = {n: tensor for n, tensor in tensors.items() if not n.startswith(EXTRA_TENSORS)}
    # Before anything is allocated by these sizes: a file must not claim more than it holds.
    _check_tensors(architecture, tensors)
    scaler: Scaler | None = (tensors[_SHIFT], tensors[_SCALE]) if _SHIFT in tensors else None
    facts = contents.get("fitting", dict)
    history = {
        str(name): tuple(math.nan if value is None else float(value) for value in values)
        for name, values in facts["history"].items()
    }
    if len({len(values) for values in history.values()} | {len(history["loss"])}) != 1:
        raise ModelFileError("the lists of the history are of different lengths")
    names = facts["feature_names"]
    if names is not None and (
        len(names) != architecture.features or not all(isinstance(name, str) for name in names)
    ):
        raise ModelFileError(f"feature_names must be {architecture.features} strings")
    facts = {**facts, "history": history, "feature_names": None if names is None else tuple(names)}
    facts["pretraining"] = tuple(
        {str(name): tuple(map(float, values)) for name, values in layer.items()}
        for layer in facts.get("pretraining", ())
    )
    facts["loss"] = Choice((*LOSSES, "gaussian")).convert(facts["loss"])
    facts["scale"] = RULES["scale"].convert(facts["scale"])
    facts["zeros"] = RULES["zeros"].convert(facts.get("zeros", "values"))
    facts["stop_reason"] = str(facts["stop_reason"])
    weights = {name: tensors[name] for name in architecture.parameter_shapes()}
    return restored(
        [described(layer) for layer in architecture.layers],
        architecture.code_layers,
        weights,
        scaler,
        facts,
    )


def _check_architecture(architecture: Architecture, second_part: str) -> None:
    layers, code_layers = architecture
    if not 0 < code_layers < len(layers):
        raise ModelFileError(f"the layers must be at least one of an encoder and one of a {second_part}")
    encoder, second = _names("encoder", layers[:code_layers]), _names(second_part, layers[code_layers:])
    names = [*encoder, *second]
    first_inputs = layers[-1].outputs if second_part == "decoder" else layers[0].inputs
    for index, layer in enumerate(layers):
        previous = layers[index - 1].outputs if index else first_inputs
        widths_fit = (
            all(type(width) is int and width >= 1 for width in (layer.inputs, layer.outputs))
            and layer.inputs == previous
        )
        if not widths_fit or (
            isinstance(layer, DenseLayer)
            and (
                layer.name != names[index]
                or layer.activation not in ACTIVATIONS
                or layer.initializer not in INITIALIZERS
                or layer.tied_to not in ("", *filter(None, encoder))
            )
        ):
            raise ModelFileError(f"layer {index} is none that diabolo makes: {layer!r}")


def _names(part: str, layers: Sequence[Layer]) -> list[str]:
    """Return the names that the dense layers of a part must have; "" for the others."""
    count = itertools.count()
    return [f"{part}.{next(count)}" if isinstance(layer, DenseLayer) else "" for layer in layers]


def _check_tensors(architecture: Architecture, tensors: Tensors) -> None:
    expected: dict[str, tuple[tuple[int, ...], type]] = {
        name: (shape, np.float32) for name, shape in architecture.parameter_shapes().items()
    }
    if _SHIFT in tensors or _SCALE in tensors:
        expected[_SHIFT] = expected[_SCALE] = ((architecture.features,), np.float64)
    if expected.keys() != tensors.keys():
        missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
        raise ModelFileError(f"its tensors do not fit its layers: missing {missing}, unknown {unknown}")
    for name, (shape, dtype) in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ModelFileError(
                f"tensor {name!r} must be {dtype.__name__} {shape}, not {tensor.dtype} {tensor.shape}"
            )
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"tensor {name!r} holds NaN or infinity")
        if name.endswith(".variance") and (tensor < 0).any():
            raise ModelFileError(f"tensor {name!r} must not be negative")
    if _SCALE in tensors and not (tensors[_SCALE] > 0).all():
        raise ModelFileError(f"tensor {_SCALE!r} must be positive")


# ---- Hyper-parameters as JSON ----


def encoded_estimator(estimator: Estimator) -> dict[str, Any]:
    """Return class and hyper-parameters as JSON has them; what was fitted is not part of it."""
    parameters = {name: v for name, v in estimator.get_params(deep=False).items() if name not in _NOT_SAVED}
    fields = {name: _encoded(name, value) for name, value in parameters.items()}
    return {"class": type(estimator).__name__, "fields": fields}


def decoded_estimator(value: Mapping[str, Any], classes: Mapping[str, type[Estimator]]) -> Estimator:
    """Return a new estimator with these hyper-parameters."""
    fields = {name: _decoded(inner, classes) for name, inner in value["fields"].items()}
    return classes[value["class"]](**fields)


def _encoded(name: str, value: object) -> object:
    if isinstance(value, Estimator) and "_in_files" in vars(type(value)):
        return encoded_estimator(value)
    if isinstance(value, (optimizers.Optimizer, schedules.Schedule)):
        return {"class": type(value).__name__, "fields": {**vars(value)}}
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, list, range, np.ndarray)):
        return [_encoded(name, item) for item in value]
    if isinstance(value, Mapping):
        return {"class": "dict", "fields": {str(key): _encoded(name, item) for key, item in value.items()}}
    if isinstance(value, float) and not math.isfinite(value):
        return {"class": "float", "fields": {"x": repr(value)}}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    # A generator of random numbers has moved on since; and after set_params anything may stand here.
    return None


def _decoded(value: object, classes: Mapping[str, type[Estimator]]) -> object:
    if isinstance(value, list):
        return tuple(_decoded(item, classes) for item in value)
    if not isinstance(value, dict):
        return value
    name, fields = value["class"], value["fields"]
    if name == "float":
        return float(fields["x"])
    if name == "dict":
        return {str(key): _decoded(item, classes) for key, item in fields.items()}
    if name in classes:
        return decoded_estimator(value, classes)
    if name not in _OBJECTS:
        raise ModelFileError(f"a hyper-parameter is a {name!r}, which this version of diabolo does not know")
    return _OBJECTS[name](**fields)
