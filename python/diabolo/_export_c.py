"""A network as one C99 header that allocates nothing and needs libm's expf, tanhf, logf and erff at most.

Weights stand in the header as arrays, or, where they are so many that compilers would take minutes over them,
in a file of plain little-endian floats beside it.
"""

import os
import re
import textwrap
import zlib
from pathlib import Path

import numpy as np

from diabolo import _core
from diabolo._export_network import (
    ExportedDense,
    ExportedLayer,
    ExportedNetwork,
    ExportedNorm,
    ExportedSoftmax,
    ExportedTopK,
    dense_of,
)
from diabolo._types import AnyArray
from diabolo._validation import broken

# gcc 12 takes half a gigabyte and many seconds over two million numbers.
MOST_WEIGHTS_IN_HEADER = 2_000_000

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# f(z), elementwise. Each is written so that nothing overflows to NaN: expf may become infinite, 1 / infinity
# is 0.
_FORMULAS = {
    "sigmoid": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanhf(z)",
    "relu": "z > 0.0f ? z : 0.0f",
    "leaky_relu": "z > 0.0f ? z : 0.01f * z",
    "elu": "z > 0.0f ? z : expf(z) - 1.0f",
    "prelu": "z > 0.0f ? z : slope[j] * z",
    "gelu": "0.5f * z * (1.0f + erff(z * 0.70710678f))",
    "silu": "z / (1.0f + expf(-z))",
    "softplus": "(z > 0.0f ? z : 0.0f) + logf(1.0f + expf(z > 0.0f ? -z : z))",
}


def write_c(owner: str, network: ExportedNetwork, path: str | os.PathLike[str], name: object) -> None:
    """Write the header, and the weights' own file where they are many; each is replaced in one step."""
    file = Path(os.fsdecode(path))
    if file.suffix != ".h":
        raise broken(owner, "path", "the name of a file that ends in '.h'", str(file))
    prefix = _prefix(owner, file, name)
    weights_file = file.with_suffix(".bin") if network.parameters > MOST_WEIGHTS_IN_HEADER else None
    kind = _Header if network.outputs is None else _SupervisedHeader
    header = kind(network, prefix, file.name, None if weights_file is None else weights_file.name)
    # The weights first: a header never stands without them, and knows those that are not its own.
    if weights_file is not None:
        _core.replace_file(str(weights_file), header.weights())
    _core.replace_file(str(file), header.text().encode(errors="replace"))


def _prefix(owner: str, file: Path, name: object) -> str:
    if name is None:
        stem = re.sub(r"\W", "_", file.stem, flags=re.ASCII).lower()
        return stem if _IDENTIFIER.fullmatch(stem) else f"model_{stem}"
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise broken(owner, "name", "None or an identifier of C that begins with a letter", name)
    return name


