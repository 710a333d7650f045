"""Dense autoencoders of Keras and PyTorch made ours, by their arrays alone; neither library is imported."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diabolo import _core
from diabolo._autoencoder import AutoEncoder
from diabolo._fitted import Fitted, Fitting
from diabolo._layers import DenseLayer
from diabolo._parameters import check_combinations, checked_parameters
from diabolo._types import AnyArray
from diabolo._validation import Integer, broken, checked
from diabolo._weights import checked_weights
from diabolo.exceptions import InvalidDataError, InvalidParameterError

# What the arrays themselves say, and what importing cannot mean.
_FOUND = ("n_components", "hidden_layer_sizes", "decoder_layer_sizes", "tied_weights", "scale")


def from_keras(
    model: Any,
    *,
    activation: str,
    code_activation: str,
    output_activation: str,
    code_layers: int | None = None,
    **parameters: Any,
) -> AutoEncoder:
    """Return an autoencoder with the weights of a dense Keras model.

    Parameters
    ----------
    model : object with get_weights(), or iterable of array-like
        A model of Dense layers from input to reconstruction (nested ones, of encoder and decoder, too), or
        what its `get_weights` returns: for each layer the kernel, (inputs, outputs), then the bias if there
        is one, then the slopes of its PReLU if it has one.
    activation, code_activation, output_activation : str
        Of the hidden layers, the code and the output, which no array tells. Keras's "gelu" is ours (not its
        approximation), its "leaky_relu" has another slope (0.2) and is none of ours.
    code_layers : int, optional
        How many layers make the code. By default those up to the narrowest, which must be a single one.
    **parameters
        Other hyper-parameters of `AutoEncoder`, such as the `loss` it was trained with, or what a later `fit`
        should do.

    Returns
    -------
    AutoEncoder
        Fitted, with ``n_iter_ == 0`` and ``stop_reason_ == "imported"``. It does not scale: its X must be
        scaled as the model's was.

    Raises
    ------
    InvalidDataError
        The arrays are not those of dense layers, each as wide as the one before, that end as wide as they
        begin; or not finite. The message names the array.
    InvalidParameterError
        A hyper-parameter breaks its rule, or is one that the arrays tell.
    """
    arrays = model.get_weights() if hasattr(model, "get_weights") else model
    if isinstance(arrays, (str, bytes, Mapping)) or not isinstance(arrays, Iterable):
        raise InvalidDataError(
            "from_keras: model must have get_weights(), or be a list of arrays as that returns. "
            f"Got {type(model).__name__}."
        )
    layers: list[_DenseArrays] = []
    for index, given in enumerate(arrays):
        name = f"array {index}"
        array = _array("from_keras", name, given)
        if array.ndim == 2:
            layers.append(_DenseArrays(name, array))
        else:
            _add_vector(
                "from_keras", layers, name, array, to_slope=bool(layers) and layers[-1].bias is not None
            )
    activations = (activation, code_activation, output_activation)
    return _imported("from_keras", layers, activations, code_layers, parameters)


def from_torch(
    module: Any,
    *,
    activation: str,
    code_activation: str,
    output_activation: str,
    code_layers: int | None = None,
    **parameters: Any,
) -> AutoEncoder:
    """Return an autoencoder with the weights of a dense PyTorch module.

    Parameters
    ----------
    module : object with state_dict(), or mapping of str to array-like
        A module whose Linear layers, in the order of its state, lead from input to reconstruction; or that
        state: "....weight" of shape (outputs, inputs) and "....bias" if there is one for each layer, and
        "....weight" of shape (outputs,) or (1,) for a PReLU behind it. On the CPU, and not in bfloat16.
    activation, code_activation, output_activation : str
        Of the hidden layers, the code and the output, which no array tells. PyTorch's GELU() is our "gelu"
        (not its approximation), its LeakyReLU() our "leaky_relu", ELU() our "elu", Softplus() our "softplus".
    code_layers, **parameters
        As in `from_keras`.

    Returns
    -------
    AutoEncoder
        As from `from_keras`.

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As by `from_keras`.
    """
    state = module.state_dict() if hasattr(module, "state_dict") else module
    if not isinstance(state, Mapping):
        raise InvalidDataError(
            "from_torch: module must have state_dict(), or be a mapping of names to arrays as that returns. "
            f"Got {type(module).__name__}."
        )
    layers: list[_DenseArrays] = []
    for key, value in state.items():
        name = repr(key)
        array = _array("from_torch", name, value)
        kind = str(key).rpartition(".")[2]
        if kind not in ("weight", "bias"):
            raise _misfit("from_torch", name, array, "a weight or a bias of a Linear layer")
        if kind == "weight" and array.ndim == 2:
            layers.append(_DenseArrays(name, array.T))
        else:
            _add_vector("from_torch", layers, name, array, to_slope=kind == "weight")
    activations = (activation, code_activation, output_activation)
    return _imported("from_torch", layers, activations, code_layers, parameters)


class _DenseArrays:
    """The arrays of a dense layer: a kernel, (inputs, outputs); bias and PReLU's slopes if there are any."""

    def __init__(self, name: str, kernel: AnyArray) -> None:
        self.name = name  # of the kernel, to speak of the layer by
        self.kernel = kernel
        self.bias: AnyArray | None = None
        self.slope: AnyArray | None = None

    @property
    def outputs(self) -> int:
        return int(self.kernel.shape[1])


