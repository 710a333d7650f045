"""Train an autoencoder of every kind; score with each in Python, in a program of C and in onnxruntime.

    python every_kind.py

It needs onnxruntime and a C compiler ($CC, or cc). For each kind it writes a header, an ONNX graph and a
program to the folder that it runs in, and prints by how much at most their scores differ from Python's.
"""

import os
import subprocess

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits

import diabolo

digits = load_digits()
X = digits.data.astype(np.float32)  # (1797, 64): grey values from 0 to 16
train, test = X[:1500], X[1500:]

# What all kinds have in common here.
common = {
    "n_components": 8,
    "hidden_layer_sizes": (32,),
    "activation": "gelu",
    "scale": "minmax",
    "epochs": 10,
    "learning_rate": 4e-3,
    "batch_size": 64,
    "random_state": 0,
}
kinds = {
    "plain": diabolo.AutoEncoder(**common),
    "denoising": diabolo.DenoisingAutoEncoder(noise_fraction=0.3, **common),
    "sparse_l1": diabolo.SparseAutoEncoder(sparsity="l1", **common),
    "sparse_kl": diabolo.SparseAutoEncoder(sparsity="kl", **common),
    "sparse_top_k": diabolo.SparseAutoEncoder(sparsity="top_k", k=4, **common),
    "variational": diabolo.VariationalAutoEncoder(likelihood="bernoulli", **common),
    "detector": diabolo.ReconstructionOutlierDetector(diabolo.AutoEncoder(**common), contamination=0.05),
}


def scores_in_c(name, estimator):
    """Compile the program that includes the estimator's header, and let it read the rows."""
    estimator.to_c(f"{name}.h", name="model")
    compiler = os.environ.get("CC", "cc")
    options = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f'-DHEADER="{name}.h"']
    folder = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([compiler, *options, "-I.", f"{folder}/score_rows.c", "-o", name, "-lm"], check=True)
    done = subprocess.run([f"./{name}"], input=test.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.float32)


def scores_in_onnx(name, estimator):
    """Run the estimator's graph; a detector's has a second output, which is not needed here."""
    estimator.to_onnx(f"{name}.onnx", part="scores")
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"X": test})[0]


for name, estimator in kinds.items():
    expected = estimator.fit(train).score_samples(test)
    allowed = 1e-5 * (1 + abs(expected))
    largest = {}
    for where, scores in (("C", scores_in_c), ("ONNX", scores_in_onnx)):
        found = scores(name, estimator)
        assert found.shape == expected.shape
        assert (abs(found - expected) <= allowed).all(), (name, where)
        largest[where] = abs(found - expected).max()
    print(f"{name:14} {type(estimator).__name__:30} C {largest['C']:.0e}  ONNX {largest['ONNX']:.0e}")