class _Header:
    """The text of one header. `p` begins the names of its functions, `P` those of its macros."""

    def __init__(self, network: ExportedNetwork, prefix: str, file: str, weights_file: str | None) -> None:
        self.network = network
        self.p, self.P = prefix, prefix.upper()
        self.file, self.weights_file = file, weights_file
        # Where each array begins among the weights; in the order of `get_weights`.
        self.arrays = network.arrays
        # What every function takes first, and passes on, if the weights are not the header's own.
        self.parameter = "" if weights_file is None else "const float *weights, "
        self.argument = "" if weights_file is None else "weights, "

    def weights(self) -> bytes:
        """Return the weights as they stand in their own file."""
        return b"".join(array.astype("<f4").tobytes() for array in self.arrays.values())

    def text(self) -> str:
        parts = [self._comment(), self._opening()]
        if self.weights_file is None:
            parts += [
                _array(f"{self.p}_{_symbol(name)}", "float", array) for name, array in self.arrays.items()
            ]
        else:
            parts.append(self._weights_check())
        parts += [
            *self._products(),
            *self._activations(),
            *self._selection(),
            *self._softmax(),
            *self._scaling(),
            *self._missing(),
            *self._passes(),
        ]
        parts += [self._public(), f"#endif /* {self.P}_H */"]
        return "\n\n".join(parts) + "\n"

    # ---- What stands around the arithmetic ----

    def _comment(self) -> str:
        p, network = self.p, self.network
        where = (
            "The weights are in this file."
            if self.weights_file is None
            else f"The weights are in {self.weights_file}: {self.P}_WEIGHTS little-endian floats. Read or "
            f"map them into memory that is aligned for float, and pass their address first to each function. "
            f"{p}_weights_match tells whether they are those that this header was written with."
        )
        words = (
            f"{self.file}: {self._title()} of widths {'-'.join(map(str, network.widths))}, "
            f"written by diabolo {_core.__version__}.\n\n"
            "C99, self-contained: it allocates nothing, keeps no state, and calls expf, tanhf, logf and erff "
            f"at most. Include it in one source file; all in it is static. {where}\n\n" + self._functions()
        )
        infinite = "infinite; NaN is a missing value" if network.missing else "NaN or infinite"
        words += (
            f"\nx is in the units of the training data, and never {infinite}. It is of type "
            f"{self.P}_INPUT: float, unless you define that macro before, as double for time stamps for "
            f"example. No two of the arguments may overlap. `scratch` are {self.P}_SCRATCH floats of yours, "
            "whose contents do not matter; threads need one each."
        )
        lines = []
        for paragraph in words.split("\n"):
            lines += textwrap.wrap(paragraph, 100, subsequent_indent="  " * paragraph.startswith(p)) or [""]
        return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])

    def _title(self) -> str:
        return "an autoencoder"

    def _functions(self) -> str:
        """Return a line for each function that users call."""
        p, network = self.p, self.network
        lines = (
            f"{p}_encode       x ({self.P}_FEATURES) -> code ({self.P}_COMPONENTS)\n"
            f"{p}_decode       code -> x, in the units of the data it was trained on\n"
            f"{p}_reconstruct  x -> x, both at once\n"
            f"{p}_score        x -> minus the mean {_ERRORS[network.metric]} error, in scaled values: higher "
            "is more normal\n"
        )
        if network.threshold is not None:
            lines += f"{p}_is_outlier   x -> 1 if its score is below {self.P}_THRESHOLD, else 0\n"
        return lines

    def _scratch(self) -> int:
        network = self.network
        return 2 * network.features + network.components + 2 * _widest_hidden(network) + _most_kept(network)

    def _opening(self) -> str:
        network, P = self.network, self.P
        libm = _has_softmax(network) or not network.activations.isdisjoint(_NEEDS_LIBM)
        lines = [
            f"#ifndef {P}_H",
            f"#define {P}_H",
            "",
            *(["#include <math.h>"] if libm else []),
            "#include <stddef.h>",
            "",
            f"#define {P}_FEATURES {network.features}",
            f"#define {P}_COMPONENTS {network.components}",
            f"#define {P}_SCRATCH {self._scratch()}",
        ]
        if network.threshold is not None:
            lines.append(f"#define {P}_THRESHOLD ({np.float32(network.threshold)!s}f)")
        if self.weights_file is not None:
            lines += [
                f"#define {P}_WEIGHTS {network.parameters}",
                f"#define {P}_WEIGHTS_CRC32 0x{zlib.crc32(self.weights()):08x}u",
            ]
        return "\n".join([*lines, "", f"#ifndef {P}_INPUT", f"#define {P}_INPUT float", "#endif"])

    def _weights_check(self) -> str:
        return f"""\
/* Whether these are the weights that belong to this header, in this machine's order of bytes. */
static inline int {self.p}_weights_match(const float *weights) {{
  const unsigned char *bytes = (const unsigned char *)weights;
  const float one = 1.0f;
  unsigned long crc = 0xffffffffu;
  if (((const unsigned char *)&one)[3] != 0x3f) return 0; /* they are little-endian */
  for (size_t i = 0; i < sizeof(float) * (size_t){self.P}_WEIGHTS; ++i) {{
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1u) != 0 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
  }}
  return ((crc ^ 0xffffffffu) & 0xffffffffu) == {self.P}_WEIGHTS_CRC32;
}}"""

    # ---- Arithmetic ----

    def _products(self) -> list[str]:
        signature = (
            "(const float *kernel, const float *bias, size_t inputs, size_t outputs,\n"
            "    const float *x, float *y) {"
        )
        functions = []
        if any(not layer.tied_to for layer in self.network.dense_layers):
            functions.append(f"""\
/* y = x kernel + bias; kernel (inputs, outputs), row by row. */
static inline void {self.p}_dense{signature}
  for (size_t j = 0; j < outputs; ++j) y[j] = 0.0f;
  for (size_t i = 0; i < inputs; ++i) {{
    const float *row = kernel + i * outputs;
    for (size_t j = 0; j < outputs; ++j) y[j] += x[i] * row[j];
  }}
  for (size_t j = 0; j < outputs; ++j) y[j] += bias[j];
}}""")
        if any(layer.tied_to for layer in self.network.dense_layers):
            functions.append(f"""\
/* y = x kernel^T + bias; kernel (outputs, inputs), row by row: that of an encoder layer. */
static inline void {self.p}_dense_tied{signature}
  for (size_t j = 0; j < outputs; ++j) {{
    const float *row = kernel + j * inputs;
    float sum = 0.0f;
    for (size_t i = 0; i < inputs; ++i) sum += x[i] * row[i];
    y[j] = sum + bias[j];
  }}
}}""")
        if any(isinstance(layer, ExportedNorm) for layer in self.network.layers):
            functions.append(f"""\
/* Batch normalisation by the means and variances of training. */
static inline void {self.p}_norm(float *y, size_t count, const float *mean, const float *factor,
    const float *shift) {{
  for (size_t j = 0; j < count; ++j) y[j] = (y[j] - mean[j]) * factor[j] + shift[j];
}}""")
        return functions

    def _activations(self) -> list[str]:
        used = self.network.activations
        return [
            f"""\
static inline void {self.p}_{name}(float *y, size_t count{", const float *slope" * (name == "prelu")}) {{
  for (size_t j = 0; j < count; ++j) {{
    const float z = y[j];
    y[j] = {formula};
  }}
}}"""
            for name, formula in _FORMULAS.items()
            if name in used
        ]

    def _selection(self) -> list[str]:
        if not _most_kept(self.network):
            return []
        # The bounded time that real-time programs ask for: log k for each unit, at worst.
        return [
            f"""\
/* Keeps the k greatest of y and sets the others to 0; of equal ones at the border the first are kept.
 * In the heap each is no greater than its children 2 i + 1 and 2 i + 2: heap[0] is the least of the k. */
static inline void {self.p}_top_k(float *y, size_t count, size_t k, float *heap) {{
  size_t equals = k;
  for (size_t j = 0; j < k; ++j) {{
    size_t at = j;
    for (; at > 0 && heap[(at - 1) / 2] > y[j]; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = y[j];
  }}
  for (size_t j = k; j < count; ++j) {{
    size_t at = 0, child = 1;
    if (y[j] <= heap[0]) continue;
    while (child < k) {{
      if (child + 1 < k && heap[child + 1] < heap[child]) ++child;
      if (heap[child] >= y[j]) break;
      heap[at] = heap[child];
      at = child;
      child = 2 * at + 1;
    }}
    heap[at] = y[j];
  }}
  for (size_t j = 0; j < count; ++j) equals -= y[j] > heap[0];
  for (size_t j = 0; j < count; ++j) {{
    if (y[j] > heap[0]) continue;
    if (y[j] == heap[0] && equals > 0) {{
      --equals;
    }} else {{
      y[j] = 0.0f;
    }}
  }}
}}"""
        ]

    def _softmax(self) -> list[str]:
        if not _has_softmax(self.network):
            return []
        return [
            f"""\
/* Probabilities that add up to 1; no exponential is of more than 0. */
static inline void {self.p}_softmax(float *y, size_t count) {{
  float greatest = y[0], sum = 0.0f;
  for (size_t j = 1; j < count; ++j) greatest = y[j] > greatest ? y[j] : greatest;
  for (size_t j = 0; j < count; ++j) {{
    y[j] = expf(y[j] - greatest);
    sum += y[j];
  }}
  for (size_t j = 0; j < count; ++j) y[j] /= sum;
}}"""
        ]

    def _scaling(self) -> list[str]:
        p, P = self.p, self.P
        if self.network.scaler is None:
            return [
                f"""\
static inline void {p}_scaled(const {P}_INPUT *x, float *scaled) {{
  for (size_t j = 0; j < {P}_FEATURES; ++j) scaled[j] = (float)x[j];
}}"""
            ]
        shift, scale = self.network.scaler
        # In double precision: a time stamp keeps its seconds.
        return [
            _array(f"{p}_shift", "double", shift),
            _array(f"{p}_scale", "double", scale),
            _array(f"{p}_inverse_scale", "double", 1.0 / scale),
            *self._scaling_back(),
            f"""\
static inline void {p}_scaled(const {P}_INPUT *x, float *scaled) {{
  for (size_t j = 0; j < {P}_FEATURES; ++j) {{
    scaled[j] = (float)(((double)x[j] - {p}_shift[j]) * {p}_inverse_scale[j]);
  }}
}}""",
        ]

    def _missing(self) -> list[str]:
        p, P = self.p, self.P
        if not self.network.missing:
            return []
        return [
            f"""\
/* What nobody observed becomes 0. */
static inline void {p}_without_missing(float *scaled) {{
  for (size_t j = 0; j < {P}_FEATURES; ++j) {{
    if (scaled[j] != scaled[j]) scaled[j] = 0.0f;
  }}
}}"""
        ]

    def _scaling_back(self) -> list[str]:
        p, P = self.p, self.P
        return [
            f"""\
static inline void {p}_scale_back(float *x) {{
  for (size_t j = 0; j < {P}_FEATURES; ++j) {{
    x[j] = (float)((double)x[j] * {p}_scale[j] + {p}_shift[j]);
  }}
}}""",
        ]

    def _passes(self) -> list[str]:
        network = self.network
        return [
            self._pass("encoder", network.encoder, "scaled", "code"),
            self._pass("decoder", network.decoder, "code", "scaled"),
        ]

    def _pass(self, part: str, layers: tuple[ExportedLayer, ...], source: str, target: str) -> str:
        dense = dense_of(layers)
        width = _widest_hidden(self.network)
        lines = []
        if len(dense) > 1:
            lines.append("float *a = scratch;")
        if len(dense) > 2:
            lines.append(f"float *b = scratch + {width};")
        if len(dense) == 1 and not any(isinstance(layer, ExportedTopK) for layer in layers):
            lines.append("(void)scratch;")
        at, before = source, 0  # dense layers so far
        for layer in layers:
            if isinstance(layer, ExportedTopK):
                lines.append(f"{self.p}_top_k({at}, {layer.units}, {layer.k}, scratch + {2 * width});")
                continue
            if isinstance(layer, ExportedSoftmax):
                lines += [f"{self.p}_softmax({at} + {begin}, {end - begin});" for begin, end in layer.groups]
                continue
            if isinstance(layer, ExportedNorm):
                lines += [f"{call};" for call in self._norm(layer, at)]
                continue
            to = target if before == len(dense) - 1 else "ab"[before % 2]
            lines += [f"{call};" for call in self._dense(layer, at, to)]
            at, before = to, before + 1
        body = "\n".join(f"  {line}" for line in lines)
        return f"""\
/* In scaled units. */
static inline void {self.p}_{part}({self.parameter}const float *{source}, float *{target}, float *scratch) {{
{body}
}}"""

    def _dense(self, layer: ExportedDense, source: str, target: str) -> list[str]:
        """Return the calls that compute a dense layer."""
        kernel = self._weight(f"{layer.tied_to or layer.name}.kernel")
        bias = self._weight(f"{layer.name}.bias")
        product = f"{self.p}_dense_tied" if layer.tied_to else f"{self.p}_dense"
        call = f"{product}({kernel}, {bias}, {layer.inputs}, {layer.outputs}, {source}, {target})"
        return [call, *self._activation(layer, layer.outputs, target)]

    def _norm(self, layer: ExportedNorm, at: str) -> list[str]:
        """Return the calls that compute a batch normalisation in place."""
        arrays = ", ".join(self._weight(f"{layer.name}.{name}") for name in ("mean", "factor", "shift"))
        return [f"{self.p}_norm({at}, {layer.units}, {arrays})", *self._activation(layer, layer.units, at)]

    def _activation(self, layer: ExportedDense | ExportedNorm, units: int, at: str) -> list[str]:
        if layer.activation == "identity":
            return []
        slope = f", {self._weight(layer.name + '.slope')}" if layer.slope is not None else ""
        return [f"{self.p}_{layer.activation}({at}, {units}{slope})"]

    def _read(self, to: str) -> str:
        """Return the statements that bring a row into the units of the network."""
        lines = [f"  {self.p}_scaled(x, {to});"]
        if self.network.missing:
            lines.append(f"  {self.p}_without_missing({to});")
        return "\n".join(lines)

    def _weight(self, name: str) -> str:
        if self.weights_file is None:
            return f"{self.p}_{_symbol(name)}"
        offset = 0
        for other, array in self.arrays.items():
            if other == name:
                break
            offset += array.size
        return f"weights + {offset}u"

    def _public(self) -> str:
        p, P, take, give = self.p, self.P, self.parameter, self.argument
        back = f"  {p}_scale_back(x);\n" if self.network.scaler is not None else ""
        missing = self.network.missing
        divisor = "count" if missing else f"{P}_FEATURES"
        # Of a row of which nothing was observed there is no score: NaN.
        is_known = "sum == sum || count == 0.0" if missing else "sum == sum"
        known = f"  return {is_known} ? (float)-sum : -1.0f / none;"
        text = f"""\
static inline void {p}_encode({take}const {P}_INPUT *x, float *code, float *scratch) {{
{self._read("scratch")}
  {p}_encoder({give}scratch, code, scratch + {P}_FEATURES);
}}

static inline void {p}_decode({take}const float *code, float *x, float *scratch) {{
  {p}_decoder({give}code, x, scratch);
{back}}}

static inline void {p}_reconstruct({take}const {P}_INPUT *x, float *reconstructed, float *scratch) {{
  float *code = scratch, *rest = scratch + {P}_COMPONENTS;
  {p}_encode({give}x, code, rest);
  {p}_decode({give}code, reconstructed, rest);
}}

static inline float {p}_score({take}const {P}_INPUT *x, float *scratch) {{
  float *scaled = scratch, *restored = scaled + {P}_FEATURES;
  float *code = restored + {P}_FEATURES, *rest = code + {P}_COMPONENTS;
  double sum = 0.0{", count = 0.0" * missing};
  const float none = 0.0f;
{self._read("scaled")}
  {p}_encoder({give}scaled, code, rest);
  {p}_decoder({give}code, restored, rest);
  for (size_t j = 0; j < {P}_FEATURES; ++j) {{
    const double d = (double)restored[j] - (double)scaled[j];
{"    if (x[j] != x[j]) continue; /* nobody observed it */" + chr(10) if missing else ""}\
{"    count += 1.0;" + chr(10) if missing else ""}\
    sum += {"d * d" if self.network.metric == "mse" else "d < 0.0 ? -d : d"};
  }}
  sum /= {divisor};
{known} /* a row beyond all numbers is as odd as can be */
}}"""
        if self.network.threshold is not None:
            text += f"""

static inline int {p}_is_outlier({take}const {P}_INPUT *x, float *scratch) {{
  return {p}_score({give}x, scratch) < {P}_THRESHOLD;
}}"""
        return text


