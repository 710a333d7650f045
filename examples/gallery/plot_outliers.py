"""
Images that lie on their side
=============================

A detector is trained on images of which a few have been turned, and is not told which. It finds them, and
says which pixels gave them away.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from diabolo import AutoEncoder, ReconstructionOutlierDetector

digits = load_digits()
X = digits.images[digits.target == 4].copy()  # (181, 8, 8), grey values from 0 to 16
turned = np.arange(len(X)) % 20 == 0
X[turned] = np.rot90(X[turned], axes=(1, 2))
rows = X.reshape(len(X), 64)

network = AutoEncoder(
    4,
    hidden_layer_sizes=(32,),
    activation="tanh",
    loss="mae",
    scale="minmax",
    epochs=150,
    learning_rate=4e-3,
    batch_size=16,
    random_state=0,
)
detector = ReconstructionOutlierDetector(network, contamination=0.05).fit(rows)
scores = detector.score_samples(rows)
print(f"area under the ROC curve: {roc_auc_score(turned, -scores):.3f}")

# %%
# The scores, and the threshold that calls a twentieth of the rows outliers:

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
bins = np.linspace(scores.min(), scores.max(), 40)
ax.hist([scores[~turned], scores[turned]], bins, stacked=True, label=["upright", "turned"])
ax.axvline(detector.offset_, color="black", linestyle="--", label="offset_")
ax.set(xlabel="score_samples", ylabel="images")
ax.legend()

# %%
# The oddest images, and below them what each pixel contributes:

oddest = np.argsort(scores)[:10]
figure, axes = plt.subplots(2, 10, figsize=(10, 2.4))
for column, (row, contributions) in enumerate(zip(rows[oddest], detector.explain(rows[oddest]), strict=True)):
    axes[0, column].imshow(row.reshape(8, 8), cmap="gray_r")
    axes[1, column].imshow(contributions.reshape(8, 8), cmap="Reds")
    for ax in axes[:, column]:
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("image")
axes[1, 0].set_ylabel("explain")
figure.tight_layout()
