"""A network as a graph of ONNX: which operators, in float32 throughout, and how its messages lie in the file.

Nothing but operators of the standard set of version 17 (ONNX 1.12, of 2022) is used, so that any runtime
since then reads it. gelu is written by its formula, for the operator of that name came with version 20.
"""

import itertools
import math
import os
from typing import Literal, NamedTuple

import numpy as np

from diabolo import _core, _protobuf
from diabolo._export_network import (
    ExportedDense,
    ExportedLayer,
    ExportedNetwork,
    ExportedNorm,
    ExportedSoftmax,
    ExportedTopK,
)
from diabolo._fitted import Scaler
from diabolo._types import AnyArray
from diabolo._validation import Choice, broken, checked
from diabolo.exceptions import InvalidParameterError

PARTS = ("autoencoder", "encoder", "decoder", "scores")

SUPERVISED_PARTS = ("predictions", "encoder")

OPSET = 17
_IR_VERSION = 8  # of the file, as ONNX 1.12 writes it

# Readers refuse a message of two gigabytes; what is no weight takes far less than the rest.
_MOST_WEIGHTS = (2**31 - 2**20) // 4


def write_onnx(owner: str, network: ExportedNetwork, path: str | os.PathLike[str], part: object) -> None:
    """Write one part of the network; the file is replaced in one step."""
    chosen = _chosen(owner, network, part)
    if network.parameters > _MOST_WEIGHTS:
        raise InvalidParameterError(
            f"{owner}: the network must have at most {_MOST_WEIGHTS:,} weights, for ONNX files end at 2 GB. "
            f"Got {network.parameters:,}."
        )
    if network.threshold is not None and chosen != "scores":
        raise broken(owner, "threshold", f"None when part={chosen!r}", network.threshold)
    graph = Graph()
    if chosen == "decoder":
        values = graph.input("codes", network.components)
    else:
        values = _scaled(graph, network, graph.input("X", network.features))
    scaled = values
    if network.missing and chosen != "decoder":
        values = _without_missing(graph, values)
    for layer in {"encoder": network.encoder, "decoder": network.decoder}.get(chosen, network.layers):
        values = _layer(graph, layer, values)
    if chosen == "encoder":
        graph.output("codes", values, network.components)
    elif chosen == "predictions":
        _predictions(graph, network, values)
    elif chosen == "scores":
        _score(graph, network, scaled, values)
    else:
        graph.output("reconstruction", _scaled_back(graph, network, values), network.features)
    _core.replace_file(os.fsdecode(path), graph.file(f"diabolo {chosen}"))


def _chosen(owner: str, network: ExportedNetwork, part: object) -> str:
    if network.outputs is None:
        return str(checked(owner, "part", Choice(PARTS), part))
    if part in PARTS and part not in SUPERVISED_PARTS:
        rule = "'predictions' or 'encoder': it has a head, and no decoder that could restore a row"
        raise broken(owner, "part", rule, part)
    return str(checked(owner, "part", Choice(SUPERVISED_PARTS), part))


# ---- From layers to operators ----


def _layer(graph: "Graph", layer: ExportedLayer, x: str) -> str:
    if isinstance(layer, ExportedTopK):
        return _top_k(graph, layer, x)
    if isinstance(layer, ExportedSoftmax):
        return _softmax(graph, layer, x)
    if isinstance(layer, ExportedNorm):
        return _norm(graph, layer, x)
    # A tied kernel is the encoder's own tensor, transposed by the product.
    kernel = graph.tensor(
        f"{layer.tied_to or layer.name}.kernel", layer.kernel.T if layer.tied_to else layer.kernel
    )
    bias = graph.tensor(f"{layer.name}.bias", layer.bias)
    z = graph.node("Gemm", x, kernel, bias, transB=int(bool(layer.tied_to)))
    return _activated(graph, layer, z)


def _norm(graph: "Graph", layer: ExportedNorm, x: str) -> str:
    z = graph.node("Sub", x, graph.tensor(f"{layer.name}.mean", layer.mean))
    z = graph.node("Mul", z, graph.tensor(f"{layer.name}.factor", layer.factor))
    return _activated(graph, layer, graph.node("Add", z, graph.tensor(f"{layer.name}.shift", layer.shift)))


def _activated(graph: "Graph", layer: ExportedDense | ExportedNorm, z: str) -> str:
    slope = "" if layer.slope is None else graph.tensor(f"{layer.name}.slope", layer.slope)
    return _activation(graph, layer.activation, z, slope)


def _top_k(graph: "Graph", layer: ExportedTopK, x: str) -> str:
    """Put the k greatest of each row, of which the operator takes the first of equals, among zeros."""
    zeros = graph.node("ConstantOfShape", graph.node("Shape", x))
    kept, places = graph.nodes("TopK", x, graph.whole("top_k.k", [layer.k]), results=2, axis=1)
    return graph.node("ScatterElements", zeros, places, kept, axis=1)


