"""DenoisingAutoEncoder: trained to restore rows that noise has corrupted."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from diabolo._architecture import Architecture
from diabolo._autoencoder import AutoEncoder
from diabolo._inputs import Interval
from diabolo._layers import CorruptionLayer
from diabolo._types import Float32Array
from diabolo._validation import Choice, Real, Rule, broken

CORRUPTIONS = ("gaussian", "masking", "salt_and_pepper")


@dataclass(kw_only=True, repr=False, eq=False)
class DenoisingAutoEncoder(AutoEncoder):
    """An autoencoder trained to restore rows that noise has corrupted.

    At every step the rows of the batch are corrupted anew, and the network learns to give back the clean
    ones. So it cannot merely copy its input, even where the code is wide, and what it learns of the data are
    the dependencies between features by which a damaged row can be repaired. Only training adds noise:
    `transform`, `reconstruct` and the scores take rows as they are, and so do validation losses.

    The noise is a function of `random_state`, the step and the row's place in its batch, and the same for any
    number of threads.

    Parameters
    ----------
    corruption : {"masking", "gaussian", "salt_and_pepper"}, default "masking"
        "masking" sets values to 0; "gaussian" adds normal noise; "salt_and_pepper" sets values to 0 or 1,
        with equal chances, and so needs X in [0, 1], or ``scale="minmax"``. All on values as they are after
        scaling.
    noise_scale : float, default 0.1
        Standard deviation of the gaussian noise, in scaled units.
    noise_fraction : float in [0, 1), default 0.25
        Probability with which masking or salt and pepper replaces a value, each on its own.
    corrupted_weight, clean_weight : float, default 1
        Factors of the loss of values that were replaced, and of the others. ``clean_weight=0.5`` puts an
        emphasis on what was replaced, 0 a full one. Gaussian noise changes every value and takes none.
    n_components, hidden_layer_sizes, ..., verbose
        As in `AutoEncoder`.

    Attributes
    ----------
    history_, n_iter_, n_features_in_, feature_names_in_, stop_reason_, matmul_precision_used_
        As in `AutoEncoder`; the training losses are those of corrupted rows, weights included.

    References
    ----------
    P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked denoising autoencoders",
    Journal of Machine Learning Research 11, 2010; the emphasis is in its section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import DenoisingAutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> dae = DenoisingAutoEncoder(16, corruption="masking", noise_fraction=0.3, epochs=5, random_state=0)
    >>> dae.fit(X).denoise(X).shape
    (200, 8)
    """

    _in_files: ClassVar[bool] = True
    _takes_sparse: ClassVar[bool] = True

    corruption: Literal["masking", "gaussian", "salt_and_pepper"] = "masking"
    noise_scale: float = 0.1
    noise_fraction: float = 0.25
    corrupted_weight: float = 1.0
    clean_weight: float = 1.0

    _own_rules: ClassVar[dict[str, Rule]] = {
        "corruption": Choice(CORRUPTIONS),
        "noise_scale": Real(0.0),
        "noise_fraction": Real(0.0, 1.0, below_high=True),
        "corrupted_weight": Real(0.0),
        "clean_weight": Real(0.0),
    }

    def denoise(self, X: Any) -> Float32Array:
        """Return the rows of X restored: the same as `reconstruct`, under the name of its purpose.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
            Rows with noise; none is added.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_features)
            In the units of X.
        """
        return self.reconstruct(X)

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        p = parameters
        if p.corruption == "gaussian":
            for name in ("corrupted_weight", "clean_weight"):
                if getattr(p, name) != 1.0:
                    rule = "1 when corruption='gaussian', which changes every value"
                    raise broken(owner, name, rule, getattr(p, name))
        if p.corrupted_weight == 0.0 and p.clean_weight == 0.0:
            raise broken(owner, "corrupted_weight", "> 0 when clean_weight=0", p.corrupted_weight)
        if p.corruption == "salt_and_pepper" and p.scale == "standard":
            rule = "'minmax' or None when corruption='salt_and_pepper', which sets values to 0 or 1"
            raise broken(owner, "scale", rule, p.scale)

    @classmethod
    def _architecture(cls, features: int, parameters: Any) -> Architecture:
        layers, code_layers = super()._architecture(features, parameters)
        return Architecture((cls._row_noise(features, parameters), *layers), code_layers + 1)

    @classmethod
    def _row_noise(cls, features: int, parameters: Any) -> CorruptionLayer:
        p = parameters
        amount = p.noise_scale if p.corruption == "gaussian" else p.noise_fraction
        return CorruptionLayer(features, p.corruption, amount, p.corrupted_weight, p.clean_weight)

    @classmethod
    def _check_sparse(cls, owner: str, parameters: Any, name: str) -> None:
        p = parameters
        if p.corruption != "masking":
            rule = f"'masking' when {name} is sparse: other noise would fill its zeros"
            raise broken(owner, "corruption", rule, p.corruption)
        for weight in ("corrupted_weight", "clean_weight"):
            if getattr(p, weight) != 1.0:
                rule = f"1 when {name} is sparse, whose zeros noise leaves as they are"
                raise broken(owner, weight, rule, getattr(p, weight))

    @classmethod
    def _interval(cls, parameters: Any) -> Interval | None:
        if parameters.corruption == "salt_and_pepper" and parameters.scale is None:
            why = "when corruption='salt_and_pepper' and scale=None (scale='minmax' brings them there)"
            return Interval(0.0, 1.0, why)
        return super()._interval(parameters)
