"""`from_keras` and `from_torch`, of small stand-ins and, where installed, the libraries' own models."""

import itertools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from diabolo import AutoEncoder, InvalidDataError, InvalidParameterError, from_keras, from_torch
from exported_models import assert_near

WIDTHS = (6, 5, 2, 4, 6)
HOW = {"activation": "tanh", "code_activation": "identity", "output_activation": "sigmoid"}
X = np.random.default_rng(1).random((20, 6)).astype(np.float32)


def kernels(widths: tuple[int, ...] = WIDTHS) -> list[npt.NDArray[np.float32]]:
    random = np.random.default_rng(2)
    return [random.normal(size=(a, b)).astype(np.float32) for a, b in itertools.pairwise(widths)]


def biases(widths: tuple[int, ...] = WIDTHS) -> list[npt.NDArray[np.float32]]:
    random = np.random.default_rng(3)
    return [random.normal(size=b).astype(np.float32) for b in widths[1:]]


class FakeKeras:
    """It has this method and nothing else."""

    def __init__(self, arrays: list[Any]) -> None:
        self.arrays = arrays

    def get_weights(self) -> list[Any]:
        return self.arrays


class FakeTorch:
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state


def keras_arrays() -> list[Any]:
    return [array for pair in zip(kernels(), biases(), strict=True) for array in pair]


def torch_state() -> dict[str, Any]:
    state: dict[str, Any] = {}
    for index, (kernel, bias) in enumerate(zip(kernels(), biases(), strict=True)):
        state[f"net.{2 * index}.weight"] = kernel.T
        state[f"net.{2 * index}.bias"] = bias
    return state


def expected_codes(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    k, b = kernels(), biases()
    return np.tanh(x.astype(np.float64) @ k[0] + b[0]) @ k[1] + b[1]


def expected_output(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    k, b = kernels(), biases()
    return 1 / (1 + np.exp(-(np.tanh(expected_codes(x) @ k[2] + b[2]) @ k[3] + b[3])))


SOURCES: dict[str, Callable[..., AutoEncoder]] = {
    "keras model": lambda **how: from_keras(FakeKeras(keras_arrays()), **how),
    "keras arrays": lambda **how: from_keras(keras_arrays(), **how),
    "keras lists": lambda **how: from_keras([array.tolist() for array in keras_arrays()], **how),
    "torch module": lambda **how: from_torch(FakeTorch(torch_state()), **how),
    "torch state": lambda **how: from_torch(torch_state(), **how),
}


@pytest.mark.parametrize("source", SOURCES)
def test_it_computes_what_they_did(source: str, tmp_path: Any) -> None:
    ae = SOURCES[source](**HOW, loss="mae", random_state=0, epochs=2)
    assert_near(ae.transform(X), expected_codes(X))
    assert_near(ae.reconstruct(X), expected_output(X))
    assert repr(ae) == (
        "AutoEncoder(n_components=2, hidden_layer_sizes=(5,), decoder_layer_sizes=(4,), activation='tanh', "
        "epochs=2, random_state=0, output_activation='sigmoid', loss='mae')"
    )
    assert (ae.n_iter_, ae.stop_reason_, ae.n_features_in_) == (0, "imported", 6)
    assert ae.history_ == {"loss": [], "reconstruction_loss": [], "learning_rate": [], "seconds": []}

    ae.save(tmp_path / "m")
    loaded = diabolo.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.transform(X), ae.transform(X))
    assert loaded.stop_reason_ == "imported"
    assert ae.fit(X).n_iter_ == 2


def test_a_mirrored_decoder_without_biases() -> None:
    widths = (6, 5, 2, 5, 6)
    ae = from_torch({f"{i}.weight": kernel.T for i, kernel in enumerate(kernels(widths))}, **HOW)
    assert ae.decoder_layer_sizes is None
    assert not ae.get_weights()["decoder.1.bias"].any()
    assert ae.reconstruct(X).shape == (20, 6)


def test_the_code_may_be_named() -> None:
    widths = (6, 3, 3, 6)
    with pytest.raises(InvalidParameterError, match=r"code_layers must be given, because .*\(3, 3, 6\)"):
        from_keras(kernels(widths), **HOW)
    assert from_keras(kernels(widths), **HOW, code_layers=1).hidden_layer_sizes == ()
    assert from_keras(kernels(widths), **HOW, code_layers=2).hidden_layer_sizes == (3,)
    assert from_keras(kernels((6, 9, 6)), **HOW).n_components == 9
    for wrong in (0, 3, 1.0):
        with pytest.raises(InvalidParameterError, match="code_layers must be"):
            from_keras(kernels(widths), **HOW, code_layers=wrong)  # type: ignore[arg-type]


def test_slopes() -> None:
    k, b = kernels((6, 4, 6)), biases((6, 4, 6))
    how = {"activation": "relu", "code_activation": "prelu", "output_activation": "identity"}
    slopes = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    z = X @ k[0] + b[0]
    keras = from_keras([k[0], b[0], slopes, k[1], b[1]], **how)
    assert_near(keras.transform(X), np.where(z > 0, z, slopes * z))
    for shape in ((1,), (4,)):
        state = {"0.weight": k[0].T, "0.bias": b[0], "1.weight": slopes[: shape[0]], "2.weight": k[1].T}
        torch = from_torch(state, **how)
        assert_near(torch.transform(X), np.where(z > 0, z, slopes[: shape[0]] * z))
    without_bias = from_torch({"0.weight": k[0].T, "1.weight": slopes, "2.weight": k[1].T}, **how)
    assert not without_bias.get_weights()["encoder.0.bias"].any()
    with pytest.raises(InvalidDataError, match=r"layer of array 0, .* 'prelu', must have the slopes"):
        from_keras([k[0], slopes, k[1], b[1]], **how)
    with pytest.raises(InvalidDataError, match=r"layer of '0\.weight', .* 'relu', must have no slopes"):
        from_torch(
            {"0.weight": k[0].T, "1.weight": slopes, "2.weight": k[1].T}, **{**how, "code_activation": "relu"}
        )


# ---- Refused ----


class Stubborn:
    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


A = np.ones((6, 2), np.float32)
B = np.ones((2, 6), np.float32)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], r"^from_keras: there must be at least two dense layers, .*\. Got 0\.$"),
        ([A], "Got 1"),
        ([A, A], r"array 1 must have as many inputs as array 0 has outputs, 2\. Got 6\.$"),
        ([A, np.ones((2, 5))], r"array 0 must have .* outputs, 5, for an autoencoder ends as it begins"),
        ([np.ones(2), A, B], r"array 0 must be the first, and a dense layer's kernel\. Got shape \(2,\)\.$"),
        ([A, np.ones(3), B], r"array 1 must be a bias for array 0, of shape \(2,\)\. Got shape \(3,\)\.$"),
        ([A, np.ones(2), np.ones(2), np.ones(2), B], "array 3 must be a dense layer's kernel: normalization"),
        ([A, np.ones((3, 3, 1, 1)), B], "array 1 must be a bias"),
        ([A * np.nan, B], r"weights\['encoder\.0\.kernel'\] must be finite"),
        ([A.astype(np.float64) * 1e39, B.astype(np.float64) * 1e39], "must be finite"),
        ([A.astype(complex), B], "array 0 must hold real numbers. Got dtype complex128"),
        ([np.ones((0, 2)), np.ones((2, 0))], "array 0 must have"),
        ([Stubborn(), B], "array 0 must be an array. Got Stubborn, which says: can't convert cuda:0"),
        ("model.keras", r"must have get_weights\(\), or be a list of arrays as that returns\. Got str\.$"),
        (3, "Got int"),
    ],
    ids=range(15),
)
def test_arrays_that_do_not_fit(source: Any, message: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(InvalidDataError, match=message):
        from_keras(source, **HOW)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"bn.running_mean": np.ones(2)}, r"^from_torch: 'bn\.running_mean' must be a weight or a bias of a"),
        ({"0.bias": np.ones(2)}, r"'0\.bias' must be the first, and a dense layer's kernel"),
        ({"0.weight": A.T, "0.bias": np.ones(2), "1.bias": np.ones(2)}, r"'1\.bias' must be a dense layer's"),
        ({"conv.weight": np.ones((3, 1, 2, 2))}, r"'conv\.weight' must be the first"),
        ([A, B], r"must have state_dict\(\), or be a mapping .*\. Got list\.$"),
    ],
    ids=range(5),
)
def test_states_that_do_not_fit(state: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        from_torch(state, **HOW)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"n_components": 2},
            r"^from_keras: n_components must not be given, for the arrays tell it\. Got 2\.$",
        ),
        ({"scale": "minmax"}, "scale must not be given"),
        ({"loss": "l3"}, "from_keras: loss must be one of"),
        ({"loss": "binary_crossentropy", "output_activation": "tanh"}, "output_activation must be"),
        ({"activation": "sin"}, "activation must be one of"),
    ],
    ids=range(5),
)
def test_parameters_that_do_not_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        from_keras(keras_arrays(), **{**HOW, **parameters})
    with pytest.raises(TypeError, match="activation"):
        from_keras(keras_arrays())  # type: ignore[call-arg]


