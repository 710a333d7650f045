"""
An autoencoder beside PCA
=========================

Both compress an image of 64 pixels into six numbers. PCA's way there and back is linear; the autoencoder's is
not, and what it makes of images that it has not seen is closer to them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from diabolo import AutoEncoder

X = load_digits().data / 16  # (1797, 64), in [0, 1]
train, test = X[:1500], X[1500:]

# %%
# Three hidden layers, trained with a learning rate that falls along a cosine.

ae = AutoEncoder(
    n_components=6,
    hidden_layer_sizes=(256, 128, 64),
    activation="gelu",
    learning_rate=3e-3,
    schedule="cosine",
    epochs=60,
    batch_size=64,
    random_state=0,
).fit(train)
ae.plot_history()

# %%
# Errors on held-out images, in mean squares over the pixels:

pca = PCA(n_components=6).fit(train)
by_pca = pca.inverse_transform(pca.transform(test))
by_ae = ae.reconstruct(test)
for name, restored in (("PCA", by_pca), ("autoencoder", by_ae)):
    print(f"{name:12} {np.mean((restored - test) ** 2):.4f}")

# %%
# And how they look:

figure, axes = plt.subplots(3, 10, figsize=(10, 3.2))
for row, (name, images) in enumerate((("images", test), ("PCA", by_pca), ("autoencoder", by_ae))):
    for ax, image in zip(axes[row], images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(name)
figure.tight_layout()
