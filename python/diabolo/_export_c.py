"""A network as one C99 header that allocates nothing and needs libm's expf, tanhf, logf and erff at most.

Weights stand in the header as arrays, or, where they are so many that compilers would take minutes over them,
in a file of plain little-endian floats beside it.
"""

import os
import re
from pathlib import Path

from diabolo import _core
from diabolo._c_functions import most_kept
from diabolo._c_header import Header, widest_hidden
from diabolo._export_c_supervised import SupervisedHeader
from diabolo._export_network import ExportedNetwork
from diabolo._validation import broken

# gcc 12 takes half a gigabyte and many seconds over two million numbers.
MOST_WEIGHTS_IN_HEADER = 2_000_000

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_ERRORS = {"mse": "squared", "mae": "absolute"}


def write_c(owner: str, network: ExportedNetwork, path: str | os.PathLike[str], name: object) -> None:
    """Write the header, and the weights' own file where they are many; each is replaced in one step."""
    file = Path(os.fsdecode(path))
    if file.suffix != ".h":
        raise broken(owner, "path", "the name of a file that ends in '.h'", str(file))
    prefix = _prefix(owner, file, name)
    weights_file = file.with_suffix(".bin") if network.parameters > MOST_WEIGHTS_IN_HEADER else None
    kind: type[Header] = AutoencoderHeader if network.outputs is None else SupervisedHeader
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


class AutoencoderHeader(Header):
    """Codes, reconstructions and scores."""

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
        return 2 * network.features + network.components + 2 * widest_hidden(network) + most_kept(network)

    def _passes(self) -> list[str]:
        network = self.network
        return [
            self._pass("encoder", network.encoder, "scaled", "code"),
            self._pass("decoder", network.decoder, "code", "scaled"),
        ]

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
