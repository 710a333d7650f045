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
INITIALIZERS = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "fan_in_uniform",
    "normal",
    "orthogonal",
)


class DenseLayer(NamedTuple):
    """outputs = activation(inputs @ kernel + bias)."""

    name: str
    inputs: int
    outputs: int
    activation: str
    initializer: str
    tied_to: str = ""  # the encoder layer whose transposed kernel is used, if any
    variance: str = "none"  # around the outputs, for the gaussian loss: "fixed" or "learned"
    initial_variance: float = 1.0
    products: str = "float32"  # at least so precise: of MATMUL_PRECISIONS
    trains_bias: bool = True  # False: it stays 0, for batch normalisation takes it away again
    unit_norm: bool = False  # whether training keeps each input's vector of weights at norm 1

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        if not self.tied_to:
            shapes[f"{self.name}.kernel"] = (self.inputs, self.outputs)
        shapes[f"{self.name}.bias"] = (self.outputs,)
        if self.activation == "prelu":
            shapes[f"{self.name}.slope"] = (self.outputs,)
        if self.variance != "none":
            shapes[f"{self.name}.log_variance"] = (self.outputs,)
        return shapes

    def cheaply_initialized(self) -> Self:
        """Return the same with the initializer that takes least time, for weights about to be replaced."""
        return self._replace(initializer="glorot_uniform")

    def core(self) -> _core.Dense:
        return _core.Dense(*self)


class _WithoutWeights:
    """What the layers without parameters have in common: as many outputs, and mostly inputs, as units."""

    __slots__ = ()
    units: int

    @property
    def inputs(self) -> int:
        return self.units

    @property
    def outputs(self) -> int:
        return self.units

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

    def core(self) -> _core.Corruption:
        return _core.Corruption(*self)


class _GaussianCodeFields(NamedTuple):
    units: int
    beta: float
    warmup_epochs: int
    free_bits: float


class GaussianCodeLayer(_WithoutWeights, _GaussianCodeFields):
    """The code of a variational autoencoder: means and log-variances come in, a sample goes out."""

    __slots__ = ()

    @property
    def inputs(self) -> int:
        return 2 * self.units

    def core(self) -> _core.GaussianCode:
        return _core.GaussianCode(*self)


class _ActivityPenaltyFields(NamedTuple):
    units: int
    l1: float
    kl: float
    target: float
    decay: float


class ActivityPenaltyLayer(_WithoutWeights, _ActivityPenaltyFields):
    """A price on the activities of the layer below, which go through as they are."""

    __slots__ = ()

    def core(self) -> _core.ActivityPenalty:
        return _core.ActivityPenalty(*self)


class _TopKFields(NamedTuple):
    units: int
    k: int
    auxiliary_k: int = 0  # of the dead units of a row, which learn from the residual; 0: none
    auxiliary_weight: float = 0.0
    dead_after: int = 1  # rows


class TopKLayer(_WithoutWeights, _TopKFields):
    """The k greatest of each row go through, and 0 for the others."""

    __slots__ = ()

    def core(self) -> _core.TopK:
        return _core.TopK(*self)


class _JacobianPenaltyFields(NamedTuple):
    units: int
    weight: float


class JacobianPenaltyLayer(_WithoutWeights, _JacobianPenaltyFields):
    """A price on how much the outputs of the layer below, which go through, move with the input."""

    __slots__ = ()

    def core(self) -> _core.JacobianPenalty:
        return _core.JacobianPenalty(*self)


class _SoftmaxFields(NamedTuple):
    units: int
    groups: tuple[tuple[int, int], ...]  # ranges of columns, [begin, end)


class SoftmaxLayer(_WithoutWeights, _SoftmaxFields):
    """Probabilities of the columns of each group, at the end of a network; other columns go through."""

    __slots__ = ()

    def core(self) -> _core.Softmax:
        return _core.Softmax(*self)


