"""VariationalAutoEncoder: a model of how rows are distributed, which can also make new ones."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from diabolo import _core
from diabolo._architecture import Architecture, dense_architecture
from diabolo._column_groups import check_probabilities
from diabolo._encoding import checked_values
from diabolo._inputs import Interval, as_table, check_features
from diabolo._layers import DenseLayer, GaussianCodeLayer
from diabolo._network_estimator import NetworkEstimator
from diabolo._parameters import RULES
from diabolo._predictions import stored_only
from diabolo._random import seed_from
from diabolo._types import Float32Array, Float64Array
from diabolo._validation import Choice, Either, Flag, Integer, Real, Rule, broken, checked
from diabolo.exceptions import InvalidDataError, PosteriorCollapseWarning

_LOSSES = {
    "bernoulli": "binary_crossentropy",
    "gaussian": "gaussian",
    "categorical": "categorical_crossentropy",
}

# Of the code's units: with no more than this part of them active, the code is all but unused.
_COLLAPSED = 0.1


@dataclass(kw_only=True, repr=False, eq=False)
class VariationalAutoEncoder(NetworkEstimator):
    """A variational autoencoder: a model of how rows are distributed, which can also make new ones.

    The encoder gives each row a normal distribution over codes, with a mean and a standard deviation for each
    unit; training decodes a sample of it, and keeps it close to the standard normal distribution. The loss is
    minus the evidence lower bound, in nats a row:

        -log p(x | z)  +  beta * KL(q(z | x) || N(0, 1)),     z drawn from q(z | x)

    Training draws z = mean + deviation * noise, afresh at every step. `transform` gives means, and
    `reconstruct` decodes them. Log-variances v enter as 10 tanh(v / 10), which cannot overflow.

    Parameters
    ----------
    likelihood : {"gaussian", "bernoulli", "categorical"}, default "gaussian"
        The distribution of a feature given the code. "bernoulli" takes values in [0, 1], as probabilities of
        1; "categorical" one-hot columns, by groups; the density of "gaussian" is that of values after
        scaling.
    categorical_groups : sequence of sequences of int, or None, default None
        The columns of each categorical feature, such as ``[range(3), range(3, 7)]``, for "categorical"; every
        column must be in one. None: all columns are one feature.
    output_variance : "learned" or float in [1e-4, 1e4], default "learned"
        Variance of the gaussian likelihood, after scaling: the same for all features, or learned for each,
        from 1 on. For "gaussian" alone.
    beta : float, default 1
        Weight of the divergence (Higgins et al. 2017). 1 is the evidence lower bound.
    kl_warmup_epochs : int, default 0
        Epochs over which that weight grows from 0, step by step, against a collapse of the code.
    free_bits : float, default 0
        Nats of each unit's mean divergence in a batch that cost nothing more (Kingma et al. 2016). If not 0,
        a batch passes through the network as a whole, and takes memory for all its rows.
    n_components, hidden_layer_sizes, ..., verbose
        As in `AutoEncoder`, whose `loss`, `code_activation`, `output_activation` and `tied_weights` this kind
        does not have. The last layer of the encoder has 2 * `n_components` units: means, then log-variances.

    Attributes
    ----------
    history_ : dict of str to list of float
        As in `AutoEncoder`, and "kl", the mean divergence without its weight, and "active_units", the number
        of units whose mean has a variance above 0.01 over the epoch's rows (Burda et al. 2016).
        "reconstruction_loss" is -log p(x | z); validation losses take the divergence with its full weight.
    n_iter_, n_features_in_, feature_names_in_, stop_reason_, matmul_precision_used_
        As in `AutoEncoder`.

    Warns
    -----
    PosteriorCollapseWarning
        At the end of a fit in which no more than a tenth of the units is active.

    References
    ----------
    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014. I. Higgins et al., "beta-VAE",
    ICLR 2017. D. P. Kingma et al., "Improved variational inference with inverse autoregressive flow", NIPS
    2016 (free bits). Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import VariationalAutoEncoder
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) @ [[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]]
    >>> vae = VariationalAutoEncoder(2, scale="standard", learning_rate=1e-2, random_state=0).fit(X)
    >>> vae.sample(5).shape
    (5, 3)
    >>> vae.elbo(X).shape
    (200,)
    """

    _in_files: ClassVar[bool] = True
    _sums_features: ClassVar[bool] = True
    _takes_sparse: ClassVar[bool] = True

    likelihood: Literal["gaussian", "bernoulli", "categorical"] = "gaussian"
    categorical_groups: Sequence[Sequence[int]] | None = None
    output_variance: float | Literal["learned"] = "learned"
    beta: float = 1.0
    kl_warmup_epochs: int = 0
    free_bits: float = 0.0

    _own_rules: ClassVar[dict[str, Rule]] = {
        "likelihood": Choice(_LOSSES),
        "output_variance": Either(Choice(("learned",)), Real(1e-4, 1e4)),
        "beta": Real(0.0),
        "kl_warmup_epochs": Integer(0),
        "free_bits": Real(0.0),
    }

    # ---- Codes ----

    def transform(self, X: Any, *, return_std: bool = False) -> Any:
        """Return the mean codes of the rows of X, and with `return_std` their standard deviations.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        return_std : bool, default False

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)
            Or a pair of them; or of frames, if `set_output` says so.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.
        """
        wanted = checked(type(self).__name__, "return_std", Flag(), return_std)
        means = super().transform(X)
        if not wanted:
            return means
        fitted, table, threads = self._prepared(X)
        deviations = checked_values(fitted.model.code_deviations(table.rows, threads, True), table)
        return means, self._in_container(deviations, X)

    def sample(self, n: int = 1, *, random_state: Any = None) -> Float32Array:
        """Return new rows: codes drawn from N(0, 1), decoded.

        Parameters
        ----------
        n : int, default 1
            How many.
        random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
            Seed of the codes. None: the estimator's own `random_state`.

        Returns
        -------
        ndarray of float32, shape (n, n_features)
            The means of the features given the codes, in the units of the data that were fitted; for the
            Bernoulli likelihood the probabilities of 1.
        """
        count = checked(type(self).__name__, "n", Integer(1), n)
        fitted, threads = self._require_fitted(), self._threads()
        components = fitted.architecture.components
        codes = _core.normal_noise(count, components, self._seed(random_state), 0, _core.selected_isa())
        rows = fitted.model.inverse_transform(_core.Rows(codes), threads)
        assert rows is not None  # refuses nothing
        return rows

    def interpolate(self, a: npt.ArrayLike, b: npt.ArrayLike, n: int = 10) -> Float32Array:
        """Return rows on the way from one row to another: decoded codes on the line between their codes.

        Parameters
        ----------
        a, b : array-like, shape (n_features,)
            The rows at the ends.
        n : int >= 2, default 10
            How many rows, with those of the ends' own codes.

        Returns
        -------
        ndarray of float32, shape (n, n_features)
        """
        owner = type(self).__name__
        count = checked(owner, "n", Integer(2), n)
        start, end = self._code_of(a, "a"), self._code_of(b, "b")
        way = np.linspace(0.0, 1.0, count)[:, None]
        return self.inverse_transform((1.0 - way) * start + way * end)

    def _code_of(self, row: npt.ArrayLike, name: str) -> Float64Array:
        fitted, threads, owner = self._require_fitted(), self._threads(), type(self).__name__
        if np.ndim(row) != 1:
            raise InvalidDataError(
                f"{owner}: {name} must be a single row, of shape (n_features,). Got shape {np.shape(row)}."
            )
        # A row has no names of its own, and need not: it is taken to be in the order of the columns.
        names = fitted.fitting.feature_names
        table = as_table(np.asarray(row)[None, :], owner, name)._replace(feature_names=names)
        check_features(table, fitted.features, names)
        codes: Float32Array = checked_values(fitted.model.transform(table.rows, threads, True), table)
        code: Float64Array = codes[0].astype(np.float64)
        return code

    # ---- The model of the distribution ----

    def elbo(self, X: Any, *, n_samples: int = 1, random_state: Any = None) -> Float64Array:
        """Return the evidence lower bound of each row: a lower bound of its log-likelihood, in nats.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        n_samples : int, default 1
            Codes drawn for each row, over which log p(x | z) is averaged.
        random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
            Seed of the codes. None: the estimator's own `random_state`.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            log p(x | z) - KL(q(z | x) || N(0, 1)), whatever beta; of the values after scaling.
        """
        return self._evidence(X, False, n_samples, random_state)

    def log_likelihood(self, X: Any, n_samples: int = 100, *, random_state: Any = None) -> Float64Array:
        """Return an estimate of each row's log-likelihood, by importance sampling, in nats.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)
        n_samples : int, default 100
            Codes drawn for each row. The estimate is too low on average, the less the more there are.
        random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
            Seed of the codes. None: the estimator's own `random_state`.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            log of the mean of p(x | z) p(z) / q(z | x) over z drawn from q; of the values after scaling.
        """
        return self._evidence(X, True, n_samples, random_state)

    def _evidence(self, X: Any, importance: bool, n_samples: int, random_state: Any) -> Float64Array:
        samples = checked(type(self).__name__, "n_samples", Integer(1), n_samples)
        seed = self._seed(random_state)
        fitted, table, threads = self._prepared(X)
        loss = fitted.fitting.loss
        interval = self._loss_interval(loss, fitted.fitting.scale)
        check_probabilities(table, loss, fitted.architecture, threads or _core.usable_threads())
        ends = None if interval is None else interval.ends
        evidence = fitted.model.evidence(
            table.rows, loss, importance, seed, samples, threads, True, ends, stored_only(fitted, table)
        )
        return checked_values(evidence, table, interval)

    def _seed(self, random_state: Any) -> int:
        own = self.random_state if random_state is None else random_state
        return seed_from(checked(type(self).__name__, "random_state", RULES["random_state"], own))

    # ---- What differs from other kinds ----

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        p = parameters
        if p.likelihood == "bernoulli" and p.scale == "standard":
            rule = "'minmax' or None when likelihood='bernoulli', which takes values in [0, 1]"
            raise broken(owner, "scale", rule, p.scale)
        if p.likelihood != "gaussian" and p.output_variance != "learned":
            rule = f"'learned', its default, when likelihood={p.likelihood!r}, which has no variance"
            raise broken(owner, "output_variance", rule, p.output_variance)
        if p.kl_warmup_epochs > p.epochs:
            raise broken(owner, "kl_warmup_epochs", f"at most epochs={p.epochs}", p.kl_warmup_epochs)
        if p.likelihood == "categorical" and p.scale is not None:
            rule = "None when likelihood='categorical', which takes one-hot columns"
            raise broken(owner, "scale", rule, p.scale)
        if p.likelihood != "categorical" and p.categorical_groups is not None:
            rule = "None unless likelihood='categorical'"
            raise broken(owner, "categorical_groups", rule, p.categorical_groups)
        p.loss = _LOSSES[p.likelihood]
        p.code_activation, p.output_activation, p.tied_weights = "identity", "auto", False

    @classmethod
    def _architecture(cls, features: int, parameters: Any) -> Architecture:
        p = parameters
        layers, code_layers = dense_architecture(features, p)
        *encoder, moments = layers[:code_layers]
        *decoder, output = layers[code_layers:]
        assert isinstance(moments, DenseLayer)
        assert isinstance(output, DenseLayer)
        moments = moments._replace(outputs=2 * p.n_components)
        if p.likelihood == "gaussian":
            learned = p.output_variance == "learned"
            output = output._replace(
                variance="learned" if learned else "fixed",
                initial_variance=1.0 if learned else p.output_variance,
            )
        code = GaussianCodeLayer(p.n_components, p.beta, p.kl_warmup_epochs, p.free_bits)
        return Architecture((*encoder, moments, code, *decoder, output), code_layers + 1)

    @classmethod
    def _loss_interval(cls, loss: str, scale: str | None) -> Interval | None:
        if loss != "binary_crossentropy" or scale is not None:
            return None
        why = "when likelihood='bernoulli' and scale=None (scale='minmax' brings them there)"
        return Interval(0.0, 1.0, why)

    @classmethod
    def _look_at(cls, owner: str, parameters: Any, history: Mapping[str, Sequence[float]]) -> None:
        active = history["active_units"][-1]
        if active <= _COLLAPSED * parameters.n_components:
            warnings.warn(
                f"{owner}: posterior collapse: {active:.0f} of {parameters.n_components} units of the code "
                "say anything of the rows. A lower beta, kl_warmup_epochs or free_bits may help; with "
                "likelihood='gaussian', a smaller or learned output_variance.",
                PosteriorCollapseWarning,
                stacklevel=3,
            )
