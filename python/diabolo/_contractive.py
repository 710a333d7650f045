"""ContractiveAutoEncoder: trained to codes that small movements of a row hardly change."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from diabolo._architecture import Architecture
from diabolo._autoencoder import AutoEncoder
from diabolo._encoding import checked_values
from diabolo._layers import JacobianPenaltyLayer
from diabolo._types import Float32Array
from diabolo._validation import Real, Rule, broken


@dataclass(kw_only=True, repr=False, eq=False)
class ContractiveAutoEncoder(AutoEncoder):
    """An autoencoder with a penalty on how much its codes move with the rows.

    The loss grows by `contraction_weight` times the squared Frobenius norm of the Jacobian J of the code in
    the row, averaged over rows. The reconstruction resists: what remains are codes that change along the few
    directions in which neighbouring rows differ, and hardly along any other.

    With no hidden layers the penalty is exact: for a unit with weights w and pre-activation z it is the sum
    of ``f'(z)^2 |w|^2``. With hidden layers it is estimated, for each row at each step, by ``|J u|^2`` with a
    vector u of random signs, whose mean is ``|J|^2``. The signs are a function of `random_state`, the step
    and the row's place in its batch, and the same for any number of threads. Training then takes about twice
    as many products in the encoder.

    Parameters
    ----------
    contraction_weight : float, default 1e-3
        Weight of the penalty, averaged over rows, beside a reconstruction loss that is the mean over
        features. It is summed over units and inputs, as they are after scaling.
    code_activation : str, default "sigmoid"
        As in `AutoEncoder`. Of "identity", with no hidden layers, the penalty is one on the weights alone.
    tied_weights : bool, default True
        As in `AutoEncoder`; `decoder_layer_sizes` must then mirror the encoder. An untied decoder can make up
        for ever smaller weights of the encoder, which evades the penalty.
    n_components, hidden_layer_sizes, ..., verbose
        As in `AutoEncoder`.

    Attributes
    ----------
    history_ : dict of str to list of float
        As in `AutoEncoder`, "loss" with the penalty, and "squared_jacobian_norm", the mean of the epoch's
        rows without its weight.
    n_iter_, n_features_in_, feature_names_in_, stop_reason_
        As in `AutoEncoder`.

    References
    ----------
    S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive auto-encoders: explicit invariance
    during feature extraction", ICML 2011. M. F. Hutchinson, "A stochastic estimator of the trace of the
    influence matrix for Laplacian smoothing splines", Communications in Statistics 19, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import ContractiveAutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> cae = ContractiveAutoEncoder(16, contraction_weight=0.01, epochs=5, random_state=0).fit(X)
    >>> cae.jacobian_norm(X).shape
    (200,)
    """

    _in_files: ClassVar[bool] = True

    contraction_weight: float = 1e-3
    code_activation: str = "sigmoid"
    tied_weights: bool = True

    _own_rules: ClassVar[dict[str, Rule]] = {"contraction_weight": Real(0.0)}

    @classmethod
    def _complete(cls, owner: str, parameters: Any) -> None:
        super()._complete(owner, parameters)
        for name, without in (("missing", "error"), ("batch_norm", False)):
            if getattr(parameters, name) != without:
                rule = f"{without!r}: the Jacobian is that of dense layers alone"
                raise broken(owner, name, rule, getattr(parameters, name))
        rates = parameters.dropout if isinstance(parameters.dropout, (tuple, list)) else (parameters.dropout,)
        if any(rates):
            rule = "0: the Jacobian is that of dense layers alone"
            raise broken(owner, "dropout", rule, parameters.dropout)

    def jacobian_norm(self, X: Any) -> Float32Array:
        """Return how much the code of each row moves with the row: the Frobenius norm of the Jacobian.

        Parameters
        ----------
        X : array-like, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows,)
            The root of the sum of the squared derivatives of all units of the code in all features, as they
            are after scaling; exact for any number of hidden layers. The mean of its squares, times
            `contraction_weight`, is the penalty.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            X cannot be used, or has other features than what was fitted.

        Notes
        -----
        It takes as many passes backward through the encoder as the code has units.
        """
        fitted, table, threads = self._prepared(X)
        squares = checked_values(fitted.model.squared_jacobian_norms(table.rows, threads, True), table)
        return np.sqrt(squares).astype(np.float32)

    @classmethod
    def _architecture(cls, features: int, parameters: Any) -> Architecture:
        p = parameters
        layers, code_layers = super()._architecture(features, p)
        penalty = JacobianPenaltyLayer(p.n_components, p.contraction_weight)
        return Architecture((*layers[:code_layers], penalty, *layers[code_layers:]), code_layers + 1)
