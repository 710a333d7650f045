"""
New digits, and the way from one to another
===========================================

A variational autoencoder learns how codes are distributed. So a code can be drawn, and what lies between two
codes decodes into something between two images.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from diabolo import VariationalAutoEncoder

digits = load_digits()
X = digits.data / 16  # (1797, 64), in [0, 1]
train, test = X[:1500], X[1500:]

vae = VariationalAutoEncoder(
    n_components=8,
    hidden_layer_sizes=(256, 128),
    activation="gelu",
    likelihood="bernoulli",
    epochs=60,
    learning_rate=2e-3,
    batch_size=64,
    random_state=0,
).fit(train)
print(f"log-likelihood of held-out images, at least: {vae.elbo(test).mean():.1f} nats")


def show(images, title):
    """Draw images side by side."""
    figure, axes = plt.subplots(-(-len(images) // 10), 10, figsize=(10, 1.1 * (-(-len(images) // 10)) + 0.4))
    for ax, image in zip(axes.flat, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set_axis_off()
    figure.suptitle(title)


# %%
# Codes from the standard normal distribution, decoded:

show(vae.sample(30), "Drawn")

# %%
# From a nought to a six:

nought, six = (test[digits.target[1500:] == digit][0] for digit in (0, 6))
show(vae.interpolate(nought, six, 10), "On the way")
