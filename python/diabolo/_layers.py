"""The layers of a network as plain values: what they are made of, in the core, in files and in pickles."""

from typing import Any, NamedTuple, Self

from diabolo import _core

ACTIVATIONS = (
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "prelu",
    "gelu",
    "silu",
    "softplus",
)
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal", "orthogonal")


class DenseLayer(NamedTuple):
    """outputs = activation(inputs @ kernel + bias)."""

    name: str
    inputs: int
    outputs: int
    activation: str
    initializer: str
    tied_to: str = ""  # the encoder layer whose transposed kernel is used, if any

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        if not self.tied_to:
            shapes[f"{self.name}.kernel"] = (self.inputs, self.outputs)
        shapes[f"{self.name}.bias"] = (self.outputs,)
        if self.activation == "prelu":
            shapes[f"{self.name}.slope"] = (self.outputs,)
        return shapes

    def cheaply_initialized(self) -> Self:
        """Return the same with the initializer that takes least time, for weights about to be replaced."""
        return self._replace(initializer="glorot_uniform")

    def core(self) -> _core.Dense:
        return _core.Dense(
            self.name, self.inputs, self.outputs, self.activation, self.initializer, self.tied_to
        )


class _WithoutWeights:
    """What the layers without parameters say of them."""

    __slots__ = ()

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def cheaply_initialized(self) -> Self:
        return self


class _CorruptionFields(NamedTuple):
    units: int
    kind: str  # "gaussian", "masking" or "salt_and_pepper"
    amount: float  # standard deviation, or fraction of the elements
    corrupted_weight: float = 1.0
    clean_weight: float = 1.0


class CorruptionLayer(_WithoutWeights, _CorruptionFields):
    """Noise on the rows that come in, while training."""

    __slots__ = ()

    @property
    def inputs(self) -> int:
        return self.units

    @property
    def outputs(self) -> int:
        return self.units

    def core(self) -> _core.Corruption:
        return _core.Corruption(*self)


Layer = DenseLayer | CorruptionLayer

# Names in files and pickles. Dense layers came first, and have none.
_KINDS: dict[str, type[Layer]] = {"corruption": CorruptionLayer}


def described(layer: Layer) -> dict[str, Any]:
    """Return a layer as a dict of plain values."""
    names = {cls: name for name, cls in _KINDS.items()}
    name = {} if isinstance(layer, DenseLayer) else {"layer": names[type(layer)]}
    return {**name, **layer._asdict()}


def layer_from(description: dict[str, Any]) -> Layer:
    """Return the layer that `described` described; KeyError or TypeError if there is none such."""
    fields = dict(description)
    name = fields.pop("layer", None)
    return DenseLayer(**fields) if name is None else _KINDS[name](**fields)
