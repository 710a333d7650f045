"""The header of C of a classifier or regressor: an encoder with a head, which reconstructs nothing."""

from diabolo._c_functions import array_definition, most_kept
from diabolo._c_header import Header, widest_hidden


class SupervisedHeader(Header):
    """Codes, and probabilities or values."""

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
        return io + network.components + 2 * widest_hidden(network) + most_kept(network)

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
                array_definition(f"{p}_value_shift", "double", shift),
                array_definition(f"{p}_value_scale", "double", scale),
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
