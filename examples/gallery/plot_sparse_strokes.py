"""
What the units of a sparse code draw
====================================

A code of 144 units, of which an image may use eight: each unit comes to stand for a stroke.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from diabolo import SparseAutoEncoder

X = load_digits().data / 16  # (1797, 64), in [0, 1]

sae = SparseAutoEncoder(
    n_components=144,
    sparsity="top_k",
    k=8,
    tied_weights=True,
    epochs=50,
    learning_rate=2e-3,
    batch_size=64,
    random_state=0,
).fit(X)
codes = sae.transform(X)
print(f"{np.count_nonzero(codes, axis=1).mean():.1f} of {codes.shape[1]} units are active for an image")

# %%
# What a unit draws is the difference that it makes to an empty code.

nothing = sae.inverse_transform(np.zeros((1, 144)))
strokes = sae.inverse_transform(np.eye(144)) - nothing
busiest = np.argsort(-(codes != 0).sum(axis=0))[:40]
limit = abs(strokes[busiest]).max()

figure, axes = plt.subplots(4, 10, figsize=(10, 4.2))
for ax, unit in zip(axes.flat, busiest, strict=True):
    ax.imshow(strokes[unit].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
figure.suptitle("The forty units that are used most")
figure.tight_layout()