def _add_vector(
    owner: str, layers: list[_DenseArrays], name: str, array: AnyArray, *, to_slope: bool
) -> None:
    """Give the last layer its bias or its slopes."""
    if not layers:
        raise _misfit(owner, name, array, "the first, and a dense layer's kernel")
    layer = layers[-1]
    if (layer.slope if to_slope else layer.bias) is not None:
        raise _misfit(
            owner, name, array, "a dense layer's kernel: normalization and the like have no place here"
        )
    if array.shape != (layer.outputs,) and not (to_slope and array.shape == (1,)):
        what = "slopes of a PReLU" if to_slope else "a bias"
        raise _misfit(owner, name, array, f"{what} for {layer.name}, of shape ({layer.outputs},)")
    if to_slope:
        layer.slope = array
    else:
        layer.bias = array


def _array(owner: str, name: str, value: Any) -> AnyArray:
    try:
        array = np.asarray(value)
    # What an object's own __array__ raises is up to it: torch, for one, raises RuntimeError and TypeError.
    except (ValueError, TypeError, RuntimeError) as error:
        found = type(value).__name__
        raise InvalidDataError(
            f"{owner}: {name} must be an array. Got {found}, which says: {error}"
        ) from error
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"{owner}: {name} must hold real numbers. Got dtype {array.dtype}.")
    return array


def _misfit(owner: str, name: str, array: AnyArray, rule: str) -> InvalidDataError:
    return InvalidDataError(f"{owner}: {name} must be {rule}. Got shape {array.shape}.")


def _imported(
    owner: str,
    layers: list[_DenseArrays],
    activations: tuple[str, str, str],
    code_layers: int | None,
    parameters: dict[str, Any],
) -> AutoEncoder:
    """Return the autoencoder of these layers."""
    _check_chain(owner, layers)
    for name in _FOUND:
        if name in parameters:
            raise InvalidParameterError(
                f"{owner}: {name} must not be given, for the arrays tell it. Got {parameters[name]!r}."
            )
    widths = tuple(layer.outputs for layer in layers)
    count = _code_layers(owner, widths, code_layers)
    encoder, decoder = widths[: count - 1], widths[count:-1]
    ae = AutoEncoder(
        widths[count - 1],
        hidden_layer_sizes=encoder,
        decoder_layer_sizes=None if decoder == encoder[::-1] else decoder,
        activation=activations[0],
        code_activation=activations[1],
        output_activation=activations[2],
        **parameters,
    )
    p = checked_parameters(owner, ae.get_params())
    check_combinations(owner, p)
    plan = AutoEncoder._network(layers[0].kernel.shape[0], p)
    weights: dict[str, AnyArray] = {}
    dense = (spec for spec in plan.layers if isinstance(spec, DenseLayer))
    for spec, layer in zip(dense, layers, strict=True):
        if (layer.slope is not None) != (spec.activation == "prelu"):
            rule = "have the slopes of a PReLU, after its bias" if layer.slope is None else "have no slopes"
            raise InvalidDataError(
                f"{owner}: the layer of {layer.name}, whose activation is {spec.activation!r}, must {rule}."
            )
        weights[f"{spec.name}.kernel"] = layer.kernel
        weights[f"{spec.name}.bias"] = np.zeros(spec.outputs) if layer.bias is None else layer.bias
        if layer.slope is not None:
            weights[f"{spec.name}.slope"] = np.broadcast_to(layer.slope, spec.outputs)
    model = _core.Model(plan.core_layers(), plan.code_layers, 0)
    fitting = Fitting(
        p.loss,
        None,
        None,
        dict.fromkeys(("loss", "reconstruction_loss", "learning_rate", "seconds"), ()),
        "imported",
    )
    ae._fitted = Fitted(plan, model, fitting).with_weights(checked_weights(owner, weights, plan))
    return ae


def _check_chain(owner: str, layers: list[_DenseArrays]) -> None:
    if len(layers) < 2:
        raise InvalidDataError(
            f"{owner}: there must be at least two dense layers, one to the code and one back. "
            f"Got {len(layers)}."
        )
    for layer, following in itertools.pairwise((*layers, layers[0])):
        outputs, inputs = layer.outputs, following.kernel.shape[0]
        if outputs != inputs or inputs == 0:
            raise InvalidDataError(
                f"{owner}: {following.name} must have as many inputs as {layer.name} has outputs, {outputs}"
                f"{', for an autoencoder ends as it begins' if following is layers[0] else ''}. Got {inputs}."
            )


def _code_layers(owner: str, widths: tuple[int, ...], given: int | None) -> int:
    if given is not None:
        count: int = checked(owner, "code_layers", Integer(1), given)
        if count >= len(widths):
            raise broken(owner, "code_layers", f"fewer than the {len(widths)} layers there are", given)
        return count
    narrowest = min(widths[:-1])
    if widths[:-1].count(narrowest) > 1:
        raise broken(
            owner,
            "code_layers",
            f"given, because several of the layers' widths, {widths}, are narrowest",
            None,
        )
    return widths.index(narrowest) + 1