class _SupervisedHeader(_Header):
    """The same of an encoder with a head, which has nothing to reconstruct."""

    def _title(self) -> str:
        return "a classifier" if self._labels() else "a regressor"

    def _labels(self) -> tuple[str, ...]:
        assert self.network.outputs is not None
        return self.network.outputs.labels

    def _functions(self) -> str:
        p, P, outputs = self.p, self.P, self.network.outputs
        assert outputs is not None
        lines = f"{p}_encode   x ({P}_FEATURES) -> code ({P}_COMPONENTS)\n"
        if not outputs.labels:
            return lines + f"{p}_predict  x -> values ({P}_OUTPUTS)\n"
        what = "probabilities of the classes" if outputs.probabilities else "how much speaks for each class"
        return (
            f"{lines}{p}_predict  x -> {what} ({P}_OUTPUTS)\n"
            f"{p}_class    x -> the number of the class, from 0\n\n"
            f"The classes: {', '.join(outputs.labels)}.\n"
        ).replace("*/", "* /")

    def _opening(self) -> str:
        components = f"#define {self.P}_COMPONENTS {self.network.components}"
        outputs = f"#define {self.P}_OUTPUTS {self.network.widths[-1]}"
        return super()._opening().replace(components, f"{components}\n{outputs}", 1)

    def _scratch(self) -> int:
        network = self.network
        # Scaled features are over when the head begins, but stand before what it needs.
        io = network.features + network.widths[-1]
        return io + network.components + 2 * _widest_hidden(network) + _most_kept(network)

    def _scaling_back(self) -> list[str]:
        return []

    def _passes(self) -> list[str]:
        network, p, P = self.network, self.p, self.P
        assert network.outputs is not None
        functions = [
            self._pass("encoder", network.encoder, "scaled", "code"),
            self._pass("head", network.decoder, "code", "outputs"),
        ]
        if network.outputs.scaler is not None:
            shift, scale = network.outputs.scaler
            functions += [
                _array(f"{p}_value_shift", "double", shift),
                _array(f"{p}_value_scale", "double", scale),
                f"""\
static inline void {p}_scale_values(float *outputs) {{
  for (size_t j = 0; j < {P}_OUTPUTS; ++j) {{
    outputs[j] = (float)((double)outputs[j] * {p}_value_scale[j] + {p}_value_shift[j]);
  }}
}}""",
            ]
        return functions

    def _public(self) -> str:
        p, P, take, give = self.p, self.P, self.parameter, self.argument
        assert self.network.outputs is not None
        scaled = f"  {p}_scale_values(outputs);\n" if self.network.outputs.scaler is not None else ""
        text = f"""\
static inline void {p}_encode({take}const {P}_INPUT *x, float *code, float *scratch) {{
{self._read("scratch")}
  {p}_encoder({give}scratch, code, scratch + {P}_FEATURES);
}}

static inline void {p}_predict({take}const {P}_INPUT *x, float *outputs, float *scratch) {{
  float *code = scratch, *rest = scratch + {P}_COMPONENTS;
  {p}_encode({give}x, code, rest);
  {p}_head({give}code, outputs, rest);
{scaled}}}"""
        if self._labels():
            text += f"""

static inline int {p}_class({take}const {P}_INPUT *x, float *scratch) {{
  float *outputs = scratch, *rest = scratch + {P}_OUTPUTS;
  int greatest = 0;
  {p}_predict({give}x, outputs, rest);
  for (int j = 1; j < {P}_OUTPUTS; ++j) greatest = outputs[j] > outputs[greatest] ? j : greatest;
  return greatest;
}}"""
        return text


