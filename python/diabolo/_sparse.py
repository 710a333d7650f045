"""SparseAutoEncoder: few units of a code, which may be wide, are active for any one row."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from diabolo._architecture import Architecture, decoder_layer_sizes, output_activation
from diabolo._autoencoder import AutoEncoder
from diabolo._layers import ACTIVATIONS, ActivityPenaltyLayer, DenseLayer, TopKLayer
from diabolo._validation import Choice, Flag, Integer, Real, Rule, broken
from diabolo.optimizers import Adam, AdamW

# From this ratio of units to active ones on, the core works on lists of the active ones (TopKSpec).
_LISTED_FROM = 16
# The core counts rows in float32, exactly so far.
_MOST_DEAD_AFTER = 2**24

# The code's activation that each kind of sparsity was published with.
_CODE_ACTIVATIONS = {"l1": "relu", "kl": "sigmoid", "top_k": "identity"}


@dataclass(kw_only=True, repr=False, eq=False)
class SparseAutoEncoder(AutoEncoder):
    """An autoencoder of which only few units of the code are active for any one row.

    The code may then be wider than the rows: each unit comes to stand for a part of some of them.

    Parameters
    ----------
    sparsity : {"l1", "kl", "top_k"}, default "l1"
        "l1" adds `sparsity_weight` times the sum of the code's absolute values to the loss. "kl" adds
        `sparsity_weight` times the sum over units of KL(rho || r), the divergence of the mean activity r of a
        unit from rho = `sparsity_target`. "top_k" keeps the `k` greatest units of each row and sets the
        others to 0, in training and afterwards.
    sparsity_weight : float, default 1e-3
        Weight of the penalty, summed over units and averaged over rows, beside a reconstruction loss that is
        the mean over features. Not used by "top_k".
    sparsity_target : float in (0, 1), default 0.05
        Mean activity that "kl" aims at.
    sparsity_decay : float in [0, 1), default 0.9
        How much of the running mean activity "kl" keeps at each step: r <- decay r + (1 - decay) (mean of the
        batch), beginning with the first batch's mean; 0 takes each batch by itself. The gradient reaches the
        batch's activities as if r were their mean. A batch passes through the network as a whole, and takes
        memory for all its rows.
    k : int, default 32
        Active units of a row, for "top_k"; at most `n_components`. Of equal ones at the border, the first.
        Where it is at most a sixteenth of `n_components`, the decoder and all gradients beside the code are
        computed from the active units alone; a batch then passes through the network as a whole, and takes
        memory for all its rows.
    lazy_adam : bool, default False
        Whether Adam updates only those weights beside the code whose unit was active in the batch, and leaves
        the moments of the others as they are. Else these decay, and the weights go on with them, as Adam has
        it. For "top_k" with `k` at most a sixteenth of `n_components`, and the optimizer Adam without
        penalties or clipping.
    unit_norm_decoder : bool, default False
        Whether each code unit's vector of weights in the decoder's first layer has norm 1: from the
        beginning, and after every step, before which its gradient loses the part along the vector. For
        "top_k". Gradients of these weights are stored, as with `clip_norm`. With `tied_weights` the vectors
        are also the encoder's.
    auxiliary_k : int, default 0
        How many dead units of each row are to learn from what the code leaves unsaid: "top_k" adds
        `auxiliary_weight` times the auxiliary loss. 0: none. At most `n_components`. For the loss "mse", with
        an output that is the identity and a decoder of one layer. A batch passes through the network as a
        whole.
    auxiliary_weight : float, default 1/32
        Weight of the auxiliary loss: the squared distance of a row's residual from what its `auxiliary_k`
        greatest dead units make of it, through the same decoder without its bias, summed over the batch and
        divided by the sum of the residual's squares. It reaches dead units alone, for the residual counts as
        a constant.
    dead_after : int, default 10_000
        A unit is dead while it has been active for none of so many training rows; at most 2**24.
    code_activation : str, default "auto"
        "auto" is "relu" for "l1", "sigmoid" for "kl" (which takes no other: activities must lie in [0, 1]),
        and "identity" for "top_k".
    n_components, hidden_layer_sizes, ..., verbose
        As in `AutoEncoder`.

    Attributes
    ----------
    history_ : dict of str to list of float
        As in `AutoEncoder`, "loss" with the penalty, and "active_units", the mean number of units that are
        active for a row of the epoch, and "dead_units", the number of those that were for none. Active means
        other than 0, and for "kl", whose sigmoids are never 0, above 0.1. The validation loss takes r as it
        is after the epoch. With `auxiliary_k` also "auxiliary_loss", without its weight, 0 in steps without
        dead units; it is no part of the validation loss.
    n_iter_, n_features_in_, feature_names_in_, stop_reason_, matmul_precision_used_
        As in `AutoEncoder`.

    References
    ----------
    A. Ng, "Sparse autoencoder", CS294A lecture notes, Stanford, 2011 ("kl"). A. Makhzani and B. Frey,
    "k-sparse autoencoders", ICLR 2014 ("top_k"). L. Gao et al., "Scaling and evaluating sparse autoencoders",
    arXiv:2406.04093, 2024 (`unit_norm_decoder`, `auxiliary_k`).

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import SparseAutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> sae = SparseAutoEncoder(32, sparsity="top_k", k=4, epochs=5, random_state=0)
    >>> bool(((sae.fit_transform(X) != 0).sum(axis=1) <= 4).all())
    True
    """

    _in_files: ClassVar[bool] = True
    _takes_sparse: ClassVar[bool] = True

    sparsity: Literal["l1", "kl", "top_k"] = "l1"
    sparsity_weight: float = 1e-3
    sparsity_target: float = 0.05
    sparsity_decay: float = 0.9
    k: int = 32
    lazy_adam: bool = False
    unit_norm_decoder: bool = False
    auxiliary_k: int = 0
    auxiliary_weight: float = 1 / 32
    dead_after: int = 10_000
    code_activation: str = "auto"

    _own_rules: ClassVar[dict[str, Rule]] = {
        "sparsity": Choice(_CODE_ACTIVATIONS),
        "sparsity_weight": Real(0.0),
        "sparsity_target": Real(0.0, 1.0, above_low=True, below_high=True),
        "sparsity_decay": Real(0.0, 1.0, below_high=True),
        "k": Integer(1),
        "lazy_adam": Flag(),
        "unit_norm_decoder": Flag(),
        "auxiliary_k": Integer(0),
        "auxiliary_weight": Real(0.0),
        "dead_after": Integer(1),
        "code_activation": Choice(("auto", *ACTIVATIONS)),
    }

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        p = parameters
        if p.sparsity == "kl" and p.code_activation not in ("auto", "sigmoid"):
            rule = "'auto' or 'sigmoid' when sparsity='kl', which takes activities in [0, 1]"
            raise broken(owner, "code_activation", rule, p.code_activation)
        if p.sparsity == "top_k" and p.k > p.n_components:
            raise broken(owner, "k", f"at most n_components={p.n_components} when sparsity='top_k'", p.k)
        if p.unit_norm_decoder and p.sparsity != "top_k":
            raise broken(owner, "unit_norm_decoder", "False unless sparsity='top_k'", True)
        if p.auxiliary_k > 0:
            cls._check_auxiliary(owner, p)
        if p.lazy_adam:
            cls._check_lazy_adam(owner, p)
        if p.code_activation == "auto":
            p.code_activation = _CODE_ACTIVATIONS[p.sparsity]

    @classmethod
    def _check_auxiliary(cls, owner: str, p: Any) -> None:
        """Check that there is a residual that the decoder's vectors can add up to."""
        if p.sparsity != "top_k":
            raise broken(owner, "auxiliary_k", "0 unless sparsity='top_k'", p.auxiliary_k)
        if p.auxiliary_k > p.n_components:
            raise broken(owner, "auxiliary_k", f"at most n_components={p.n_components}", p.auxiliary_k)
        if p.dead_after > _MOST_DEAD_AFTER:
            raise broken(owner, "dead_after", f"at most 2**24 = {_MOST_DEAD_AFTER}", p.dead_after)
        why = "when auxiliary_k > 0, which takes the residual apart"
        if p.loss != "mse":
            raise broken(owner, "loss", f"'mse' {why}", p.loss)
        if output_activation(p) != "identity":
            raise broken(owner, "output_activation", f"'auto' or 'identity' {why}", p.output_activation)
        if decoder_layer_sizes(p) != ():
            rule = f"() {why} with the vectors of a decoder of one layer"
            raise broken(owner, "decoder_layer_sizes", rule, p.decoder_layer_sizes)
        for name, only in (("missing", "error"), ("zeros", "values")):
            if getattr(p, name) != only:
                raise broken(owner, name, f"{only!r} {why} as a whole", getattr(p, name))

    @classmethod
    def _check_lazy_adam(cls, owner: str, p: Any) -> None:
        if p.sparsity != "top_k" or p.k > p.n_components // _LISTED_FROM:
            rule = f"False unless sparsity='top_k' and k is at most n_components / {_LISTED_FROM}"
            raise broken(owner, "lazy_adam", rule, True)
        if not isinstance(p.optimizer, Adam) or isinstance(p.optimizer, AdamW):
            raise broken(owner, "optimizer", "'adam' or an Adam when lazy_adam=True", p.optimizer)
        for name, nothing in (("l1", 0), ("l2", 0), ("clip_norm", None)):
            if getattr(p, name) != nothing:
                rule = f"{nothing} when lazy_adam=True, which looks at no weight without a gradient"
                raise broken(owner, name, rule, getattr(p, name))

    @classmethod
    def _check_sparse(cls, owner: str, parameters: Any, name: str) -> None:
        p = parameters
        if p.sparsity == "top_k" and not p.hidden_layer_sizes and p.k <= p.n_components // _LISTED_FROM:
            rule = (
                f"above n_components / {_LISTED_FROM} when {name} is sparse and hidden_layer_sizes is empty"
            )
            raise broken(owner, "k", rule, p.k)

    @classmethod
    def _architecture(cls, features: int, parameters: Any) -> Architecture:
        p = parameters
        layers, code_layers = super()._architecture(features, p)
        sparse: ActivityPenaltyLayer | TopKLayer
        if p.sparsity == "top_k":
            of_dead = (p.auxiliary_k, p.auxiliary_weight, p.dead_after) if p.auxiliary_k > 0 else ()
            sparse = TopKLayer(p.n_components, p.k, *of_dead)
            after_code = layers[code_layers]
            assert isinstance(after_code, DenseLayer)
            after_code = after_code._replace(unit_norm=p.unit_norm_decoder)
            layers = (*layers[:code_layers], after_code, *layers[code_layers + 1 :])
        else:
            l1, kl = (p.sparsity_weight, 0.0) if p.sparsity == "l1" else (0.0, p.sparsity_weight)
            sparse = ActivityPenaltyLayer(p.n_components, l1, kl, p.sparsity_target, p.sparsity_decay)
        return Architecture((*layers[:code_layers], sparse, *layers[code_layers:]), code_layers + 1)