# ---- The libraries themselves ----


def test_torch_itself() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    nn = torch.nn
    torch.manual_seed(0)
    cases = {
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "elu": nn.ELU,
        "silu": nn.SiLU,
        "leaky_relu": nn.LeakyReLU,
        "softplus": nn.Softplus,
        "prelu": lambda: nn.PReLU(init=0.1),
    }
    for name, layer in cases.items():
        encoder = nn.Sequential(nn.Linear(6, 5), layer(), nn.Linear(5, 2, bias=False), nn.Tanh())
        decoder = nn.Sequential(nn.Linear(2, 4), layer(), nn.Linear(4, 6), nn.Sigmoid())
        module = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        ae = from_torch(module, activation=name, code_activation="tanh", output_activation="sigmoid")
        with torch.no_grad():
            codes = encoder(torch.from_numpy(X))
            assert_near(ae.transform(X), codes.numpy())
            assert_near(ae.reconstruct(X), decoder(codes).numpy())
    with pytest.raises(InvalidDataError, match=r"'0\.weight' must be an array\. Got Tensor, which says"):
        from_torch(nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 6)).to(torch.bfloat16), **HOW)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras's own
def test_keras_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    if "KERAS_BACKEND" not in os.environ:
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        pytest.importorskip("torch", reason="keras is tried on torch, which is not installed")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layers = keras.layers
    encoder = keras.Sequential([layers.Input((6,)), layers.Dense(5), layers.PReLU(), layers.Dense(2, "tanh")])
    decoder = keras.Sequential([layers.Input((2,)), layers.Dense(4), layers.PReLU(), layers.Dense(6)])
    model = keras.Sequential([encoder, decoder])
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=a.shape) / math.sqrt(a.size) for a in model.get_weights()])
    ae = from_keras(model, activation="prelu", code_activation="tanh", output_activation="identity")
    assert_near(ae.transform(X), np.asarray(encoder.predict(X, verbose=0)))
    assert_near(ae.reconstruct(X), np.asarray(model.predict(X, verbose=0)))
