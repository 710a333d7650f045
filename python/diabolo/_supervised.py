"""What classifier and regressor share: an autoencoder's encoder, fine-tuned with a head on labelled rows."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from diabolo import _core
from diabolo._architecture import Architecture, chain
from diabolo._autoencoder import AutoEncoder
from diabolo._base import Estimator
from diabolo._common_layers import takes_missing
from diabolo._encoding import Encoding, checked_values
from diabolo._exportable import ExportableSupervised
from diabolo._files import Saved
from diabolo._fitted import Fitted, Fitting
from diabolo._fitting import Outcome, TrainingRun, new_trainer
from diabolo._inputs import Table, as_table, check_features, check_observed, check_values
from diabolo._layers import (
    ActivityPenaltyLayer,
    CorruptionLayer,
    DenseLayer,
    DropoutLayer,
    GaussianCodeLayer,
    JacobianPenaltyLayer,
    Layer,
    MissingValuesLayer,
    SoftmaxLayer,
)
from diabolo._memory import check_memory
from diabolo._named_weights import NamedWeights
from diabolo._nested import NetworkOrNone, untrained_copy
from diabolo._network_estimator import NetworkEstimator
from diabolo._parameters import RULES, check_schedule, check_validation, checked_parameters
from diabolo._plots import HistoryPlot
from diabolo._progress import progress_for
from diabolo._random import seed_from, split_rows
from diabolo._running_fits import one_at_a_time, training_threads
from diabolo._sample_weights import checked_weights_of_rows, weighted
from diabolo._scikit_learn import HtmlRepr, ScoreRouting
from diabolo._targets import LabelledRows, Meaning
from diabolo._types import Float32Array, Float64Array
from diabolo._validation import Flag, Rule, broken

SOFTMAX_LOSS = "categorical_crossentropy"

# Layers that only pretraining knows: noise on the rows, and prices on the code.
_OF_PRETRAINING = (CorruptionLayer, ActivityPenaltyLayer, JacobianPenaltyLayer)


class FittedSupervised(Fitted):
    """The network of encoder and head, and what its outputs stand for."""

    __slots__ = ("meaning",)

    def __init__(self, fitted: Fitted, meaning: Meaning) -> None:
        super().__init__(fitted.architecture, fitted.model, fitted.fitting)
        self.meaning = meaning

    def __reduce__(self) -> tuple[Any, ...]:
        return FittedSupervised, (Fitted(self.architecture, self.model, self.fitting), self.meaning)

    def with_weights(self, weights: Mapping[str, Float32Array]) -> "FittedSupervised":
        """Return the same with other weights, whose names and shapes must be right."""
        return FittedSupervised(super().with_weights(weights), self.meaning)


class Encoder(NamedTuple):
    """The part of a fitted autoencoder that makes codes, without noise or penalties."""

    layers: tuple[Layer, ...]
    weights: dict[str, Float32Array]

    @property
    def components(self) -> int:
        return self.layers[-1].outputs


def encoder_of(fitted: Fitted, noise: CorruptionLayer | None = None) -> Encoder:
    """Return an autoencoder's encoder: what its `transform` computes, to the last bit.

    With `noise`, training puts this on the rows.
    """
    learnt = fitted.model.get_weights()
    layers: list[Layer] = []
    if noise is not None:
        layers.append(noise._replace(corrupted_weight=1.0, clean_weight=1.0))  # rows are not the target
    if takes_missing(fitted.architecture):
        layers.insert(0, MissingValuesLayer(fitted.architecture.features, rescale=False))  # nor here
    for layer in fitted.architecture.layers[: fitted.architecture.code_layers]:
        if isinstance(layer, (*_OF_PRETRAINING, MissingValuesLayer)):
            continue
        if isinstance(layer, GaussianCodeLayer):  # a code's mean is its first half
            below = layers.pop()
            assert isinstance(below, DenseLayer)  # means and log-variances
            for name in below.parameter_shapes():
                learnt[name] = np.ascontiguousarray(learnt[name][..., : layer.units])
            layers.append(below._replace(outputs=layer.units))
            continue
        layers.append(layer)
    names = {name for layer in layers for name in layer.parameter_shapes()}
    return Encoder(tuple(layers), {name: learnt[name] for name in names})


def _noise_of(autoencoder: NetworkEstimator, features: int) -> CorruptionLayer | None:
    """Return the noise that an autoencoder's training puts on rows; None: none."""
    return autoencoder._row_noise(features, autoencoder._checked_parameters())


