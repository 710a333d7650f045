"""StackedAutoEncoder: layers trained one by one, each on the codes of the one below, and then together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from diabolo import _core
from diabolo._architecture import Architecture, output_activation
from diabolo._autoencoder import AutoEncoder
from diabolo._inputs import Interval, Table
from diabolo._layers import CorruptionLayer
from diabolo._pretraining import KINDS, RBM, History, layer_plans, pretrain, row_noise
from diabolo._validation import Choice, Integer, Refused, Rule, broken


class _ForEachLayer(Rule):
    """A value for all layers, or a sequence of one for each; the latter becomes a tuple."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.description = f"{rule.description}, or a sequence of such, one for each layer"

    def convert(self, value: object) -> Any:
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            return self.rule.convert(value)
        return tuple(self.rule.convert(item) for item in value)


class _Settings(Rule):
    """A mapping of names to values, or None for an empty one."""

    description = "None or a mapping of hyper-parameters' names to values"

    def convert(self, value: object) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise Refused
        return dict(value)


@dataclass(kw_only=True, repr=False, eq=False)
class StackedAutoEncoder(AutoEncoder):
    """A deep autoencoder that is pretrained layer by layer, and then fine-tuned as a whole.

    First each layer of the encoder is trained by itself, with a decoder of one layer, to reproduce what the
    layer below makes of the rows: as a plain, denoising, sparse or contractive one, or as a restricted
    Boltzmann machine. Their encoders in order, and their decoders in the opposite one, are the
    network that training then begins with: before its first step it computes what the layers do, one after
    the other.

    Parameters
    ----------
    pretraining : str or sequence of str, default "autoencoder"
        "autoencoder", "denoising", "sparse", "contractive" or "rbm": what each layer is trained as; a
        sequence has one for each layer, the code's included. "rbm" takes ``activation="sigmoid"``, and
        "sigmoid" or "identity" for code and output: sigmoids are binary units (of the output: X in [0, 1]),
        identities normal ones of variance 1 (of the output: X of mean 0 and variance 1, which
        ``scale="standard"`` sees to).
    pretraining_epochs : int or sequence of int, default 10
        Passes over the rows for each layer.
    pretraining_parameters : mapping, sequence of mappings or None, default None
        Hyper-parameters of the layers' own training, by name: of `AutoEncoder` "loss", "optimizer",
        "learning_rate", "schedule", "l1", "l2", "clip_norm", "batch_size", "shuffle" and "initializer"; and
        those that `DenoisingAutoEncoder` ("noise_fraction", ...) or `SparseAutoEncoder` has besides ("top_k"
        is no `sparsity` for a layer). Optimizer, learning rate, batch size,
        shuffling and initializer are the network's where nothing else is said. "rbm" takes "learning_rate"
        (None: 0.1, or 0.001 where one side has normal units), "steps" (k of CD-k: 1), "momentum" (0.9, after
        five epochs of "initial_momentum", 0.5), "weight_decay" (0.0002) and "batch_size" (100).
    epochs : int >= 0, default 50
        Passes over the rows with the whole network. 0: the layers remain as they were pretrained.
    n_components, hidden_layer_sizes, ..., checkpoint_every
        As in `AutoEncoder`, and of the fine-tuning: also `validation_fraction`, `max_seconds`, `callbacks`,
        checkpoints. The decoder mirrors the encoder.

    Attributes
    ----------
    pretraining_history_ : list of dict
        The `history_` of each layer's own training, the first layer's first. Empty where `warm_start` went on
        with trained weights.
    history_, n_iter_, n_features_in_, feature_names_in_, stop_reason_
        As in `AutoEncoder`, of the fine-tuning.

    Notes
    -----
    The codes of all rows are kept in memory between the layers. Rows set aside for validation are not
    pretrained on.

    References
    ----------
    G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    313, 2006 ("rbm"). Y. Bengio, P. Lamblin, D. Popovici and H. Larochelle, "Greedy layer-wise training of
    deep networks", NIPS 2006 ("autoencoder"). P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A.
    Manzagol, "Stacked denoising autoencoders", JMLR 11, 2010 ("denoising").

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import StackedAutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> sae = StackedAutoEncoder(2, hidden_layer_sizes=(16, 4), pretraining="denoising", random_state=0)
    >>> sae.fit_transform(X).shape
    (200, 2)
    >>> len(sae.pretraining_history_)
    3
    """

    _in_files: ClassVar[bool] = True

    pretraining: str | Sequence[str] = "autoencoder"
    pretraining_epochs: int | Sequence[int] = 10
    pretraining_parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None

    _own_rules: ClassVar[dict[str, Rule]] = {
        "pretraining": _ForEachLayer(Choice(KINDS)),
        "pretraining_epochs": _ForEachLayer(Integer(1)),
        "pretraining_parameters": _ForEachLayer(_Settings()),
        "epochs": Integer(0),
    }

    @property
    def pretraining_history_(self) -> list[dict[str, list[float]]]:
        """The `history_` of each layer's own training, the first layer's first (a copy)."""
        layers = self._require_fitted().fitting.pretraining
        return [{name: list(values) for name, values in layer.items()} for layer in layers]

    def fit_blocks(self, blocks: Any, y: object = None, *, X_val: Any = None) -> Self:
        """Raise TypeError: layers are pretrained on rows that are all there.

        Train an `AutoEncoder` on blocks, or `fit` this estimator to a memory map.
        """
        raise TypeError(
            f"{type(self).__name__}: fit_blocks must not be called: layers are pretrained on rows that are "
            "all there. Call fit, with a numpy.memmap if need be."
        )

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        p = parameters
        mirror = tuple(reversed(p.hidden_layer_sizes))
        if p.decoder_layer_sizes not in (None, mirror):
            rule = f"None or the mirror of hidden_layer_sizes, {mirror}: each layer is pretrained both ways"
            raise broken(owner, "decoder_layer_sizes", rule, p.decoder_layer_sizes)
        if p.batch_norm:
            raise broken(owner, "batch_norm", "False: layers are pretrained without it", p.batch_norm)
        first = layer_plans(owner, p)[0]
        if p.missing == "mask" and first.kind == RBM:
            raise broken(owner, "missing", "'error' when the first layer's pretraining is 'rbm'", p.missing)

    @classmethod
    def _row_noise(cls, features: int, parameters: Any) -> CorruptionLayer | None:
        first = layer_plans(cls.__name__, parameters)[0]
        return row_noise(parameters, first, features)

    @classmethod
    def _interval(cls, parameters: Any) -> Interval | None:
        first = layer_plans(cls.__name__, parameters)[0]
        if first.kind == RBM and output_activation(parameters) == "sigmoid" and parameters.scale is None:
            why = "when pretraining='rbm' with sigmoid outputs and scale=None"
            return Interval(0.0, 1.0, f"{why} (scale='minmax' brings them there)")
        if first.parameters.get("corruption") == "salt_and_pepper" and parameters.scale is None:
            why = "when corruption='salt_and_pepper' and scale=None"
            return Interval(0.0, 1.0, f"{why} (scale='minmax' brings them there)")
        return super()._interval(parameters)

    def _pretrained(
        self, p: Any, plan: Architecture, model: _core.Model, table: Table, seed: int, threads: int
    ) -> tuple[_core.Model, tuple[History, ...]]:
        weights, histories = pretrain(self, p, plan, table, model.scaler(), seed, threads)
        return model.with_weights(weights), histories