_ERRORS = {"mse": "squared", "mae": "absolute"}

_NEEDS_LIBM = {name for name, formula in _FORMULAS.items() if re.search(r"\b(exp|tanh|log|erf)f\(", formula)}


def _widest_hidden(network: ExportedNetwork) -> int:
    hidden = (*dense_of(network.encoder)[:-1], *dense_of(network.decoder)[:-1])
    return max((layer.outputs for layer in hidden), default=0)


def _has_softmax(network: ExportedNetwork) -> bool:
    return any(isinstance(layer, ExportedSoftmax) for layer in network.layers)


def _most_kept(network: ExportedNetwork) -> int:
    return max((layer.k for layer in network.layers if isinstance(layer, ExportedTopK)), default=0)


def _symbol(name: str) -> str:
    return name.replace(".", "_")


def _array(name: str, kind: str, values: AnyArray) -> str:
    """Return the definition of an array; every number is the shortest that reads back as itself."""
    suffix = "f" if kind == "float" else ""
    flat = values.ravel()
    lines = []
    for begin in range(0, flat.size, 8):
        lines.append(", ".join(f"{text}{suffix}" for text in flat[begin : begin + 8].astype(str)))
    return f"static const {kind} {name}[{flat.size}] = {{\n" + ",\n".join(lines) + "};"
