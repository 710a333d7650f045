"""Train an estimator of every kind; use each in Python, in a program of C and in onnxruntime, and compare.

    python every_kind.py [FOLDER]

It needs onnxruntime and a C compiler ($CC, or cc). For each kind it writes a header, an ONNX graph and a
program to the folder, which is made, or to a temporary one; and it prints by how much at most their results
differ from Python's: the scores of rows, a classifier's probabilities, a regressor's values.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits

import diabolo

digits = load_digits()
X = digits.data.astype(np.float32)  # (1797, 64): grey values from 0 to 16
train, test = X[:1500], X[1500:]

# What all autoencoders have in common here.
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
plain = diabolo.AutoEncoder(**common)
kinds = {
    "plain": plain,
    "stacked": diabolo.StackedAutoEncoder(**common),
    "denoising": diabolo.DenoisingAutoEncoder(noise_fraction=0.3, **common),
    "contractive": diabolo.ContractiveAutoEncoder(**{**common, "activation": "sigmoid"}),
    "sparse_l1": diabolo.SparseAutoEncoder(sparsity="l1", **common),
    "sparse_kl": diabolo.SparseAutoEncoder(sparsity="kl", **common),
    "sparse_top_k": diabolo.SparseAutoEncoder(sparsity="top_k", k=4, **common),
    "variational": diabolo.VariationalAutoEncoder(likelihood="bernoulli", **common),
    "detector": diabolo.ReconstructionOutlierDetector(plain, contamination=0.05),
    "classifier": diabolo.AutoEncoderClassifier(plain, epochs=10, random_state=0),
    "regressor": diabolo.AutoEncoderRegressor(plain, epochs=10, random_state=0),
}
labels = {"classifier": digits.target[:1500], "regressor": train.mean(axis=1)}  # which digit; how much ink


def results_in_python(name, estimator):
    """Return what the other two must come to, (rows, results)."""
    if name == "classifier":
        return estimator.predict_proba(test)
    return (estimator.predict(test) if name == "regressor" else estimator.score_samples(test))[:, None]


def results_in_c(name, estimator, folder):
    """Compile the program that includes the estimator's header, and let it read the rows."""
    estimator.to_c(folder / f"{name}.h", name="model")
    compiler = os.environ.get("CC", "cc")
    options = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f'-DHEADER="{name}.h"', f"-I{folder}"]
    source, program = Path(__file__).with_name("use_rows.c"), folder / name
    subprocess.run([compiler, *options, source, "-o", program, "-lm"], check=True)
    done = subprocess.run([program], input=test.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(len(test), -1)


def results_in_onnx(name, estimator, folder):
    """Run the estimator's graph; some have a second output, which is not needed here."""
    graph = folder / f"{name}.onnx"
    estimator.to_onnx(graph, part="predictions" if name in labels else "scores")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": test})[0].reshape(len(test), -1)


def compare(folder):
    """Print a line for each kind; an AssertionError if any result differs by more than 1e-5 (1 + |value|)."""
    for name, estimator in kinds.items():
        estimator.fit(train, labels.get(name))
        expected = results_in_python(name, estimator)
        allowed = 1e-5 * (1 + abs(expected))
        largest = {}
        for where, results in (("C", results_in_c), ("ONNX", results_in_onnx)):
            found = results(name, estimator, folder)
            assert found.shape == expected.shape
            assert (abs(found - expected) <= allowed).all(), (name, where)
            largest[where] = abs(found - expected).max()
        print(f"{name:14} {type(estimator).__name__:30} C {largest['C']:.0e}  ONNX {largest['ONNX']:.0e}")


if len(sys.argv) > 1:
    os.makedirs(sys.argv[1], exist_ok=True)
    compare(Path(sys.argv[1]).resolve())
else:
    with tempfile.TemporaryDirectory() as temporary:
        compare(Path(temporary))
