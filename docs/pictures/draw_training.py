"""Draws the picture of the page on stacked autoencoders, from scikit-learn's digits.

python docs/pictures/draw_training.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from diabolo import AutoEncoder, StackedAutoEncoder

FOLDER = Path(__file__).parent


def write(name: str) -> None:
    """Save the figure beside this file."""
    plt.legend(frameon=False)
    plt.savefig(FOLDER / name, dpi=80, bbox_inches="tight", metadata={"Software": None})
    plt.close()


def stacked(train: np.ndarray, test: np.ndarray) -> None:
    """Draw the loss of test images while a deep network of sigmoids is trained, with and without RBMs."""
    settings = {
        "n_components": 8,
        "hidden_layer_sizes": (128, 64, 32),
        "activation": "sigmoid",
        "loss": "binary_crossentropy",
        "epochs": 100,
        "batch_size": 32,
        "random_state": 0,
    }
    pretrained = StackedAutoEncoder(pretraining="rbm", pretraining_epochs=(30, 20, 20, 20), **settings)
    plt.figure(figsize=(6, 3))
    for name, network in (("random weights", AutoEncoder(**settings)), ("pretrained by RBMs", pretrained)):
        plt.plot(network.fit(train, X_val=test).history_["val_loss"], label=name)
    plt.xlabel("epoch")
    plt.ylabel("cross-entropy, test images")
    write("stacked.png")


def main() -> None:
    """Draw it."""
    mpl.use("Agg")
    X = load_digits().data / 16
    stacked(X[:1500], X[1500:])


if __name__ == "__main__":
    main()
