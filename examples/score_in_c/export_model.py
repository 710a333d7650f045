"""Train on handwritten digits; write the model as a header of C, and rows with the scores they should get.

    python export_model.py                          # writes digits.h and rows.txt
    cc -std=c99 -O2 score.c -o score -lm && ./score < rows.txt

Each line of rows.txt is a row's 64 numbers and, last, its score as Python computes it.
"""

import numpy as np
from sklearn.datasets import load_digits

from diabolo import AutoEncoder

X = load_digits().data.astype(np.float32)  # (1797, 64): grey values from 0 to 16
train, test = X[:1500], X[1500:].copy()
test[::10] = test[::10, ::-1]  # turned by half a circle: few digits look like that

ae = AutoEncoder(
    n_components=8,
    hidden_layer_sizes=(64,),
    activation="gelu",
    scale="minmax",
    epochs=20,
    learning_rate=4e-3,
    batch_size=64,
    random_state=0,
)
threshold = np.quantile(ae.fit(train).score_samples(train), 0.01)
ae.to_c("digits.h", threshold=threshold)

np.savetxt("rows.txt", np.column_stack([test, ae.score_samples(test)]), fmt="%.9g")
