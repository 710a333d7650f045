"""Draws the picture of the page on classifiers: how many labels it takes, on scikit-learn's digits.

python docs/pictures/draw_labels.py
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from diabolo import AutoEncoderClassifier, StackedAutoEncoder

LABELLED = (20, 40, 80, 160, 320, 640, 1280)
SEEDS = range(3)
TRAINING = 1400
PICTURE = Path(__file__).parent / "supervised.png"


def classifier(seed: int) -> AutoEncoderClassifier:
    """Return the page's own example."""
    autoencoder = StackedAutoEncoder(
        128,
        hidden_layer_sizes=(256,),
        pretraining="denoising",
        pretraining_parameters=[{"corruption": "gaussian", "noise_scale": 0.3}, {"noise_fraction": 0.3}],
        pretraining_epochs=60,
        epochs=0,
        code_activation="relu",
        loss="binary_crossentropy",
        learning_rate=2e-3,
        batch_size=32,
    )
    return AutoEncoderClassifier(
        autoencoder, unlabelled=-1, keep_noise=True, epochs=60, batch_size=16, random_state=seed
    )


def by_all_rows(X: np.ndarray, y: np.ndarray, chosen: np.ndarray, seed: int) -> AutoEncoderClassifier:
    """Pretrain on all rows, and learn the labels of the chosen ones."""
    labels = np.full(len(y), -1)
    labels[chosen] = y[chosen]
    return classifier(seed).fit(X, labels)


def by_labelled_rows(X: np.ndarray, y: np.ndarray, chosen: np.ndarray, seed: int) -> AutoEncoderClassifier:
    """Do without the others."""
    return classifier(seed).fit(X[chosen], y[chosen])


def by_pixels(X: np.ndarray, y: np.ndarray, chosen: np.ndarray, seed: int) -> LogisticRegression:
    """Learn a linear classifier of the pixels."""
    return LogisticRegression(max_iter=1000).fit(X[chosen], y[chosen])


WAYS: dict[str, Callable[..., AutoEncoderClassifier | LogisticRegression]] = {
    "pretrained on all 1400 rows": by_all_rows,
    "on the labelled rows alone": by_labelled_rows,
    "logistic regression of the pixels": by_pixels,
}


def main() -> None:
    """Draw it."""
    mpl.use("Agg")
    X, y = load_digits(return_X_y=True)
    X = X / 16
    plt.figure(figsize=(6, 3))
    for name, way in WAYS.items():
        wrong = np.empty((len(SEEDS), len(LABELLED)))
        for seed in SEEDS:
            order = np.random.default_rng(seed).permutation(len(X))
            train, test = order[:TRAINING], order[TRAINING:]
            for at, count in enumerate(LABELLED):
                fitted = way(X[train], y[train], np.arange(count), seed)
                wrong[seed, at] = 100 * (1 - fitted.score(X[test], y[test]))
        print(name, wrong.mean(axis=0).round(1))
        plt.plot(LABELLED, wrong.mean(axis=0), marker="o", label=name)
    plt.xscale("log")
    plt.xticks(LABELLED, [str(count) for count in LABELLED], minor=False)
    plt.minorticks_off()
    plt.xlabel("rows with a label")
    plt.ylabel("test images told wrong, %")
    plt.legend(frameon=False)
    plt.savefig(PICTURE, dpi=80, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
