"""Denoising autoencoders: the core's noise and gradients against the oracle, and the estimator."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
import reference
import reference_noise
from core_helpers import (
    FUSED_ISAS,
    ISAS,
    Architecture,
    Float32Array,
    completed_weights,
    data,
    digest,
    forced_isa,
    hourglass,
    relative_error,
    trainer,
)
from diabolo import DenoisingAutoEncoder, InvalidDataError, InvalidParameterError, _core

SEED = 3  # of core_helpers.trainer
KINDS = {"gaussian": 0.3, "masking": 0.4, "salt_and_pepper": 0.2}


def noisy_model(
    architecture: Architecture, isa: str | None, kind: str, weights: tuple[float, float] = (1.0, 1.0)
) -> _core.Model:
    dense = architecture.trained_looking_model(isa)
    noise = _core.Corruption(architecture.features, kind, KINDS[kind], *weights)
    with forced_isa(isa):
        model = _core.Model([noise, *architecture.specs()], architecture.code_layers + 1, 1)
    return model.with_weights(dense.get_weights())


def corrupted(x: Float32Array, kind: str, step: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    word = reference_noise.words(*x.shape, SEED, reference_noise.TRAINING, step)
    return reference_noise.corrupted(x, kind, KINDS[kind], word)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        *((kind, (1.0, 1.0)) for kind in KINDS),
        ("masking", (1.0, 0.25)),
        ("salt_and_pepper", (1.0, 0.25)),
        ("masking", (2.0, 0.0)),
    ],
)
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_crossentropy"])
@pytest.mark.parametrize("isa", ISAS)
def test_gradients(isa: str, kind: str, loss: str, weights: tuple[float, float]) -> None:
    """Over three slabs of a batch, whose rows keep the noise of their places in it."""
    architecture = hourglass([70, 33, 5], "tanh", loss)
    model = noisy_model(architecture, isa, kind, weights)
    x = data(600, 70)
    got_loss, got_reconstruction, gradients = trainer(model, x, loss=loss, batch_size=600, l2=1e-3).gradients(
        _core.Rows(x)
    )
    noisy, where = corrupted(x, kind)
    expected = reference.loss_and_gradients(
        architecture.layers,
        model.get_weights(),
        noisy,
        x,
        loss,
        l2=1e-3,
        element_weights=np.where(where, *weights),
    )
    assert got_loss == pytest.approx(expected.loss, rel=1e-6)
    assert got_reconstruction == pytest.approx(expected.reconstruction_loss, rel=1e-6)
    # Where an error is near 0 or 1, float32 may be on the other branch of mae or huber.
    tolerance = 5e-6 if loss in ("mse", "binary_crossentropy") else 1e-3
    for name, gradient in gradients.items():
        assert relative_error(gradient, expected.gradients[name]) < tolerance, name


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_fresh_at_every_step(kind: str) -> None:
    """Two epochs of three steps, each with noise of its own; the target is the clean row."""
    architecture = hourglass([40, 12], "tanh")
    model = noisy_model(architecture, None, kind)
    x = data(300, 40)
    rule = _core.UpdateRule.sgd(0.0, False)
    of = trainer(model, x, batch_size=100, epochs=2, rule=rule, learning_rate=0.5, shuffle="none")
    for _ in range(2):
        assert of.run_epoch(None).outcome == "completed"
    clean = np.split(x, 3) * 2
    batches = [(corrupted(rows, kind, step)[0], rows) for step, rows in enumerate(clean)]
    expected, _ = reference.train(
        architecture.layers, model.get_weights(), batches, "mse", reference.SGD(), 0.5
    )
    for name, weight in completed_weights(of).items():
        assert relative_error(weight, expected[name]) < 1e-5, name


@pytest.mark.parametrize("batch_size", [100, 600])
@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_for_any_number_of_threads(kind: str, batch_size: int) -> None:
    architecture = Architecture([137, 250, 33, 250, 137], ["gelu", "prelu", "tanh", "sigmoid"])
    x = data(701, 137)
    digests = {}
    for isa in ISAS:
        model = noisy_model(architecture, isa, kind, (1.0, 1.0) if kind == "gaussian" else (1.0, 0.5))
        for threads in (1, 2, 3, 7):
            of = trainer(model, x, threads=threads, batch_size=batch_size, loss="binary_crossentropy")
            assert of.run_epoch(None).outcome == "completed"
            digests[isa, threads] = digest(completed_weights(of))
        assert len({digests[isa, threads] for threads in (1, 2, 3, 7)}) == 1, isa
    assert len({digests[isa, 1] for isa in FUSED_ISAS}) <= 1


def test_no_noise_is_the_plain_network() -> None:
    """To the last bit; and inference never has any."""
    x = data(300, 20)
    settings: dict[str, Any] = {"hidden_layer_sizes": (9,), "epochs": 3, "batch_size": 64, "random_state": 0}
    plain = diabolo.AutoEncoder(4, **settings).fit(x)
    for changes in ({"noise_fraction": 0.0}, {"corruption": "gaussian", "noise_scale": 0.0}):
        noisy = DenoisingAutoEncoder(4, **settings, **changes).fit(x)
        assert digest(noisy.get_weights()) == digest(plain.get_weights())
        assert noisy.history_["loss"] == plain.history_["loss"]
        np.testing.assert_array_equal(noisy.transform(x), plain.transform(x))
    noisy = DenoisingAutoEncoder(4, **settings).fit(x)
    plain.set_weights(noisy.get_weights())
    np.testing.assert_array_equal(noisy.transform(x), plain.transform(x))
    np.testing.assert_array_equal(noisy.denoise(x), plain.reconstruct(x))
    np.testing.assert_array_equal(noisy.score_samples(x), plain.score_samples(x))
    np.testing.assert_array_equal(noisy.inverse_transform(x[:, :4]), plain.inverse_transform(x[:, :4]))


def test_it_removes_noise() -> None:
    """Rows of a plane in 20 dimensions: the network finds the way back to it better than the identity."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 3)) @ random.normal(size=(3, 20))
    noisy = x + random.normal(size=x.shape)
    dae = DenoisingAutoEncoder(
        64, corruption="gaussian", noise_scale=1.0, activation="tanh", epochs=60, random_state=0
    ).fit(x)
    assert np.mean((dae.denoise(noisy) - x) ** 2) < 0.3 * np.mean((noisy - x) ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_pickled_and_loaded(kind: str, tmp_path: Path) -> None:
    x = data(100, 12)
    dae = DenoisingAutoEncoder(
        5, corruption=kind, epochs=2, tied_weights=True, scale="minmax", validation_fraction=0.2
    ).fit(x)
    dae.save(tmp_path / "dae.safetensors")
    for copy in (diabolo.load(tmp_path / "dae.safetensors"), pickle.loads(pickle.dumps(dae))):
        assert isinstance(copy, DenoisingAutoEncoder)
        assert copy.get_params() == dae.get_params()
        assert copy.history_ == dae.history_
        np.testing.assert_array_equal(copy.denoise(x), dae.denoise(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corruption": "rain"}, "corruption must be one of 'gaussian', 'masking', 'salt_and_pepper'"),
        ({"noise_fraction": 1.0}, r"noise_fraction must be a number in \[0, 1\). Got 1.0"),
        ({"noise_fraction": -0.1}, r"noise_fraction must be a number in \[0, 1\). Got -0.1"),
        ({"noise_scale": -1.0}, "noise_scale must be a finite number >= 0. Got -1.0"),
        ({"clean_weight": -1.0}, "clean_weight must be a finite number >= 0. Got -1.0"),
        ({"clean_weight": 0.0, "corrupted_weight": 0}, "corrupted_weight must be > 0 when clean_weight=0"),
        (
            {"corruption": "gaussian", "clean_weight": 0.5},
            "clean_weight must be 1 when corruption='gaussian'",
        ),
        (
            {"corruption": "salt_and_pepper", "scale": "standard"},
            "scale must be 'minmax' or None when corruption='salt_and_pepper'",
        ),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"DenoisingAutoEncoder: {message}"):
        DenoisingAutoEncoder(2, **changes).fit(data(10, 3))


def test_salt_and_pepper_wants_the_unit_interval() -> None:
    with pytest.raises(InvalidDataError, match=r"X must lie in \[0, 1\] when corruption='salt_and_pepper'"):
        DenoisingAutoEncoder(2, corruption="salt_and_pepper").fit(2.0 * data(10, 3))
    DenoisingAutoEncoder(2, corruption="salt_and_pepper", scale="minmax", epochs=1).fit(2.0 * data(10, 3))
