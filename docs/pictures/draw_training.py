"""Draws the pictures of the pages on stacked and on supervised autoencoders, from scikit-learn's digits.

python docs/pictures/draw_training.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from diabolo import AutoEncoder, AutoEncoderClassifier, DenoisingAutoEncoder, StackedAutoEncoder

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


def supervised(X: np.ndarray, y: np.ndarray) -> None:
    """Draw accuracy over the number of labels, with and without the unlabelled rows."""
    counts = (20, 40, 80, 160, 320, 640)
    classifier = AutoEncoderClassifier(
        DenoisingAutoEncoder(256, code_activation="relu", noise_fraction=0.3, epochs=60),
        unlabelled=-1,
        epochs=100,
        batch_size=16,
    )
    scores = {"pretrained on 1400 images": [], "pretrained on the labelled ones": []}
    for count in counts:
        for name, of in scores.items():
            accuracies = []
            for seed in range(3):
                order = np.random.default_rng(seed).permutation(1400)
                labels = np.full(1400, -1)
                labels[order[:count]] = y[order[:count]]
                rows = slice(None) if "1400" in name else order[:count]
                fitted = classifier.set_params(random_state=seed).fit(X[:1400][rows], labels[rows])
                accuracies.append(fitted.score(X[1400:], y[1400:]))
            of.append(np.mean(accuracies))
    plt.figure(figsize=(6, 3))
    for name, accuracies in scores.items():
        plt.semilogx(counts, accuracies, "o-", label=name)
    plt.xticks(counts, counts)
    plt.minorticks_off()
    plt.xlabel("images with a label")
    plt.ylabel("accuracy, test images")
    write("supervised.png")


def main() -> None:
    """Draw both."""
    mpl.use("Agg")
    X, y = load_digits(return_X_y=True)
    X = X / 16
    stacked(X[:1500], X[1500:])
    supervised(X, y)


if __name__ == "__main__":
    main()
