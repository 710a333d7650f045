"""Draws the pictures of the pages on the kinds of autoencoders, from scikit-learn's digits, beside itself.

python docs/pictures/draw.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    SparseAutoEncoder,
    VariationalAutoEncoder,
)

FOLDER = Path(__file__).parent
SIDE = 8  # of an image, in pixels
SETTINGS = {"loss": "binary_crossentropy", "epochs": 100, "learning_rate": 3e-3, "random_state": 0}


def tiled(images: np.ndarray, columns: int, gap: float) -> np.ndarray:
    """Return flat images (count, 64) side by side in rows of `columns`, `gap` being the colour between."""
    rows = len(images) // columns
    framed = np.full((rows, columns, SIDE + 1, SIDE + 1), gap)
    framed[:, :, :SIDE, :SIDE] = images.reshape(rows, columns, SIDE, SIDE)
    whole = framed.swapaxes(1, 2).reshape(rows * (SIDE + 1), columns * (SIDE + 1))
    return whole[:-1, :-1]


def write(name: str) -> None:
    """Write the picture at hand as a file."""
    plt.savefig(FOLDER / name, dpi=80, bbox_inches="tight", metadata={"Software": None})
    plt.close()


def denoising(train: np.ndarray, test: np.ndarray) -> None:
    """Digits with pixels gone, restored, and as they were."""
    dae = DenoisingAutoEncoder(128, corruption="masking", noise_fraction=0.4, **SETTINGS).fit(train)
    rows = test[:12]
    damaged = np.where(np.random.default_rng(0).random(rows.shape) < 0.4, 0.0, rows)
    _, axes = plt.subplots(3, 1, figsize=(7, 2.1))
    names = ("damaged", "restored", "clean")
    for axis, name, images in zip(axes, names, (damaged, dae.denoise(damaged), rows), strict=True):
        axis.imshow(tiled(images, len(images), 0.5), cmap="gray_r", vmin=0, vmax=1)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set_xticks([])
        axis.set_yticks([])
    write("denoising.png")


def sparse(train: np.ndarray) -> None:
    """What the units that are active most often draw."""
    sae = SparseAutoEncoder(
        96, sparsity="top_k", k=6, tied_weights=True, learning_rate=3e-3, epochs=300, random_state=0
    ).fit(train)
    often = np.argsort(-np.count_nonzero(sae.transform(train), axis=0))[:64]
    strokes = sae.inverse_transform(np.eye(96)[often]) - sae.inverse_transform(np.zeros((1, 96)))
    size = np.abs(strokes).max(axis=1, keepdims=True)
    plt.figure(figsize=(7, 1.9))
    plt.imshow(tiled(strokes / size, 16, 0.0), cmap="RdBu", vmin=-1, vmax=1)
    plt.axis("off")
    write("sparse.png")


def variational(train: np.ndarray) -> None:
    """Codes of two units on a grid, decoded."""
    vae = VariationalAutoEncoder(
        2,
        hidden_layer_sizes=(128,),
        likelihood="bernoulli",
        epochs=200,
        batch_size=64,
        learning_rate=3e-3,
        random_state=0,
    ).fit(train)
    along = np.linspace(-2, 2, 14)
    codes = np.stack(np.meshgrid(along, -along), axis=-1).reshape(-1, 2)
    plt.figure(figsize=(4, 4))
    plt.imshow(tiled(vae.inverse_transform(codes), len(along), 0.0), cmap="gray_r", vmin=0, vmax=1)
    plt.axis("off")
    write("variational.png")


def contractive(train: np.ndarray, test: np.ndarray) -> None:
    """Singular values of the Jacobians of a plain and a contractive code."""
    plt.figure(figsize=(4.5, 2.6))
    models = {
        "plain": AutoEncoder(64, code_activation="sigmoid", tied_weights=True, **SETTINGS),
        "contractive": ContractiveAutoEncoder(64, contraction_weight=3e-3, **SETTINGS),
    }
    for name, model in models.items():
        y = model.fit(train).transform(test).astype(np.float64)
        kernel = model.get_weights()["encoder.0.kernel"].astype(np.float64)
        jacobians = (y * (1 - y))[:, :, None] * kernel.T  # (rows, units, features)
        plt.plot(np.linalg.svd(jacobians, compute_uv=False).mean(axis=0), label=name)
    plt.xlabel("direction of the input")
    plt.ylabel("movement of the code")
    plt.legend(frameon=False)
    write("contractive.png")


def main() -> None:
    """Draw all."""
    mpl.use("Agg")
    X = load_digits().data / 16
    train, test = X[:1500], X[1500:]
    denoising(train, test)
    sparse(train)
    variational(train)
    contractive(train, test)


if __name__ == "__main__":
    main()
