"""A header of C around a network: comment, macros, weights, and the network's passes in scaled units.

What users call, which differs by what a network is for, is left to classes derived from `Header`.
"""

import textwrap
import zlib
from abc import ABC, abstractmethod

import numpy as np

from diabolo import _core
from diabolo._c_functions import array_definition, functions, needs_libm, symbol
from diabolo._export_network import (
    ExportedDense,
    ExportedLayer,
    ExportedNetwork,
    ExportedNorm,
    ExportedSoftmax,
    ExportedTopK,
    dense_of,
)


class Header(ABC):
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
                array_definition(f"{self.p}_{symbol(name)}", "float", array)
                for name, array in self.arrays.items()
            ]
        else:
            parts.append(self._weights_check())
        parts += [
            *functions(self.network, self.p),
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

    def _opening(self) -> str:
        network, P = self.network, self.P
        libm = needs_libm(network)
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

    # ---- The network ----

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
            array_definition(f"{p}_shift", "double", shift),
            array_definition(f"{p}_scale", "double", scale),
            array_definition(f"{p}_inverse_scale", "double", 1.0 / scale),
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

    def _pass(self, part: str, layers: tuple[ExportedLayer, ...], source: str, target: str) -> str:
        dense = dense_of(layers)
        width = widest_hidden(self.network)
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
            return f"{self.p}_{symbol(name)}"
        offset = 0
        for other, array in self.arrays.items():
            if other == name:
                break
            offset += array.size
        return f"weights + {offset}u"

    # ---- What a derived class says ----

    @abstractmethod
    def _title(self) -> str:
        """Return what the network is."""

    @abstractmethod
    def _functions(self) -> str:
        """Return a line for each function that users call."""

    @abstractmethod
    def _scratch(self) -> int:
        """Return the floats that the caller brings."""

    @abstractmethod
    def _passes(self) -> list[str]:
        """Return the passes, of which `_pass` makes one of some layers."""

    @abstractmethod
    def _public(self) -> str:
        """Return the functions that users call."""


def widest_hidden(network: ExportedNetwork) -> int:
    """Return the most that stands between two layers."""
    hidden = (*dense_of(network.encoder)[:-1], *dense_of(network.decoder)[:-1])
    return max((layer.outputs for layer in hidden), default=0)
