"""
In a pipeline of scikit-learn
=============================

The code of an autoencoder feeds a classifier. Which width serves it best, scikit-learn's search finds out.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from diabolo import AutoEncoder

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.data / 16, digits.target, test_size=0.25, stratify=digits.target, random_state=0
)

network = AutoEncoder(
    hidden_layer_sizes=(64,), activation="gelu", epochs=30, learning_rate=3e-3, random_state=0
)
pipeline = make_pipeline(network, LogisticRegression(max_iter=2000))
widths = [2, 8, 32]
search = GridSearchCV(pipeline, {"autoencoder__n_components": widths}, cv=3).fit(X_train, y_train)
print(f"best width: {search.best_params_['autoencoder__n_components']}")
print(f"accuracy on rows held out: {search.score(X_test, y_test):.3f}")

# %%
# Accuracy in cross-validation, by the width of the code:

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.errorbar(widths, search.cv_results_["mean_test_score"], search.cv_results_["std_test_score"], marker="o")
ax.set_xscale("log", base=2)
ax.set(xlabel="n_components", ylabel="accuracy")

# %%
# A code of two numbers can be drawn as it is:

plane = AutoEncoder(
    2, hidden_layer_sizes=(128, 32), activation="gelu", epochs=60, learning_rate=3e-3, random_state=0
).fit(X_train)
ax = plane.plot_code(X_test, y_test)
