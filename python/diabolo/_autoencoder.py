"""AutoEncoder, the plain dense kind: its own hyper-parameters, and what those of every kind mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from diabolo._network_estimator import NetworkEstimator


@dataclass(kw_only=True, repr=False, eq=False)
class AutoEncoder(NetworkEstimator):
    """A dense autoencoder: a network trained to reproduce its input through a code of `n_components` numbers.

    The encoder has layers of widths `hidden_layer_sizes` and then the code; the decoder mirrors them unless
    `decoder_layer_sizes` says otherwise, and ends with the features. All arithmetic is in float32, and
    float32 is what comes out. The same data, parameters and `random_state` give the same weights to the last
    bit, for any number of threads and on every CPU with fused multiply-add.

    Parameters are checked by `fit`, not before.

    Parameters
    ----------
    n_components : int, default 32
        Width of the code; it may exceed the number of features.
    hidden_layer_sizes : sequence of int, default ()
        Widths of the encoder's layers before the code.
    decoder_layer_sizes : sequence of int or None, default None
        Widths of the decoder's layers between the code and the output. None: `hidden_layer_sizes` reversed.
    activation : str, default "relu"
        Of the hidden layers: "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "prelu" (its slope
        is learned, one per unit), "gelu" (exact, by erf), "silu" or "softplus".
    code_activation : str, default "identity"
        Of the code.
    output_activation : str, default "auto"
        Of the output. "auto" is "sigmoid" for binary cross-entropy, a softmax for categorical cross-entropy
        and KL divergence, and "identity" otherwise.
    tied_weights : bool, default False
        Whether the decoder's kernels are the encoder's transposed. The decoder must mirror the encoder.
    initializer : str, default "auto"
        Of the kernels: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "fan_in_uniform" (of the
        biases too, which are 0 otherwise), "normal" (standard deviation 0.05) or "orthogonal". "auto" chooses
        by the layer's activation: "glorot_uniform" for identity, sigmoid and tanh, "he_uniform" for the
        others.
    loss : str, default "mse"
        "mse", "mae", "huber" (its quadratic part reaches to 1), "hinge" (X in [-1, 1]), "binary_crossentropy"
        (X in [0, 1]), "categorical_crossentropy" (groups of one-hot columns) or "kl_divergence" (rows that
        are distributions). Each is the mean over rows and features, of values as they are after scaling; a
        group of columns is one feature.
    categorical_groups : sequence of sequences of int, or None, default None
        The columns of each categorical feature for "categorical_crossentropy", consecutive ones, such as
        ``[range(3), range(3, 7)]``. Each group is reconstructed as probabilities; columns of no group are
        numbers, compared by their squared error. None: all columns are one categorical feature.
    optimizer : str or Optimizer, default "adam"
        "adam", "adamw", "sgd" or "rmsprop", or an object such as ``diabolo.Adam(beta_1=0.95)``.
    learning_rate : float, default 1e-3
        The learning rate that `schedule` starts from.
    schedule : str or Schedule, default "constant"
        "constant", "step", "exponential", "cosine" or "plateau", or an object such as
        ``diabolo.CosineDecay(warmup_epochs=2)``.
    l1, l2 : float, default 0
        Penalties on the kernels, added to the loss: `l1` times the sum of absolute values, `l2` times the sum
        of squares.
    clip_norm : float or None, default None
        Greatest Euclidean norm of the whole gradient, penalties included; longer ones are shortened to it.
    epochs : int, default 50
        Passes over the training rows.
    batch_size : int, default 256
        Rows per step; it may exceed the number of rows.
    shuffle : bool or "blocks", default True
        True: the rows are in a new random order each epoch, by an index of 8 bytes a row. "blocks": windows
        of neighbouring rows in random order, shuffled inside; for data larger than memory. False: as they
        come.
    validation_fraction : float in [0, 1), default 0
        Part of X that is set aside to compute validation losses: rows chosen at random if `shuffle` is True,
        else the last ones. At least one row stays on either side.
    early_stopping : bool, default False
        Whether to stop when the validation loss has not fallen for `patience` epochs. The weights of the best
        epoch are kept, also if all epochs were run.
    patience : int, default 10
        Epochs to wait for a better validation loss.
    min_delta : float, default 0
        By how much a validation loss must be lower to count as better.
    warm_start : bool, default False
        Whether `fit` begins with the weights and the scaling of the last fit instead of new ones. The
        optimiser begins anew; the architecture must be the same.
    max_seconds : float > 0 or None, default None
        Training stops when they are over, also in the middle of an epoch, and keeps the last completed one;
        the first is always completed.
    callbacks : sequence of callbacks or None, default None
        Objects with any of the methods ``on_fit_begin(state)``, ``on_epoch_end(state)`` and
        ``on_fit_end(state)``, such as `diabolo.CSVLogger`; `diabolo.TrainingState` is what they get. If one
        of the first two returns True, training stops after that epoch. They are not saved in files.
    scale : {None, "standard", "minmax"}, default None
        How to scale each feature on the way in: to mean 0 and standard deviation 1, or to [0, 1], by the
        training rows alone. Constant features are only shifted. Reconstructions are scaled back. (Other rows
        may come to lie somewhat outside [0, 1]; binary cross-entropy bears it.)
    missing : {"error", "mask"}, default "error"
        What NaN means: a mistake, or a value that nobody observed. With "mask" it has no part in losses and
        gradients, comes in as 0 in the scaled space, and `impute` fills it in. The loss of a row is the mean
        over what was observed of it.
    dropout : float in [0, 1) or sequence of float, default 0
        Probability with which training sets a unit of a hidden layer to 0, dividing the others by 1 minus it
        (Srivastava et al. 2014). A sequence has one for each hidden layer, the encoder's and then the
        decoder's.
    batch_norm : bool, default False
        Whether each hidden layer's units are brought to mean 0 and variance 1 over the batch before the
        activation, and then scaled and shifted by learned amounts (Ioffe and Szegedy 2015). A batch passes
        through the network as a whole, and takes memory for all its rows.
    zeros : {"values", "missing"}, default "values"
        What the elements mean that a sparse X does not store. "values": zeros like any others. "missing":
        unknown; losses, errors and scores count what is stored alone, each row with the mean over its own.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seed of weights, shuffling and validation rows. None: a new one each time.
    n_jobs : int or None, default None
        Threads. None or -1: as many as the process may use (OMP_NUM_THREADS, CPU affinity, cgroup quota).
    matmul_precision : {"float32", "bfloat16_3x", "bfloat16"}, default "float32"
        The least precision that products of matrices must have. Where the machine computes the given form
        faster than float32, it is used, in training and predictions; elsewhere float32 is, and a
        `MatmulPrecisionWarning` says so. "bfloat16" rounds both factors to 8 bits; "bfloat16_3x" splits each
        in two and computes three products. Sums, weights and moments are float32 always.
    verbose : {0, 1, 2}, default 0
        1: a progress bar on a terminal or in a notebook, else lines at intervals. 2: a line for each epoch.
        All on stderr.
    checkpoint : str, path-like or None, default None
        A file that `fit` writes the run to, atomically, after every `checkpoint_every` epochs and the last;
        ``fit(X, resume_from=...)`` goes on from it, to the weights of the uninterrupted run, to the last bit.
    checkpoint_every : int, default 1
        Epochs between two checkpoints.

    Attributes
    ----------
    history_ : dict of str to list of float
        An entry per epoch: "loss" (with penalties; the mean over the epoch's rows, as the weights changed),
        "reconstruction_loss" (without penalties), "learning_rate" (of the epoch's last step), "seconds"; with
        validation rows also "val_loss" and "val_reconstruction_loss", by the weights after the epoch (NaN if
        Ctrl-C came before they were computed).
    n_iter_ : int
        Epochs run.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str objects, shape (n_features,)
        Column names; only if X was a frame whose column names are all strings.
    matmul_precision_used_ : str
        The least precise form of products that the network computes on this machine.
    stop_reason_ : str
        "epochs", "early_stopping", "max_seconds", "callback" or "interrupted"; "partial_fit" after that; or
        "imported", from another library.

    Notes
    -----
    X may be a NumPy array of float16, float32, float64, any integer type or bool, with any strides, read-only
    or memory-mapped; a pandas or polars frame of such columns; a sparse matrix or array of SciPy; or what
    `numpy.asarray` turns into such an array. It is never copied or converted as a whole, but for sparse ones
    in other formats than CSR. It must not change while a method runs.

    Errors are measured on scaled values, so that features with large units do not drown the others.

    References
    ----------
    G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    313, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from diabolo import AutoEncoder
    >>> X = np.random.default_rng(0).random((200, 8))
    >>> ae = AutoEncoder(n_components=2, hidden_layer_sizes=(16,), epochs=5, random_state=0)
    >>> ae.fit_transform(X).shape
    (200, 2)
    >>> ae.reconstruction_error(X).shape
    (200,)
    """

    _in_files: ClassVar[bool] = True
    _takes_sparse: ClassVar[bool] = True

    code_activation: str = "identity"
    output_activation: str = "auto"
    tied_weights: bool = False
    loss: str = "mse"
    categorical_groups: Sequence[Sequence[int]] | None = None