def supervised_network(encoder: Encoder, outputs: int, p: Any) -> Architecture:
    """Return encoder and head; the last layer is a softmax if the loss has one."""
    head: list[Layer] = []
    dense = chain("head", (encoder.components, *p.head_layer_sizes, outputs), p.activation, "identity", p)
    for layer, rate in zip(dense, p.dropout, strict=True):
        if rate > 0.0:
            head.append(DropoutLayer(layer.inputs, rate))
        head.append(layer)
    if p.loss == SOFTMAX_LOSS:
        head.append(SoftmaxLayer(outputs, ((0, outputs),)))
    return Architecture((*encoder.layers, *head), len(encoder.layers))


def _dropout_rates(owner: str, p: Any) -> tuple[float, ...]:
    """Return the rate of what each of the head's layers takes: of the code, then of its hidden layers."""
    count = len(p.head_layer_sizes) + 1
    rates: tuple[float, ...] = (p.dropout,) * count if isinstance(p.dropout, float) else p.dropout
    if len(rates) != count:
        rule = f"one rate, or one for the code and each of the head's hidden layers, {count} in all"
        raise broken(owner, "dropout", rule, p.dropout)
    return rates


SHARED_RULES: dict[str, Rule] = {
    **RULES,
    "autoencoder": NetworkOrNone(),
    "head_layer_sizes": RULES["hidden_layer_sizes"],
    "keep_noise": Flag(),
}


