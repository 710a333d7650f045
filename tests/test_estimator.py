"""AutoEncoder in use: what methods return, fitting, scaling, weights."""

from typing import Any

import numpy as np
import pytest

import diabolo
from diabolo import Adam, AutoEncoder
from estimator_helpers import estimator, same_weights

# ---- What the methods return ----


def test_shapes_and_types(X: Any) -> None:
    ae = estimator()
    codes = ae.fit_transform(X, None)
    for array, shape in (
        (codes, (200, 2)),
        (ae.transform(X), (200, 2)),
        (ae.inverse_transform(codes), (200, 6)),
        (ae.reconstruct(X), (200, 6)),
        (ae.reconstruction_error(X), (200,)),
        (ae.reconstruction_error(X, metric="loss"), (200,)),
        (ae.reconstruction_error(X, per_feature=True), (200, 6)),
        (ae.score_samples(X), (200,)),
    ):
        assert (array.shape, array.dtype) == (shape, np.float32)
        assert array.flags.writeable
    assert type(ae.score(X, y=None)) is float


def test_the_parts_fit_together(X: Any) -> None:
    ae = estimator().fit(X)
    np.testing.assert_array_equal(ae.transform(X), ae.fit_transform(X))
    reconstructed = ae.reconstruct(X)
    np.testing.assert_allclose(ae.inverse_transform(ae.transform(X)), reconstructed, rtol=1e-5, atol=1e-6)
    squared = (reconstructed.astype(float) - X) ** 2
    np.testing.assert_allclose(ae.reconstruction_error(X, per_feature=True), squared, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(ae.reconstruction_error(X), squared.mean(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(ae.score_samples(X), -ae.reconstruction_error(X))
    assert ae.score(X) == pytest.approx(-squared.mean(), rel=1e-5)


def test_the_network_computes_what_its_weights_say(X: Any) -> None:
    ae = estimator(activation="tanh").fit(X)
    w = {name: weight.astype(float) for name, weight in ae.get_weights().items()}
    hidden = np.tanh(X @ w["encoder.0.kernel"] + w["encoder.0.bias"])
    codes = hidden @ w["encoder.1.kernel"] + w["encoder.1.bias"]
    np.testing.assert_allclose(ae.transform(X), codes, rtol=1e-4, atol=1e-5)
    hidden = np.tanh(codes @ w["decoder.0.kernel"] + w["decoder.0.bias"])
    expected = hidden @ w["decoder.1.kernel"] + w["decoder.1.bias"]
    np.testing.assert_allclose(ae.reconstruct(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_crossentropy"])
def test_metric_loss_is_the_training_loss(loss: str, X: Any) -> None:
    ae = estimator(loss=loss).fit(X)
    y, t = ae.reconstruct(X).astype(float), X.astype(float)
    d = np.abs(y - t)
    expected = {
        "mse": d**2,
        "mae": d,
        "huber": np.where(d <= 1, 0.5 * d**2, d - 0.5),
        "binary_crossentropy": -t * np.log(np.clip(y, 1e-30, 1)) - (1 - t) * np.log(np.clip(1 - y, 1e-30, 1)),
    }[loss].mean(axis=1)
    np.testing.assert_allclose(ae.reconstruction_error(X, metric="loss"), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ae.reconstruction_error(X), (d**2).mean(axis=1), rtol=1e-4, atol=1e-7)


def test_bad_arguments_of_reconstruction_error(X: Any) -> None:
    ae = estimator(loss="mae").fit(X)
    with pytest.raises(ValueError, match=r"AutoEncoder: metric must be one of 'mse', 'loss'\. Got 'mae'\."):
        ae.reconstruction_error(X, metric="mae")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric must be 'mse' when per_feature=True"):
        ae.reconstruction_error(X, metric="loss", per_feature=True)
    with pytest.raises(ValueError, match="per_feature must be True or False"):
        ae.reconstruction_error(X, per_feature=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        (
            {"hidden_layer_sizes": ()},
            {
                "encoder.0.kernel": (6, 2),
                "encoder.0.bias": (2,),
                "decoder.0.kernel": (2, 6),
                "decoder.0.bias": (6,),
            },
        ),
        (
            {"hidden_layer_sizes": (5, 4), "decoder_layer_sizes": (7,), "n_components": 9},
            {
                "encoder.0.kernel": (6, 5),
                "encoder.0.bias": (5,),
                "encoder.1.kernel": (5, 4),
                "encoder.1.bias": (4,),
                "encoder.2.kernel": (4, 9),
                "encoder.2.bias": (9,),
                "decoder.0.kernel": (9, 7),
                "decoder.0.bias": (7,),
                "decoder.1.kernel": (7, 6),
                "decoder.1.bias": (6,),
            },
        ),
        (
            {"activation": "prelu", "tied_weights": True},
            {
                "encoder.0.kernel": (6, 5),
                "encoder.0.bias": (5,),
                "encoder.0.slope": (5,),
                "encoder.1.kernel": (5, 2),
                "encoder.1.bias": (2,),
                "decoder.0.bias": (5,),
                "decoder.0.slope": (5,),
                "decoder.1.bias": (6,),
            },
        ),
    ],
)
def test_architecture(changes: Any, shapes: Any, X: Any) -> None:
    ae = estimator(**changes).fit(X)
    assert {name: weight.shape for name, weight in ae.get_weights().items()} == shapes
    assert ae._require_fitted().model.parameter_shapes() == shapes
    assert ae._require_fitted().architecture.parameter_shapes() == shapes


def test_tied_weights_are_transposed(X: Any) -> None:
    ae = estimator(tied_weights=True, activation="tanh").fit(X)
    w = {name: weight.astype(float) for name, weight in ae.get_weights().items()}
    codes = ae.transform(X).astype(float)
    hidden = np.tanh(codes @ w["encoder.1.kernel"].T + w["decoder.0.bias"])
    expected = hidden @ w["encoder.0.kernel"].T + w["decoder.1.bias"]
    np.testing.assert_allclose(ae.inverse_transform(codes), expected, rtol=1e-4, atol=1e-5)


ALL = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "prelu", "gelu", "silu", "softplus"]


@pytest.mark.parametrize("activation", ALL)
@pytest.mark.parametrize(
    "initializer", ["auto", "glorot_normal", "he_normal", "fan_in_uniform", "normal", "orthogonal"]
)
def test_every_activation_and_initializer_learns(activation: str, initializer: str, X: Any) -> None:
    ae = estimator(activation=activation, initializer=initializer, epochs=5, learning_rate=0.01).fit(X)
    losses = ae.history_["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_linear_autoencoder_spans_the_principal_subspace() -> None:
    random = np.random.default_rng(0)
    X = (
        random.normal(size=(500, 6))
        * [3.0, 2.0, 1.0, 0.3, 0.2, 0.1]
        @ np.linalg.qr(random.normal(size=(6, 6)))[0]
    )
    X -= X.mean(axis=0)
    ae = AutoEncoder(
        3,
        activation="identity",
        optimizer=Adam(),
        learning_rate=0.05,
        schedule="cosine",
        epochs=300,
        batch_size=50,
        random_state=0,
    ).fit(X)
    principal = np.linalg.svd(X, full_matrices=False)[2][:3]
    learned = np.linalg.qr(ae.get_weights()["decoder.0.kernel"].T.astype(float))[0]
    cosines = np.linalg.svd(principal @ learned)[1]
    assert cosines.min() > 0.99999
    best = ((X - X @ principal.T @ principal) ** 2).mean()
    assert -ae.score(X) == pytest.approx(best, rel=1e-3)


# ---- Fitting ----


@pytest.mark.parametrize("shuffle", [True, "blocks", False])
def test_same_seed_same_model_for_any_number_of_threads(shuffle: Any, X: Any) -> None:
    first = estimator(shuffle=shuffle, n_jobs=1).fit(X)
    for n_jobs in (2, 3, 7, 10**9, None, -1):
        assert same_weights(estimator(shuffle=shuffle, n_jobs=n_jobs).fit(X), first)
    assert not same_weights(estimator(shuffle=shuffle, random_state=4).fit(X), first)


def test_random_states(X: Any) -> None:
    assert same_weights(estimator(random_state=np.int64(3)).fit(X), estimator().fit(X))
    assert not same_weights(estimator(random_state=None).fit(X), estimator(random_state=None).fit(X))
    assert estimator(random_state=2**63 - 1).fit(X).n_iter_ == 3
    for make in (np.random.default_rng, np.random.RandomState):
        one, other = make(0), make(0)
        ae = estimator(random_state=one).fit(X)
        assert same_weights(ae, estimator(random_state=other).fit(X))
        first = ae.get_weights()
        again = ae.fit(X).get_weights()  # the generator has moved on
        assert not np.array_equal(first["encoder.0.kernel"], again["encoder.0.kernel"])


def test_the_global_generator_is_neither_used_nor_moved(X: Any) -> None:
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    estimator(validation_fraction=0.1).fit(X)
    assert np.random.random() == expected  # noqa: NPY002


def test_history(X: Any) -> None:
    ae = estimator(l2=0.01, validation_fraction=0.25, epochs=4).fit(X)
    names = ["loss", "reconstruction_loss", "val_loss", "val_reconstruction_loss", "learning_rate", "seconds"]
    assert list(ae.history_) == names
    assert all(len(values) == 4 and np.isfinite(values).all() for values in ae.history_.values())
    assert ae.n_iter_ == 4
    assert ae.stop_reason_ == "epochs"
    assert all(a > b for a, b in zip(ae.history_["loss"], ae.history_["reconstruction_loss"], strict=True))
    kernels = [weight for name, weight in ae.get_weights().items() if name.endswith("kernel")]
    penalty = 0.01 * sum(float((kernel.astype(float) ** 2).sum()) for kernel in kernels)
    difference = ae.history_["val_loss"][-1] - ae.history_["val_reconstruction_loss"][-1]
    assert difference == pytest.approx(penalty, rel=1e-4)
    assert "val_loss" not in estimator().fit(X).history_


def test_history_is_a_copy(X: Any) -> None:
    ae = estimator().fit(X)
    ae.history_["loss"].clear()
    ae.history_.clear()
    assert len(ae.history_["loss"]) == ae.n_iter_ == 3


def test_validation_losses_are_those_of_the_rows_given(X: Any) -> None:
    ae = estimator(loss="mae", scale="standard").fit(X[:150], X_val=X[150:])
    expected = ae.reconstruction_error(X[150:], metric="loss").mean()
    assert ae.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-5)
    assert same_weights(ae, estimator(loss="mae", scale="standard").fit(X[:150]))


@pytest.mark.parametrize("shuffle", ["blocks", False])
def test_without_full_shuffling_the_last_rows_are_set_aside(shuffle: Any, X: Any) -> None:
    ae = estimator(shuffle=shuffle, validation_fraction=0.2).fit(X)
    same = estimator(shuffle=shuffle).fit(X[:160], X_val=X[160:])
    assert same_weights(ae, same)
    assert ae.history_["val_loss"] == same.history_["val_loss"]


@pytest.mark.parametrize(
    ("rows", "fraction", "expected"), [(10, 0.25, 3), (3, 0.01, 1), (2, 0.99, 1), (7, 0.5, 4)]
)
def test_size_of_the_validation_part(rows: int, fraction: float, expected: int) -> None:
    # Ones to validate on among zeros would show in the scaler.
    X = np.arange(rows, dtype=float)[:, None]
    ae = estimator(scale="minmax", shuffle=False, validation_fraction=fraction).fit(X)
    shift, scale = ae._require_fitted().model.scaler()  # type: ignore[misc]
    assert (shift[0], scale[0]) == (0.0, max(rows - expected - 1, 1))


def test_random_validation_rows(X: Any) -> None:
    marked = np.zeros((100, 1))
    marked[:, 0] = np.arange(100)
    scalers = []
    for seed in (0, 0, 1):
        ae = estimator(scale="standard", validation_fraction=0.3, random_state=seed).fit(marked)
        scalers.append(ae._require_fitted().model.scaler()[0][0])  # type: ignore[index]
    assert scalers[0] == scalers[1] != scalers[2]
    assert scalers[0] != np.arange(70).mean()


def test_early_stopping_restores_the_best_epoch(X: Any) -> None:
    # Such steps overshoot sooner or later.
    def fit(epochs: int, **changes: Any) -> AutoEncoder:
        ae = estimator(epochs=epochs, learning_rate=0.05, random_state=1, **changes)
        return ae.fit(X[:40], X_val=X[40:])

    ae = fit(1000, early_stopping=True, patience=3)
    losses = ae.history_["val_loss"]
    best = int(np.argmin(losses))
    assert ae.stop_reason_ == "early_stopping"
    assert ae.n_iter_ == len(losses) == best + 1 + 3
    assert same_weights(ae, fit(best + 1))
    assert -ae.score(X[40:]) == pytest.approx(losses[best], rel=1e-5)


def test_early_stopping_restores_the_best_epoch_also_at_the_end(X: Any) -> None:
    ae = estimator(epochs=30, learning_rate=0.3, early_stopping=True, patience=1000)
    ae.fit(X[:40], X_val=X[40:])
    assert ae.stop_reason_ == "epochs"
    assert -ae.score(X[40:]) == pytest.approx(min(ae.history_["val_loss"]), rel=1e-5)


def test_min_delta(X: Any) -> None:
    ae = estimator(epochs=50, early_stopping=True, patience=2, min_delta=100.0).fit(X, X_val=X)
    assert ae.n_iter_ == 3


def test_batches_larger_than_the_data(X: Any) -> None:
    assert same_weights(estimator(batch_size=10**12).fit(X), estimator(batch_size=200).fit(X))


def test_clipping_at_infinity_changes_nothing(X: Any) -> None:
    assert same_weights(estimator(clip_norm=np.inf).fit(X), estimator().fit(X))
    assert not same_weights(
        estimator(clip_norm=1e-3, optimizer="sgd").fit(X), estimator(optimizer="sgd").fit(X)
    )


# ---- Scaling ----


def test_standard_scaling(X: Any) -> None:
    data = X.astype(np.float64) * [1, 10, 100, 1e-3, 1, 1] + [0, -5, 1e3, 0, 0, 0]
    data[:, 5] = 0.1  # constant, and not a sum of powers of two
    ae = estimator(scale="standard", epochs=200, learning_rate=0.01).fit(data)
    shift, scale = ae._require_fitted().model.scaler()  # type: ignore[misc]
    np.testing.assert_allclose(shift, data.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale[:5], data.std(axis=0)[:5], rtol=1e-9)
    assert scale[5] == 1.0
    reconstructed = ae.reconstruct(data)
    # In units of each feature's spread, which the raw numbers would hide.
    errors = ((reconstructed - data) / scale) ** 2
    np.testing.assert_allclose(ae.reconstruction_error(data, per_feature=True), errors, rtol=1e-2, atol=1e-4)
    assert errors[:, :5].mean() < 0.5
    assert np.isfinite(ae.transform(data)).all()


def test_minmax_scaling(X: Any) -> None:
    data = X * 50 - 7
    data[:, 2] = 3
    ae = estimator(scale="minmax", loss="binary_crossentropy").fit(data)
    shift, scale = ae._require_fitted().model.scaler()  # type: ignore[misc]
    np.testing.assert_allclose(shift, data.min(axis=0))
    np.testing.assert_allclose(scale, [*np.ptp(data, axis=0)[:2], 1.0, *np.ptp(data, axis=0)[3:]], rtol=1e-6)
    reconstructed = ae.reconstruct(data)
    assert (reconstructed >= data.min(axis=0) - 1e-3).all()
    assert (reconstructed[:, :2] <= data.max(axis=0)[:2] + 1e-3).all()


def test_a_scaled_fit_is_a_fit_of_scaled_data(X: Any) -> None:
    data = X.astype(np.float64) * 8 - 3
    scaled = (data - data.min(axis=0)) / np.ptp(data, axis=0)
    ae, plain = estimator(scale="minmax").fit(data), estimator().fit(scaled)
    np.testing.assert_allclose(ae.transform(data), plain.transform(scaled), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ae.history_["loss"], plain.history_["loss"], rtol=1e-4)


# ---- Weights ----


def test_set_weights(X: Any) -> None:
    ae = estimator(scale="standard").fit(X)
    codes, weights = ae.transform(X), ae.get_weights()
    weights["encoder.1.bias"] += 1
    np.testing.assert_array_equal(ae.transform(X), codes)  # those were copies
    assert ae.set_weights(weights) is ae
    np.testing.assert_allclose(ae.transform(X), codes + 1, rtol=1e-5, atol=1e-6)
    assert ae._require_fitted().model.scaler() is not None
    weights["encoder.1.bias"][:] = 0  # and so are these
    np.testing.assert_allclose(ae.transform(X), codes + 1, rtol=1e-5, atol=1e-6)
    lists = {name: weight.tolist() for name, weight in ae.get_weights().items()}
    assert same_weights(estimator().fit(X).set_weights(lists), ae)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.0.bias"), r"Missing: \['encoder.0.bias'\]; unknown: \[\]"),
        (lambda w: w.update(extra=1), r"Missing: \[\]; unknown: \['extra'\]"),
        (
            lambda w: w.update({"encoder.0.bias": np.zeros(4)}),
            r"weights\['encoder.0.bias'\] must have shape \(5,\)\. Got \(4,\)",
        ),
        (lambda w: w["encoder.0.bias"].fill(np.nan), r"weights\['encoder.0.bias'\] must be finite"),
        (lambda w: w.update({"encoder.0.bias": np.full(5, 1e300)}), "must be finite"),
        (lambda w: w.update({"encoder.0.bias": np.full(5, "a")}), "must hold real numbers"),
        (lambda w: w.update({"encoder.0.bias": np.zeros(5, complex)}), "must hold real numbers"),
    ],
)
def test_set_weights_refuses(change: Any, message: str, X: Any) -> None:
    ae = estimator().fit(X)
    weights, codes = ae.get_weights(), ae.transform(X)
    change(weights)
    with pytest.raises(diabolo.InvalidDataError, match=f"^AutoEncoder: .*{message}"):
        ae.set_weights(weights)
    np.testing.assert_array_equal(ae.transform(X), codes)
    with pytest.raises(ValueError, match="must be a mapping"):
        ae.set_weights(list(weights.values()))  # type: ignore[arg-type]
