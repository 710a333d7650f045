"""The C++ core: what Python may ask of it. Conversions, checks of user input and policy live in Python."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

__version__: str

Float32Array = npt.NDArray[np.float32]
Poll = Callable[[int, float], object]

class ModelFileError(ValueError): ...

def available_isas() -> list[str]: ...
def selected_isa() -> str: ...
def usable_threads() -> int: ...
def available_memory(root: str = ...) -> int | None: ...
def cgroup_cpu_quota(root: str = ...) -> float | None: ...
def build_info() -> dict[str, str]: ...
def normal_noise(rows: int, columns: int, seed: int, step: int, isa: str) -> Float32Array: ...
def evaluate(function: str, x: Float32Array, isa: str) -> Float32Array: ...

class Rows:
    """Rows of somebody else's numbers, strided, by columns or sparse, and which of their rows are meant."""

    def __init__(self, array: npt.NDArray[np.generic]) -> None: ...
    @staticmethod
    def from_columns(columns: Sequence[npt.NDArray[np.generic]]) -> Rows: ...
    @staticmethod
    def from_sparse(
        values: npt.NDArray[np.generic],
        columns: npt.NDArray[np.generic],
        starts: npt.NDArray[np.generic],
        features: int,
    ) -> Rows: ...
    @staticmethod
    def sparse_defect(
        values: npt.NDArray[np.generic],
        columns: npt.NDArray[np.generic],
        starts: npt.NDArray[np.generic],
        features: int,
    ) -> tuple[Literal["starts", "out_of_range", "unordered"], int, int] | None: ...
    @property
    def most_stored(self) -> int | None: ...  # of a row; None: the rows are dense
    @property
    def count(self) -> int: ...
    @property
    def features(self) -> int: ...
    def slice(self, begin: int, end: int) -> Rows: ...
    def take(self, indices: npt.NDArray[np.int64]) -> Rows: ...
    def find_invalid(
        self, low: float, high: float, threads: int, missing_allowed: bool = False
    ) -> tuple[int, int] | None: ...
    def find_unobserved(self, threads: int) -> tuple[int | None, int | None]: ...
    def find_improper_group(
        self, groups: Sequence[tuple[int, int]], zeros_allowed: bool, threads: int
    ) -> tuple[int, int] | None: ...
    def fingerprint(self, threads: int) -> int: ...
    def weights(self) -> npt.NDArray[np.float64] | None: ...
    def weighted(self, weights: npt.NDArray[np.float64]) -> Rows: ...
    def column_moments(
        self, threads: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
    def column_ranges(self, threads: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...

class Targets:
    """What outputs are compared with in the place of the rows; row i belongs to row i of their table."""

    @staticmethod
    def of_values(
        table: Rows,
        shift: npt.NDArray[np.float64] | None = None,
        scale: npt.NDArray[np.float64] | None = None,
    ) -> Targets: ...
    @staticmethod
    def of_classes(numbers: Rows, classes: int, off: float = 0.0) -> Targets: ...

class Dense:
    """A dense layer's description: its weights live in the model."""

    def __init__(
        self,
        name: str,
        inputs: int,
        outputs: int,
        activation: str,
        initializer: str,
        tied_to: str = "",
        variance: str = "none",
        initial_variance: float = 1.0,
        products: str = "float32",
        trains_bias: bool = True,
        unit_norm: bool = False,
    ) -> None: ...

class Corruption:
    """Noise on the rows that come in, while training."""

    def __init__(
        self,
        units: int,
        kind: str,
        amount: float,
        corrupted_weight: float = 1.0,
        clean_weight: float = 1.0,
    ) -> None: ...

class GaussianCode:
    """The code of a variational autoencoder: a sample of a normal distribution while training."""

    def __init__(
        self, units: int, beta: float = 1.0, warmup_epochs: int = 0, free_bits: float = 0.0
    ) -> None: ...

class ActivityPenalty:
    """A price on the activities of the layer below."""

    def __init__(
        self, units: int, l1: float = 0.0, kl: float = 0.0, target: float = 0.05, decay: float = 0.0
    ) -> None: ...

class TopK:
    """The k greatest of each row, and 0 for the others."""

    def __init__(
        self,
        units: int,
        k: int,
        auxiliary_k: int = 0,
        auxiliary_weight: float = 0.0,
        dead_after: int = 1,
    ) -> None: ...

class JacobianPenalty:
    """A price on the squared norm of the Jacobian of the layers below."""

    def __init__(self, units: int, weight: float) -> None: ...

class Softmax:
    """Probabilities of the columns of each group; the others go through."""

    def __init__(self, units: int, groups: Sequence[tuple[int, int]]) -> None: ...

class BoltzmannHidden:
    """The hidden units of a restricted Boltzmann machine, "sigmoid" or "identity"."""

    def __init__(self, name: str, visible: int, hidden: int, activation: str) -> None: ...

class BoltzmannVisible:
    """Its visible units; with them the machine learns by contrastive divergence."""

    def __init__(
        self,
        name: str,
        hidden: int,
        visible: int,
        activation: str,
        hidden_name: str,
        hidden_activation: str,
        steps: int = 1,
    ) -> None: ...

class MissingValues:
    """0 in the place of NaN, which the loss leaves out."""

    def __init__(self, units: int, rescale: bool = True, groups: Sequence[tuple[int, int]] = ()) -> None: ...

class Dropout:
    """Units set to 0 at random, while training."""

    def __init__(self, units: int, rate: float) -> None: ...

class BatchNorm:
    """Units brought to mean 0 and variance 1 over the rows of a batch, scaled and shifted, and activated."""

    def __init__(
        self, name: str, units: int, activation: str, momentum: float = 0.9, epsilon: float = 1e-5
    ) -> None: ...

Layer = (
    Dense
    | Corruption
    | GaussianCode
    | ActivityPenalty
    | TopK
    | Softmax
    | MissingValues
    | Dropout
    | BatchNorm
    | BoltzmannHidden
    | BoltzmannVisible
    | JacobianPenalty
)

class Model:
    """A network, its parameters and its scaler."""

    def __init__(self, layers: Sequence[Layer], code_layers: int, seed: int, threads: int = 1) -> None: ...
    @staticmethod
    def planned_bytes(layers: Sequence[Layer]) -> int: ...
    def set_scaler(self, shift: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]) -> None: ...
    def scaler(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None: ...
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]: ...
    def products(self) -> list[str]: ...  # that the dense layers compute
    def get_weights(self) -> dict[str, Float32Array]: ...
    def with_weights(self, weights: Mapping[str, Float32Array]) -> Model: ...
    # threads: 0 means as many as the process may use. None is returned for a value that is not finite as
    # float32, or outside of an interval, where that was asked to be refused.
    def transform(self, rows: Rows, threads: int, finite: bool = False) -> Float32Array | None: ...
    def inverse_transform(self, codes: Rows, threads: int, finite: bool = False) -> Float32Array | None: ...
    def reconstruct(self, rows: Rows, threads: int, finite: bool = False) -> Float32Array | None: ...
    def feature_errors(
        self, rows: Rows, threads: int, finite: bool = False, stored_only: bool = False
    ) -> Float32Array | None: ...
    def layer_output(
        self, rows: Rows, layer: int, threads: int, finite: bool = False
    ) -> Float32Array | None: ...
    def row_errors(
        self,
        rows: Rows,
        loss: str,
        threads: int,
        finite: bool = False,
        interval: tuple[float, float] | None = None,
        sum_features: bool = False,
        stored_only: bool = False,
    ) -> Float32Array | None: ...
    def code_deviations(self, rows: Rows, threads: int, finite: bool = False) -> Float32Array | None: ...
    def squared_jacobian_norms(
        self, rows: Rows, threads: int, finite: bool = False
    ) -> npt.NDArray[np.float64] | None: ...
    def evidence(
        self,
        rows: Rows,
        loss: str,
        importance: bool,
        seed: int,
        samples: int,
        threads: int,
        finite: bool = False,
        interval: tuple[float, float] | None = None,
        stored_only: bool = False,
    ) -> npt.NDArray[np.float64] | None: ...

class UpdateRule:
    @staticmethod
    def sgd(momentum: float, nesterov: bool) -> UpdateRule: ...
    @staticmethod
    def adam(beta_1: float, beta_2: float, epsilon: float, weight_decay: float) -> UpdateRule: ...
    def lazy(self) -> UpdateRule: ...
    @staticmethod
    def rmsprop(rho: float, epsilon: float) -> UpdateRule: ...

class Schedule:
    @staticmethod
    def constant() -> Schedule: ...
    @staticmethod
    def step(epochs: int, factor: float) -> Schedule: ...
    @staticmethod
    def exponential(factor: float) -> Schedule: ...
    @staticmethod
    def cosine(warmup_epochs: int, final_fraction: float) -> Schedule: ...
    def factor_at(self, step: int, steps_per_epoch: int, total_epochs: int) -> float: ...

class EpochReport:
    outcome: Literal["completed", "stopped", "loss_not_finite", "weight_not_finite"]
    epoch: int
    step: int
    loss: float
    reconstruction_loss: float
    learning_rate: float
    measures: dict[str, float]

    def __init__(
        self, *, epoch: int, step: int, loss: float, reconstruction_loss: float, learning_rate: float
    ) -> None: ...

class Trainer:
    """Trains a private copy of a model, an epoch a call. The rows must outlive it and not change."""

    def __init__(
        self,
        model: Model,
        train: Rows,
        validation: Rows | None,
        *,
        loss: str,
        sum_features: bool = False,
        stored_only: bool = False,
        batch_size: int,
        epochs: int,
        learning_rate: float,
        schedule: Schedule,
        rule: UpdateRule,
        l1: float,
        l2: float,
        clip_norm: float,
        shuffle: Literal["rows", "blocks", "none"],
        seed: int,
        threads: int,
        updates_before: int = 0,
        targets: Targets | None = None,
        validation_targets: Targets | None = None,
    ) -> None: ...
    @staticmethod
    def planned_bytes(
        layers: Sequence[Layer],
        rows: int,
        *,
        batch_size: int,
        rule: UpdateRule,
        clip: bool,
        shuffle: Literal["rows", "blocks", "none"],
        threads: int,
        most_stored: int | None = None,
    ) -> int: ...
    def run_epoch(self, poll: Poll | None) -> EpochReport: ...
    def set_learning_rate(self, rate: float) -> None: ...
    def measure_names(self) -> list[str]: ...
    def validation_losses(self) -> tuple[float, float]: ...
    def keep_best(self) -> None: ...
    def completed_report(self) -> EpochReport | None: ...
    def completed_model(self) -> Model | None: ...
    def best_model(self) -> Model: ...
    def moments(self) -> list[dict[str, Float32Array]]: ...
    def resume(
        self,
        last: EpochReport,
        weights: Mapping[str, Float32Array],
        best: Mapping[str, Float32Array] | None,
        moments: Sequence[Mapping[str, Float32Array]],
        kept: Mapping[str, Float32Array],
    ) -> None: ...
    def take_moments(self, moments: Sequence[Mapping[str, Float32Array]]) -> None: ...
    def kept_states(self) -> dict[str, Float32Array]: ...
    def take_kept_states(self, states: Mapping[str, Float32Array]) -> None: ...
    def gradients(self, rows: Rows) -> tuple[float, float, dict[str, Float32Array]]: ...

def read_model_file(path: str) -> tuple[dict[str, str], dict[str, npt.NDArray[np.generic]]]: ...
def write_model_file(
    path: str, metadata: Mapping[str, str], tensors: Mapping[str, npt.NDArray[np.generic]]
) -> None: ...
def replace_file(path: str, contents: bytes) -> None: ...