# Meanings of the hyper-parameters stand in AutoEncoderClassifier's docstring.
@dataclass(kw_only=True, repr=False, eq=False)
class SupervisedEstimator(
    ExportableSupervised, NamedWeights, Saved, Encoding, HtmlRepr, ScoreRouting, HistoryPlot
):
    """Base of the estimators that learn from labelled rows what an autoencoder's codes are to tell."""

    _second_part: ClassVar[str] = "head"
    _own_rules: ClassVar[Mapping[str, Rule]] = {}

    autoencoder: NetworkEstimator | None = field(default=None, kw_only=False)
    head_layer_sizes: Sequence[int] = ()
    activation: str = "relu"
    keep_noise: bool = False
    dropout: float | Sequence[float] = 0.0
    optimizer: Any = "adam"
    learning_rate: float = 1e-3
    schedule: Any = "constant"
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    epochs: int = 50
    batch_size: int = 64
    shuffle: bool | Literal["blocks"] = True
    validation_fraction: float = 0.0
    early_stopping: bool = False
    patience: int = 10
    min_delta: float = 0.0
    max_seconds: float | None = None
    callbacks: Sequence[Any] | None = None
    random_state: "int | np.random.Generator | np.random.RandomState | None" = None
    n_jobs: int | None = None
    verbose: int = 0

    # ---- Training ----

    @one_at_a_time
    def fit(self, X: Any, y: Any, *, X_val: Any = None, y_val: Any = None, sample_weight: Any = None) -> Self:
        """Train the autoencoder on all rows, then its encoder and a new head on the labelled ones.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            The training rows, labelled or not.
        y : array-like, shape (n_rows,), or for several outputs (n_rows, n_outputs)
            Their classes, or their values.
        X_val, y_val : array-like, optional
            Labelled rows on which to compute validation losses, instead of `validation_fraction` of the
            labelled rows of X.
        sample_weight : array-like, shape (n_rows,), optional
            How much each row counts, in pretraining and fine-tuning, as in `AutoEncoder.fit`. Rows of weight
            0 are left out, with their labels.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            A hyper-parameter breaks its rule, also one of the autoencoder's. (A ValueError, as the next.)
        InvalidDataError
            X, y, X_val, y_val or `sample_weight` cannot be used.
        MemoryError
            A network or its training would not fit into the memory available.
        TrainingDivergedError
            A loss or a weight became infinite or NaN.
        KeyboardInterrupt
            On Ctrl-C. The estimator then is that of the last completed epoch of the fine-tuning; if there was
            none, it is as it was.
        RuntimeError
            This estimator is being fitted already, by another thread.

        Notes
        -----
        After any other error the estimator is as it was before.
        """
        owner = type(self).__name__
        p = self._checked_parameters(has_validation_rows=X_val is not None)
        if (X_val is None) != (y_val is None):
            missing = "y_val" if y_val is None else "X_val"
            raise broken(owner, missing, "given if the other of X_val and y_val is", None)
        threads = training_threads(p.n_jobs)
        missing_allowed = p.autoencoder is not None and p.autoencoder.missing == "mask"
        table = as_table(X, owner, "X", missing_allowed=missing_allowed)
        count = table.rows.count
        weights = checked_weights_of_rows(owner, sample_weight, count)
        table = weighted(table, weights)
        check_values(table, threads=threads)
        check_observed(table, threads, columns=True)
        labelled, meaning = self._labelled(p, y, np.ones(count) if weights is None else weights)
        validation_table, validation_targets = None, None
        if X_val is not None:
            validation_table = as_table(X_val, owner, "X_val", missing_allowed=missing_allowed)
            check_features(validation_table, table.rows.features, table.feature_names)
            check_values(validation_table, threads=threads)

        seed = seed_from(p.random_state)
        rows = table.rows
        if len(labelled.indices) < rows.count:
            taken = labelled.indices
            if table.selected is not None:
                taken = np.searchsorted(table.selected, taken)  # their places among the rows that count
            rows = rows.take(taken)
        rows, validation_rows = split_rows(owner, p, rows, seed)
        targets = labelled.targets(meaning)
        if validation_table is not None:
            validation_rows = validation_table.rows
            validation_targets = self._validation_targets(y_val, validation_rows.count, meaning)
        elif validation_rows is not None:
            validation_targets = targets

        autoencoder = self._untrained(p, seed)
        autoencoder.fit(table)
        pretrained = autoencoder._require_fitted()
        encoder = encoder_of(pretrained, _noise_of(autoencoder, rows.features) if p.keep_noise else None)
        plan = supervised_network(encoder, meaning.outputs, p)
        check_memory(owner, p, plan, rows, threads)
        model = _core.Model(plan.core_layers(), plan.code_layers, seed, threads)
        model = model.with_weights({**model.get_weights(), **encoder.weights})
        scaler = pretrained.model.scaler()
        if scaler is not None:
            model.set_scaler(*scaler)

        p.scale = pretrained.fitting.scale
        histories = (*pretrained.fitting.pretraining, pretrained.fitting.history)

        def fitted(outcome: Outcome) -> FittedSupervised:
            history = {n: v for n, v in outcome.history.items() if not n.endswith("reconstruction_loss")}
            fitting = Fitting(p.loss, p.scale, table.feature_names, history, outcome.stop_reason, histories)
            return FittedSupervised(Fitted(plan, outcome.model, fitting), meaning)

        run = TrainingRun(
            self,
            p,
            new_trainer(
                p,
                model,
                rows,
                validation_rows,
                seed,
                threads,
                targets=targets,
                validation_targets=validation_targets,
            ),
            fitted,
            validates=validation_rows is not None,
            progress=progress_for(p.verbose, p.epochs, rows.count),
        )
        try:
            self._fitted = fitted(run.run())
        except KeyboardInterrupt:
            outcome = run.interrupted()
            if outcome is not None:
                self._fitted = fitted(outcome)
            raise
        return self

    def fit_transform(
        self, X: Any, y: Any, *, X_val: Any = None, y_val: Any = None, sample_weight: Any = None
    ) -> Any:
        """Train and return the codes of X: `fit`, then `transform`.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        y : array-like, shape (n_rows,), or for several outputs (n_rows, n_outputs)
        X_val, y_val, sample_weight : array-like, optional
            As in `fit`; all rows are transformed.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)
            Or a frame, if `set_output` says so.
        """
        return self.fit(X, y, X_val=X_val, y_val=y_val, sample_weight=sample_weight).transform(X)

    # ---- Using the network ----

    @property
    def pretraining_history_(self) -> list[dict[str, list[float]]]:
        """The `history_` of the autoencoder; those of its own layers come first, if it was stacked."""
        histories = self._require_fitted().fitting.pretraining
        return [{name: list(values) for name, values in history.items()} for history in histories]

    # ---- What a kind says of itself ----

    @abstractmethod
    def _labelled(self, p: Any, y: object, weights: Float64Array) -> tuple[LabelledRows, Meaning]:
        """Return the targets of rows with these weights, and what outputs stand for; raise InvalidDataError.

        Rows of weight 0 are none of the labelled ones.
        """

    @abstractmethod
    def _validation_targets(self, y: object, rows: int, meaning: Meaning) -> _core.Targets:
        """Return the targets of rows that losses are computed of; raise InvalidDataError."""

    # ---- Shared steps ----

    def _checked_parameters(self, *, has_validation_rows: bool) -> Any:
        owner = type(self).__name__
        p = checked_parameters(owner, self.get_params(deep=False), {**SHARED_RULES, **self._own_rules})
        if p.keep_noise and (p.autoencoder is None or _noise_of(p.autoencoder, 1) is None):
            rule = "False unless autoencoder is a DenoisingAutoEncoder, or stacked with such a first layer"
            raise broken(owner, "keep_noise", rule, True)
        p.initializer, p.matmul_precision = "auto", "float32"  # of the head; the encoder's layers have theirs
        p.dropout = _dropout_rates(owner, p)
        check_schedule(owner, p)
        check_validation(owner, p, has_validation_rows)
        return p

    def _untrained(self, p: Any, seed: int) -> NetworkEstimator:
        """Return a copy of the autoencoder, or the default one; without a random_state, it gets one."""
        if p.autoencoder is None:
            return default_autoencoder(seed >> 1, p)  # an int as users may give it has 63 bits
        autoencoder = untrained_copy(p.autoencoder)
        if autoencoder.random_state is None:
            autoencoder.random_state = seed >> 1
        return autoencoder

    def _require_fitted(self) -> FittedSupervised:
        fitted = super()._require_fitted()
        assert isinstance(fitted, FittedSupervised)
        return fitted

    def _prepared(self, X: Any) -> tuple[FittedSupervised, Table, int]:
        fitted, threads = self._require_fitted(), self._threads()
        missing_allowed = takes_missing(fitted.architecture)
        table = as_table(X, type(self).__name__, "X", missing_allowed=missing_allowed)
        check_features(table, fitted.features, fitted.fitting.feature_names)
        return fitted, table, threads

    def _outputs(self, X: Any) -> tuple[Float64Array, Meaning]:
        """Return the last dense layer's outputs, (rows, outputs), and what they stand for."""
        fitted, table, threads = self._prepared(X)
        layers = fitted.architecture.layers
        last = len(layers) - 1 - isinstance(layers[-1], SoftmaxLayer)
        outputs = checked_values(fitted.model.layer_output(table.rows, last, threads, True), table)
        return outputs.astype(np.float64), fitted.meaning

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = getattr(self.autoencoder, "missing", "error") == "mask"
        return tags


def default_autoencoder(random_state: int, p: Any) -> AutoEncoder:
    """Return the autoencoder of an estimator that was given none: one hidden layer of 256 relu units."""
    return AutoEncoder(
        n_components=256,
        code_activation="relu",
        scale="standard",
        epochs=20,
        random_state=random_state,
        n_jobs=p.n_jobs,
        verbose=p.verbose,
    )


def restored_supervised(fitted: Fitted, meaning: Meaning, estimator: Estimator) -> None:
    """Let an estimator become what a file holds; ValueError if its outputs are not those of the network."""
    if fitted.architecture.layers[-1].outputs != meaning.outputs:
        raise ValueError(f"{meaning.outputs} outputs do not fit the network")
    estimator._fitted = FittedSupervised(fitted, meaning)
