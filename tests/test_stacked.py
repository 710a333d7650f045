"""StackedAutoEncoder: what its layers learn one by one, and the network that begins where they ended."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from core_helpers import Float32Array, data, digest
from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    InvalidDataError,
    InvalidParameterError,
    SparseAutoEncoder,
    StackedAutoEncoder,
    TrainingDivergedError,
    _core,
)
from diabolo._pretraining import _SEED_STEP

WIDTHS = (20, 12, 7, 3)
SETTINGS: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (12, 7),
    "pretraining_epochs": (3, 2, 4),
    "batch_size": 64,
    "random_state": 5,
}


def rows(seed: int = 0) -> Float32Array:
    return data(300, 20, seed)


def layer_seed(index: int) -> int:
    return (5 + (index + 1) * _SEED_STEP) % 2**63


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["autoencoder", "denoising", "sparse", "contractive", "mixed"])
def test_it_begins_where_the_layers_ended(kind: str, tied: bool) -> None:
    """Layers trained by hand, each on the codes of the last, composed: to the last bit the network."""
    kinds = [kind] * 3 if kind != "mixed" else ["sparse", "denoising", "autoencoder"]
    own: dict[str, dict[str, Any]] = {
        "autoencoder": {"l2": 1e-3},
        "denoising": {"corruption": "gaussian", "noise_scale": 0.3, "learning_rate": 3e-3},
        "sparse": {"sparsity_weight": 0.01},
        "contractive": {"contraction_weight": 0.01},
    }
    stacked = StackedAutoEncoder(
        **SETTINGS,
        activation="gelu",
        code_activation="tanh",
        scale="standard",
        tied_weights=tied,
        pretraining=kinds if kind == "mixed" else kind,
        pretraining_parameters=[own[name] for name in kinds] if kind == "mixed" else own[kind],
        epochs=0,
    ).fit(rows())
    classes = {
        "autoencoder": AutoEncoder,
        "denoising": DenoisingAutoEncoder,
        "sparse": SparseAutoEncoder,
        "contractive": ContractiveAutoEncoder,
    }
    layers: list[AutoEncoder] = []
    below = rows()
    for index, name in enumerate(kinds):
        layer = classes[name](
            WIDTHS[index + 1],
            code_activation="tanh" if index == 2 else "gelu",
            output_activation="identity" if index == 0 else "gelu",
            scale="standard" if index == 0 else None,
            tied_weights=tied,
            epochs=SETTINGS["pretraining_epochs"][index],
            batch_size=64,
            random_state=layer_seed(index),
            **own[name],
        ).fit(below)
        layers.append(layer)
        below = layer.transform(below)
    test = rows(1)
    codes = test
    for layer in layers:
        codes = layer.transform(codes)
    restored = codes
    for layer in reversed(layers):
        restored = layer.inverse_transform(restored)
    np.testing.assert_array_equal(stacked.transform(test), codes)
    np.testing.assert_array_equal(stacked.reconstruct(test), restored)
    assert stacked.n_iter_ == 0
    assert stacked.history_ == {"loss": [], "reconstruction_loss": [], "learning_rate": [], "seconds": []}
    got = [history["loss"] for history in stacked.pretraining_history_]
    assert got == [layer.history_["loss"] for layer in layers]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("scale", [None, "standard"])
def test_it_begins_where_the_machines_ended(scale: Any, tied: bool) -> None:
    """The expectations that machine after machine passes on, in float64, up and down."""
    binary = scale is None
    stacked = StackedAutoEncoder(
        **SETTINGS,
        activation="sigmoid",
        loss="binary_crossentropy" if binary else "mse",
        scale=scale,
        tied_weights=tied,
        pretraining="rbm",
        pretraining_parameters={"learning_rate": 0.05, "batch_size": 50, "steps": 2},
        epochs=0,
    ).fit(rows())
    w = stacked.get_weights()
    kernels = [w[f"encoder.{i}.kernel"].astype(np.float64) for i in range(3)]
    for i, kernel in enumerate(kernels):
        assert kernel.std() > 0.005
        if not tied:
            np.testing.assert_array_equal(w[f"decoder.{2 - i}.kernel"], w[f"encoder.{i}.kernel"].T)

    def sigmoid(z: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-z))

    x = rows(1).astype(np.float64)
    if not binary:
        x = (x - rows().mean(axis=0, dtype=np.float64)) / rows().std(axis=0, dtype=np.float64)
    for i, kernel in enumerate(kernels):
        x = x @ kernel + w[f"encoder.{i}.bias"]
        x = sigmoid(x) if i < 2 else x
    np.testing.assert_allclose(stacked.transform(rows(1)), x, rtol=1e-5, atol=1e-6)
    for i, kernel in reversed(list(enumerate(kernels))):
        x = x @ kernel.T + w[f"decoder.{2 - i}.bias"]
        x = sigmoid(x) if i > 0 or binary else x
    if not binary:
        x = x * rows().std(axis=0, dtype=np.float64) + rows().mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(stacked.reconstruct(rows(1)), x, rtol=1e-5, atol=1e-6)
    assert [len(history["loss"]) for history in stacked.pretraining_history_] == [3, 2, 4]


@pytest.mark.parametrize("kind", ["denoising", "rbm"])
def test_a_single_layer_is_a_stack(kind: str) -> None:
    stacked = StackedAutoEncoder(
        4, code_activation="sigmoid", activation="sigmoid", pretraining=kind, epochs=0
    )
    assert stacked.fit(rows()).transform(rows()).shape == (300, 4)
    assert len(stacked.pretraining_history_) == 1


def test_fine_tuning_begins_there() -> None:
    """One step of plain descent from the pretrained weights, by a trainer of its own."""
    settings = {**SETTINGS, "optimizer": "sgd", "shuffle": False, "batch_size": 300}
    pretrained = StackedAutoEncoder(**settings, epochs=0).fit(rows())
    tuned = StackedAutoEncoder(**settings, epochs=1).fit(rows())
    plain = AutoEncoder(
        3, hidden_layer_sizes=(12, 7), optimizer="sgd", shuffle=False, batch_size=300, epochs=1
    )
    plain.fit(rows()).set_weights(pretrained.get_weights())
    plain.set_params(warm_start=True).fit(rows())
    assert digest(plain.get_weights()) == digest(tuned.get_weights())


def test_pretraining_helps_a_deep_network_of_sigmoids() -> None:
    """What it was invented for: from random weights such a network hardly learns."""
    random = np.random.default_rng(0)
    x = 1 / (1 + np.exp(-2 * random.normal(size=(2000, 3)) @ random.normal(size=(3, 30))))
    settings: dict[str, Any] = {
        "n_components": 3,
        "hidden_layer_sizes": (40, 20, 10),
        "activation": "sigmoid",
        "loss": "binary_crossentropy",
        "optimizer": "sgd",
        "learning_rate": 1.0,
        "epochs": 20,
        "batch_size": 100,
        "random_state": 0,
    }
    plain = AutoEncoder(**settings).fit(x)
    stacked = StackedAutoEncoder(**settings, pretraining="rbm", pretraining_epochs=30).fit(x)
    assert stacked.score(x) > 0.5 * plain.score(x)


@pytest.mark.parametrize("kind", ["denoising", "rbm"])
def test_same_bits_for_any_number_of_threads(kind: str) -> None:
    x = data(700, 137)
    digests = {
        digest(
            StackedAutoEncoder(
                5,
                hidden_layer_sizes=(250, 33),
                activation="sigmoid",
                loss="binary_crossentropy",
                pretraining=kind,
                pretraining_epochs=2,
                epochs=1,
                random_state=0,
                n_jobs=jobs,
            )
            .fit(x)
            .get_weights()
        )
        for jobs in (1, 2, 3)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["denoising", "rbm"])
def test_saved_pickled_loaded_and_resumed(kind: str, tmp_path: Path) -> None:
    own = {"noise_fraction": 0.5} if kind == "denoising" else {"steps": 2}
    stacked = StackedAutoEncoder(
        **SETTINGS,
        activation="sigmoid",
        loss="binary_crossentropy",
        epochs=4,
        pretraining=(kind, "autoencoder", kind),
        pretraining_parameters=(own, {}, own),
        checkpoint=tmp_path / "run.safetensors",
        checkpoint_every=2,
    )
    stacked.fit(rows())
    stacked.save(tmp_path / "sae.safetensors")
    for copy in (diabolo.load(tmp_path / "sae.safetensors"), pickle.loads(pickle.dumps(stacked))):
        assert isinstance(copy, StackedAutoEncoder)
        assert copy.pretraining_history_ == stacked.pretraining_history_
        assert copy.pretraining_parameters == stacked.pretraining_parameters
        np.testing.assert_array_equal(copy.reconstruct(rows(1)), stacked.reconstruct(rows(1)))
    # Half a run, without pretraining anew, to the same weights.
    weights = digest(stacked.get_weights())
    stopped: list[int] = []

    class Stop:
        def on_epoch_end(self, state: Any) -> bool:
            stopped.append(1)
            return len(stopped) == 2

    stacked.set_params(callbacks=[Stop()]).fit(rows())
    histories = stacked.pretraining_history_
    stacked.set_params(callbacks=None).fit(rows(), resume_from=tmp_path / "run.safetensors")
    assert digest(stacked.get_weights()) == weights
    assert stacked.pretraining_history_ == histories


def test_partial_fit_pretrains_first() -> None:
    stacked = StackedAutoEncoder(**SETTINGS, optimizer="sgd", shuffle=False).set_params(batch_size=300)
    once = stacked.partial_fit(rows()).get_weights()
    expected = StackedAutoEncoder(**{**SETTINGS, "batch_size": 300}, optimizer="sgd", shuffle=False, epochs=1)
    assert digest(once) == digest(expected.fit(rows()).get_weights())
    histories = stacked.pretraining_history_
    assert stacked.partial_fit(rows()).pretraining_history_ == histories
    assert stacked.n_iter_ == 2


@pytest.mark.parametrize("kind", ["autoencoder", "rbm"])
def test_weights_of_rows_count_in_every_layer(kind: str) -> None:
    """A row of weight 0 is not there; others count by their weight, also further up."""
    settings = {**SETTINGS, "activation": "sigmoid", "pretraining": kind, "shuffle": False, "epochs": 0}
    weights = np.where(np.arange(300) < 150, 1.0, 0.0)
    some = StackedAutoEncoder(**settings).fit(rows(), sample_weight=weights)
    alone = StackedAutoEncoder(**settings).fit(rows()[:150])
    assert digest(some.get_weights()) == digest(alone.get_weights())
    uneven = StackedAutoEncoder(**settings).fit(rows(), sample_weight=1.0 + weights)
    even = StackedAutoEncoder(**settings).fit(rows())
    for name, weight in uneven.get_weights().items():
        assert not np.array_equal(weight, even.get_weights()[name]), name


def test_validation_rows_are_not_pretrained_on() -> None:
    x = rows()
    settings = {**SETTINGS, "shuffle": False, "epochs": 0}
    held_out = StackedAutoEncoder(**settings, validation_fraction=0.5).fit(x)
    alone = StackedAutoEncoder(**settings).fit(x[:150])
    assert digest(held_out.get_weights()) == digest(alone.get_weights())


def test_early_stopping_keeps_the_best() -> None:
    stacked = StackedAutoEncoder(
        **SETTINGS, validation_fraction=0.2, early_stopping=True, patience=2, epochs=30, learning_rate=0.1
    ).fit(rows())
    assert stacked.stop_reason_ in ("early_stopping", "epochs")
    assert len(stacked.history_["val_loss"]) == stacked.n_iter_


def test_a_layer_that_diverges_says_which() -> None:
    stacked = StackedAutoEncoder(**SETTINGS)
    stacked.fit(rows())
    before = digest(stacked.get_weights())
    bad = [{}, {"optimizer": "sgd", "learning_rate": 1e30}, {}]
    stacked.set_params(pretraining_parameters=bad)
    with pytest.raises(
        TrainingDivergedError, match="StackedAutoEncoder: pretraining of layer 2: AutoEncoder"
    ):
        stacked.fit(rows())
    assert digest(stacked.get_weights()) == before


def test_codes_of_all_rows_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def available() -> int:
        calls.append(1)
        return 2**40 if len(calls) == 1 else 1000  # the network would fit

    monkeypatch.setattr(_core, "available_memory", available)
    with pytest.raises(
        MemoryError, match="hidden_layer_sizes must be small enough for the memory: pretraining"
    ):
        StackedAutoEncoder(**SETTINGS).fit(rows())


RBM: dict[str, Any] = {"pretraining": "rbm", "activation": "sigmoid"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretraining": "hope"}, "pretraining must be one of 'autoencoder', .* or a sequence of such"),
        ({"pretraining": ["rbm"]}, "pretraining must be for all layers, or of one entry for each of the 3"),
        ({"pretraining_epochs": 0}, "pretraining_epochs must be an int >= 1, or a sequence"),
        ({"pretraining_epochs": (1, 2)}, "pretraining_epochs must be for all layers, or of one entry"),
        ({"pretraining_parameters": 3}, "pretraining_parameters must be None or a mapping"),
        ({"pretraining_parameters": {"k": 3}}, "pretraining of layer 1: pretraining_parameters must be some"),
        ({"batch_norm": True}, "batch_norm must be False: layers are pretrained without it. Got True"),
        (
            {"missing": "mask", "pretraining": "contractive"},
            "pretraining of layer 1: ContractiveAutoEncoder: missing must be 'error': the Jacobian is",
        ),
        ({"epochs": -1}, "epochs must be an int >= 0. Got -1"),
        ({"decoder_layer_sizes": (9, 9)}, r"decoder_layer_sizes must be None or the mirror .*\(7, 12\)"),
        (
            {"pretraining": "denoising", "pretraining_parameters": {"noise_fraction": 1.5}},
            r"pretraining of layer 1: DenoisingAutoEncoder: noise_fraction must be a number in \[0, 1\)",
        ),
        (
            {"pretraining": "sparse", "pretraining_parameters": {"sparsity": "top_k"}},
            "pretraining of layer 1: sparsity must be 'l1' or 'kl'",
        ),
        (
            {"pretraining": "sparse", "pretraining_parameters": {"sparsity": "kl"}},
            "pretraining of layer 1: SparseAutoEncoder: code_activation must be 'auto' or 'sigmoid'",
        ),
        (
            {"pretraining": "rbm"},
            "pretraining of layer 1: activation must be 'sigmoid' when pretraining='rbm'",
        ),
        ({**RBM, "code_activation": "tanh"}, "code_activation must be 'sigmoid' or 'identity' when"),
        ({**RBM, "output_activation": "relu"}, "output_activation must be 'sigmoid' or 'identity' when"),
        (
            {**RBM, "pretraining_parameters": {"steps": 0}},
            "pretraining of layer 1: steps must be an int >= 1",
        ),
        (
            {**RBM, "pretraining_parameters": {"optimizer": "adam"}},
            "pretraining_parameters must be some of learning_rate, steps",
        ),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"^StackedAutoEncoder: (.*: )?{message}"):
        StackedAutoEncoder(**{**SETTINGS, **changes}).fit(rows())


def test_binary_units_want_the_unit_interval() -> None:
    stacked = StackedAutoEncoder(**SETTINGS, **RBM, output_activation="sigmoid", epochs=1)
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\] when pretraining='rbm'"):
        stacked.fit(2.0 * rows())
    stacked.set_params(scale="minmax").fit(2.0 * rows())
    salty = {"pretraining": "denoising", "pretraining_parameters": {"corruption": "salt_and_pepper"}}
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\] when corruption='salt_and_pepper'"):
        StackedAutoEncoder(**SETTINGS, **salty, epochs=1).fit(2.0 * rows())


def test_blocks_are_refused() -> None:
    with pytest.raises(TypeError, match="StackedAutoEncoder: fit_blocks must not be called"):
        StackedAutoEncoder(**SETTINGS).fit_blocks([rows()])


def test_warm_start_does_not_pretrain() -> None:
    stacked = StackedAutoEncoder(**SETTINGS, epochs=0).fit(rows())
    before = digest(stacked.get_weights())
    stacked.set_params(warm_start=True).fit(rows())
    assert digest(stacked.get_weights()) == before
    assert stacked.pretraining_history_ == []
