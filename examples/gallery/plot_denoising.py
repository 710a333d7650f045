"""
Repairing images with holes
===========================

Two fifths of the pixels are lost. An autoencoder that was trained to fill such holes puts most of them back.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from diabolo import DenoisingAutoEncoder

X = load_digits().data / 16  # (1797, 64), in [0, 1]
train, test = X[:1500], X[1500:]

dae = DenoisingAutoEncoder(
    n_components=64,
    hidden_layer_sizes=(256,),
    activation="gelu",
    corruption="masking",
    noise_fraction=0.4,
    loss="binary_crossentropy",
    epochs=80,
    learning_rate=2e-3,
    random_state=0,
).fit(train)

# %%
# The noise of training is drawn afresh at every step. Here it is drawn once, on images that were held out.

lost = np.random.default_rng(0).random(test.shape) < 0.4
damaged = np.where(lost, 0.0, test)
restored = dae.denoise(damaged)
for name, images in (("damaged", damaged), ("restored", restored)):
    print(f"{name:9} {np.mean((images - test) ** 2):.4f}")

# %%

figure, axes = plt.subplots(3, 10, figsize=(10, 3.2))
for row, (name, images) in enumerate((("damaged", damaged), ("restored", restored), ("images", test))):
    for ax, image in zip(axes[row], images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(name)
figure.tight_layout()