class _MissingValuesFields(NamedTuple):
    units: int
    rescale: bool  # whether a row's loss is the mean over what was observed, or else the sum
    groups: tuple[tuple[int, int], ...] = ()  # ranges of columns, [begin, end), that are one feature


class MissingValuesLayer(_WithoutWeights, _MissingValuesFields):
    """First of all: NaN stands for what nobody observed; 0 goes on, and the loss leaves it out."""

    __slots__ = ()

    def core(self) -> _core.MissingValues:
        return _core.MissingValues(*self)


class _DropoutFields(NamedTuple):
    units: int
    rate: float  # probability of 0


class DropoutLayer(_WithoutWeights, _DropoutFields):
    """Units set to 0 at random while training, the others divided by 1 - rate."""

    __slots__ = ()

    def core(self) -> _core.Dropout:
        return _core.Dropout(*self)


class _BatchNormFields(NamedTuple):
    name: str
    units: int
    activation: str
    momentum: float
    epsilon: float


class BatchNormLayer(_BatchNormFields):
    """outputs = activation(scale * (inputs - mean) / sqrt(variance + epsilon) + shift).

    Mean and variance are those of the batch while training; afterwards the running ones, which are among the
    weights: running <- momentum * running + (1 - momentum) * batch.
    """

    __slots__ = ()

    @property
    def inputs(self) -> int:
        return self.units

    @property
    def outputs(self) -> int:
        return self.units

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        names = ["scale", "shift", "mean", "variance"] + ["slope"] * (self.activation == "prelu")
        return {f"{self.name}.{name}": (self.units,) for name in names}

    def cheaply_initialized(self) -> Self:
        return self

    def core(self) -> _core.BatchNorm:
        return _core.BatchNorm(*self)


Layer = (
    DenseLayer
    | CorruptionLayer
    | GaussianCodeLayer
    | ActivityPenaltyLayer
    | TopKLayer
    | SoftmaxLayer
    | MissingValuesLayer
    | DropoutLayer
    | BatchNormLayer
    | JacobianPenaltyLayer
)

# Names in files and pickles. Dense layers came first, and have none; nor had they a variance.
_KINDS: dict[str, type[Layer]] = {
    "corruption": CorruptionLayer,
    "gaussian_code": GaussianCodeLayer,
    "activity_penalty": ActivityPenaltyLayer,
    "top_k": TopKLayer,
    "jacobian_penalty": JacobianPenaltyLayer,
    "softmax": SoftmaxLayer,
    "missing_values": MissingValuesLayer,
    "dropout": DropoutLayer,
    "batch_norm": BatchNormLayer,
}
_OF_VARIANCE = ("variance", "initial_variance")
_UNSAID: dict[str, object] = {"products": "float32", "trains_bias": True, "unit_norm": False, "groups": ()}


def described(layer: Layer) -> dict[str, Any]:
    """Return a layer as a dict of plain values."""
    fields = layer._asdict()
    for name, value in _UNSAID.items():  # nothing else was known to older versions
        if name in fields and fields[name] == value:
            del fields[name]
    if fields.get("auxiliary_k") == 0:
        fields = {name: fields[name] for name in ("units", "k")}
    if not isinstance(layer, DenseLayer):
        names = {cls: name for name, cls in _KINDS.items()}
        return {"layer": names[type(layer)], **fields}
    if layer.variance == "none":
        return {name: value for name, value in fields.items() if name not in _OF_VARIANCE}
    return fields


def label(layer: Layer) -> str:
    """Return what a layer is, in a few words."""
    if isinstance(layer, (DenseLayer, BatchNormLayer)):
        return f"{layer.name} {layer.activation}"
    return str(described(layer)["layer"])


def layer_from(description: dict[str, Any]) -> Layer:
    """Return the layer that `described` described; KeyError or TypeError if there is none such."""
    fields = dict(description)
    name = fields.pop("layer", None)
    if "groups" in fields:  # JSON has lists, and no tuples
        fields["groups"] = tuple(tuple(group) for group in fields["groups"])
    return DenseLayer(**fields) if name is None else _KINDS[name](**fields)