def _softmax(graph: "Graph", layer: ExportedSoftmax, x: str) -> str:
    """Cut the columns at the borders of the groups, and put them together again."""
    if layer.groups == ((0, layer.units),):
        return graph.node("Softmax", x, axis=1)
    borders = sorted({0, layer.units, *(border for group in layer.groups for border in group)})
    ranges = list(itertools.pairwise(borders))
    widths = graph.whole("softmax.widths", [end - begin for begin, end in ranges])
    pieces = graph.nodes("Split", x, widths, results=len(ranges), axis=1)
    parts = (
        graph.node("Softmax", piece, axis=1) if columns in layer.groups else piece
        for columns, piece in zip(ranges, pieces, strict=True)
    )
    return graph.node("Concat", *parts, axis=1)


def _activation(graph: "Graph", name: str, z: str, slope: str) -> str:
    match name:
        case "identity":
            return z
        case "sigmoid" | "tanh" | "relu" | "softplus":
            return graph.node(name.capitalize(), z)
        case "leaky_relu":
            return graph.node("LeakyRelu", z, alpha=0.01)
        case "elu":
            return graph.node("Elu", z, alpha=1.0)
        case "prelu":
            return graph.node("PRelu", z, slope)
        case "silu":  # z sigmoid(z)
            return graph.node("Mul", z, graph.node("Sigmoid", z))
        case "gelu":  # z / 2 (1 + erf(z / sqrt 2))
            erf = graph.node("Erf", graph.node("Mul", z, graph.constant("gelu.scale", math.sqrt(0.5))))
            doubled = graph.node("Mul", z, graph.node("Add", erf, graph.constant("gelu.one", 1.0)))
            return graph.node("Mul", doubled, graph.constant("gelu.half", 0.5))
    raise AssertionError(f"an activation without a graph: {name}")


# Not every accelerator has float64. The shift is the sum of two floats instead: x - high is exact where x is
# near it, which is where digits would be lost.
def _scaled(graph: "Graph", network: ExportedNetwork, x: str) -> str:
    if network.scaler is None:
        return x
    shift, scale = network.scaler
    high = shift.astype(np.float32)
    x = graph.node("Sub", x, graph.tensor("scaler.shift", high))
    x = graph.node("Sub", x, graph.tensor("scaler.shift_rest", (shift - high).astype(np.float32)))
    return graph.node("Mul", x, graph.tensor("scaler.inverse_scale", (1.0 / scale).astype(np.float32)))


def _without_missing(graph: "Graph", x: str) -> str:
    """What nobody observed becomes 0."""
    return graph.node("Where", graph.node("IsNaN", x), graph.constant("missing.value", 0.0), x)


def _scaled_back(graph: "Graph", network: ExportedNetwork, y: str) -> str:
    return y if network.scaler is None else _unscaled(graph, "scaler", network.scaler, y)


def _unscaled(graph: "Graph", name: str, scaler: Scaler, y: str) -> str:
    shift, scale = scaler
    high = shift.astype(np.float32)
    y = graph.node("Mul", y, graph.tensor(f"{name}.scale", scale.astype(np.float32)))
    y = graph.node("Add", y, graph.tensor(f"{name}.shift_rest", (shift - high).astype(np.float32)))
    return graph.node("Add", y, graph.tensor(f"{name}.shift", high))


def _predictions(graph: "Graph", network: ExportedNetwork, y: str) -> None:
    assert network.outputs is not None
    width = network.widths[-1]
    if not network.outputs.labels:
        scaler = network.outputs.scaler
        graph.output("values", y if scaler is None else _unscaled(graph, "values", scaler, y), width)
        return
    graph.output("probabilities" if network.outputs.probabilities else "decisions", y, width)
    graph.output("class", graph.node("ArgMax", y, axis=1, keepdims=0), kind="int64")


def _score(graph: "Graph", network: ExportedNetwork, x: str, y: str) -> None:
    difference = graph.node("Sub", y, x)
    if network.metric == "mse":
        errors = graph.node("Mul", difference, difference)
    else:
        errors = graph.node("Abs", difference)
    if network.missing:  # a row of which nothing was observed scores 0 / 0
        missing = graph.node("IsNaN", x)
        errors = graph.node("Where", missing, graph.constant("missing.value", 0.0), errors)
        observed = graph.node("Cast", graph.node("Not", missing), to=_ELEMENT_TYPES["float"])
        axes = graph.whole("missing.axes", [1])
        sums, counts = (graph.node("ReduceSum", part, axes, keepdims=0) for part in (errors, observed))
        score = graph.node("Neg", graph.node("Div", sums, counts))
    else:
        score = graph.node("Neg", graph.node("ReduceMean", errors, axes=[1], keepdims=0))
    # A row beyond all numbers is as odd as can be.
    beyond = graph.node("IsNaN", score)
    if network.missing:  # but of one of which nothing was observed there is no score
        some = graph.node("Greater", counts, graph.constant("missing.value", 0.0))
        beyond = graph.node("And", beyond, some)
    score = graph.node("Where", beyond, graph.constant("score.least", -math.inf), score)
    graph.output("scores", score)
    if network.threshold is not None:
        threshold = graph.constant("threshold", network.threshold)
        graph.output("is_outlier", graph.node("Less", score, threshold), kind="bool")


