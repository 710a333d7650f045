"""Functions of C that an exported network calls: products, activations, selection; and arrays of numbers.

Each is given as text, of a name that begins with the prefix of its header, and only if the network uses it.
"""

import re

from diabolo._export_network import ExportedNetwork, ExportedNorm, ExportedSoftmax, ExportedTopK
from diabolo._types import AnyArray

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


_NEEDS_LIBM = {name for name, formula in _FORMULAS.items() if re.search(r"\b(exp|tanh|log|erf)f\(", formula)}


def needs_libm(network: ExportedNetwork) -> bool:
    """Return whether any of the functions calls libm."""
    return _has_softmax(network) or not network.activations.isdisjoint(_NEEDS_LIBM)


def functions(network: ExportedNetwork, prefix: str) -> list[str]:
    """Return the definitions of those that the network uses."""
    return [
        *_products(network, prefix),
        *_activations(network, prefix),
        *_selection(network, prefix),
        *_softmax(network, prefix),
    ]


def most_kept(network: ExportedNetwork) -> int:
    """Return the floats of scratch that the selection of a row's greatest units takes."""
    return max((layer.k for layer in network.layers if isinstance(layer, ExportedTopK)), default=0)


def symbol(name: str) -> str:
    """Return what an array of weights is called, behind the prefix."""
    return name.replace(".", "_")


def array_definition(name: str, kind: str, values: AnyArray) -> str:
    """Return the definition of an array; every number is the shortest that reads back as itself."""
    suffix = "f" if kind == "float" else ""
    flat = values.ravel()
    lines = []
    for begin in range(0, flat.size, 8):
        lines.append(", ".join(f"{text}{suffix}" for text in flat[begin : begin + 8].astype(str)))
    return f"static const {kind} {name}[{flat.size}] = {{\n" + ",\n".join(lines) + "};"


def _products(network: ExportedNetwork, prefix: str) -> list[str]:
    signature = (
        "(const float *kernel, const float *bias, size_t inputs, size_t outputs,\n"
        "    const float *x, float *y) {"
    )
    functions = []
    if any(not layer.tied_to for layer in network.dense_layers):
        functions.append(f"""\
/* y = x kernel + bias; kernel (inputs, outputs), row by row. */
static inline void {prefix}_dense{signature}
  for (size_t j = 0; j < outputs; ++j) y[j] = 0.0f;
  for (size_t i = 0; i < inputs; ++i) {{
    const float *row = kernel + i * outputs;
    for (size_t j = 0; j < outputs; ++j) y[j] += x[i] * row[j];
  }}
  for (size_t j = 0; j < outputs; ++j) y[j] += bias[j];
}}""")
    if any(layer.tied_to for layer in network.dense_layers):
        functions.append(f"""\
/* y = x kernel^T + bias; kernel (outputs, inputs), row by row: that of an encoder layer. */
static inline void {prefix}_dense_tied{signature}
  for (size_t j = 0; j < outputs; ++j) {{
    const float *row = kernel + j * inputs;
    float sum = 0.0f;
    for (size_t i = 0; i < inputs; ++i) sum += x[i] * row[i];
    y[j] = sum + bias[j];
  }}
}}""")
    if any(isinstance(layer, ExportedNorm) for layer in network.layers):
        functions.append(f"""\
/* Batch normalisation by the means and variances of training. */
static inline void {prefix}_norm(float *y, size_t count, const float *mean, const float *factor,
    const float *shift) {{
  for (size_t j = 0; j < count; ++j) y[j] = (y[j] - mean[j]) * factor[j] + shift[j];
}}""")
    return functions


def _activations(network: ExportedNetwork, prefix: str) -> list[str]:
    used = network.activations
    return [
        f"""\
static inline void {prefix}_{name}(float *y, size_t count{", const float *slope" * (name == "prelu")}) {{
  for (size_t j = 0; j < count; ++j) {{
    const float z = y[j];
    y[j] = {formula};
  }}
}}"""
        for name, formula in _FORMULAS.items()
        if name in used
    ]


def _selection(network: ExportedNetwork, prefix: str) -> list[str]:
    if not most_kept(network):
        return []
    # The bounded time that real-time programs ask for: log k for each unit, at worst.
    return [
        f"""\
/* Keeps the k greatest of y and sets the others to 0; of equal ones at the border the first are kept.
 * In the heap each is no greater than its children 2 i + 1 and 2 i + 2: heap[0] is the least of the k. */
static inline void {prefix}_top_k(float *y, size_t count, size_t k, float *heap) {{
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


def _softmax(network: ExportedNetwork, prefix: str) -> list[str]:
    if not _has_softmax(network):
        return []
    return [
        f"""\
/* Probabilities that add up to 1; no exponential is of more than 0. */
static inline void {prefix}_softmax(float *y, size_t count) {{
  float greatest = y[0], sum = 0.0f;
  for (size_t j = 1; j < count; ++j) greatest = y[j] > greatest ? y[j] : greatest;
  for (size_t j = 0; j < count; ++j) {{
    y[j] = expf(y[j] - greatest);
    sum += y[j];
  }}
  for (size_t j = 0; j < count; ++j) y[j] /= sum;
}}"""
    ]


def _has_softmax(network: ExportedNetwork) -> bool:
    return any(isinstance(layer, ExportedSoftmax) for layer in network.layers)