# ---- The graph, and the file it is written to. Numbers of fields and types are from onnx.proto. ----


class _Attribute(NamedTuple):
    field: int
    kind: int


_FLOAT_ATTRIBUTE, _INT_ATTRIBUTE, _INTS_ATTRIBUTE = _Attribute(2, 1), _Attribute(3, 2), _Attribute(8, 7)
_ELEMENT_TYPES = {"float": 1, "int64": 7, "bool": 9}


class Graph:
    """A graph as it grows, each part of it encoded at once. Values go by their names."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: dict[str, bytes] = {}
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, width: int) -> str:
        """Declare an input of floats, (rows, width)."""
        self._inputs.append(_protobuf.message(11, _described(name, "float", width)))
        return name

    def output(
        self,
        name: str,
        value: str,
        width: int | None = None,
        kind: Literal["float", "int64", "bool"] = "float",
    ) -> None:
        """Declare a value as an output of that name, (rows, width) or, without a width, (rows,)."""
        self._append("Identity", (value,), (name,))
        self._outputs.append(_protobuf.message(12, _described(name, kind, width)))

    def tensor(self, name: str, values: AnyArray) -> str:
        """Store numbers, in float32; once, however often they are asked for."""
        if name not in self._tensors:
            self._tensors[name] = _stored(name, "float", values.astype("<f4"))
        return name

    def whole(self, name: str, values: list[int]) -> str:
        """Store whole numbers, as operators take sizes."""
        self._tensors[name] = _stored(name, "int64", np.asarray(values, "<i8"))
        return name

    def constant(self, name: str, value: float) -> str:
        """Store a single number."""
        return self.tensor(name, np.asarray(value, np.float32))

    def node(self, operator: str, *inputs: str, **attributes: float | int | list[int]) -> str:
        """Apply an operator; return the name of what comes out."""
        (result,) = self.nodes(operator, *inputs, results=1, **attributes)
        return result

    def nodes(
        self, operator: str, *inputs: str, results: int, **attributes: float | int | list[int]
    ) -> tuple[str, ...]:
        """Apply an operator from which several values come; return their names."""
        stem = f"{operator.lower()}.{len(self._nodes)}"
        names = (stem, *(f"{stem}.{index}" for index in range(1, results)))
        self._append(operator, inputs, names, **attributes)
        return names

    def file(self, name: str) -> bytes:
        """Return the contents of the model's file."""
        graph = _protobuf.message(
            7,
            *self._nodes,
            _protobuf.text(2, name),
            *self._tensors.values(),
            *self._inputs,
            *self._outputs,
        )
        return b"".join(
            (
                _protobuf.integer(1, _IR_VERSION),
                _protobuf.text(2, "diabolo"),
                _protobuf.text(3, _core.__version__),
                graph,
                _protobuf.message(8, _protobuf.integer(2, OPSET)),
            )
        )

    def _append(
        self,
        operator: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        **attributes: float | int | list[int],
    ) -> None:
        node = _protobuf.message(
            1,
            *(_protobuf.text(1, name) for name in inputs),
            *(_protobuf.text(2, name) for name in outputs),
            _protobuf.text(3, f"{operator}_{len(self._nodes)}"),
            _protobuf.text(4, operator),
            *(_protobuf.message(5, _attribute(name, value)) for name, value in attributes.items()),
        )
        self._nodes.append(node)


def _attribute(name: str, value: float | int | list[int]) -> bytes:
    if isinstance(value, list):
        held = _INTS_ATTRIBUTE
        encoded = b"".join(_protobuf.integer(held.field, item) for item in value)
    elif isinstance(value, int):
        held = _INT_ATTRIBUTE
        encoded = _protobuf.integer(held.field, value)
    else:
        held = _FLOAT_ATTRIBUTE
        encoded = _protobuf.real(held.field, value)
    return _protobuf.text(1, name) + encoded + _protobuf.integer(20, held.kind)


def _stored(name: str, kind: str, values: AnyArray) -> bytes:
    """Return a tensor with its numbers, which are little-endian."""
    return _protobuf.message(
        5,
        *(_protobuf.integer(1, size) for size in values.shape),
        _protobuf.integer(2, _ELEMENT_TYPES[kind]),
        _protobuf.text(8, name),
        _protobuf.message(9, values.tobytes()),
    )


def _described(name: str, kind: str, width: int | None) -> bytes:
    """Return an input's or output's name, type and shape; the number of rows is a free variable."""
    dimensions = [_protobuf.message(1, _protobuf.text(2, "rows"))]
    if width is not None:
        dimensions.append(_protobuf.message(1, _protobuf.integer(1, width)))
    tensor = _protobuf.integer(1, _ELEMENT_TYPES[kind]) + _protobuf.message(2, *dimensions)
    return _protobuf.text(1, name) + _protobuf.message(2, _protobuf.message(1, tensor))
