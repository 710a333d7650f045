"""Error on MNIST's test images of a logistic regression on codes of which 25 of 1000 units are active.

Makhzani and Frey, "k-sparse autoencoders" (ICLR 2014), train such codes without labels, decoder tied to the
encoder, and then a linear classifier on them; they use a greater k for the codes than in training, here
`--code-k`. The classifier is scikit-learn's, by L-BFGS, its penalty chosen before and the same for all seeds.
"""

import argparse
import time

import numpy as np
from mnist import Run, load, parser, summary
from sklearn.linear_model import LogisticRegression

from diabolo import SparseAutoEncoder

PUBLISHED, TARGET = 1.35, 1.8  # percent


def autoencoder(options: argparse.Namespace, seed: int) -> SparseAutoEncoder:
    return SparseAutoEncoder(
        1000,
        sparsity="top_k",
        k=options.k,
        tied_weights=True,
        learning_rate=options.learning_rate,
        schedule="cosine",
        epochs=options.epochs,
        batch_size=100,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    )


def codes(sae: SparseAutoEncoder, X: np.ndarray, k: int) -> np.ndarray:
    """Return the encoder's outputs, the k greatest of each row alone."""
    weights = sae.get_weights()
    y = X @ weights["encoder.0.kernel"] + weights["encoder.0.bias"]
    border = np.partition(y, -k, axis=1)[:, -k, None]
    return np.where(y >= border, y, np.float32(0))


def main() -> None:
    options_of = parser(__doc__.partition("\n")[0], epochs=50)
    options_of.add_argument("--k", type=int, default=25, help="active units in training, default %(default)s")
    options_of.add_argument("--code-k", type=int, default=25, help="and in the codes, default %(default)s")
    options_of.add_argument("--learning-rate", type=float, default=1e-3)
    options_of.add_argument("--inverse-penalty", type=float, default=0.1, help="C of the classifier")
    options_of.add_argument("--iterations", type=int, default=200, help="of the classifier, at most")
    options = options_of.parse_args()
    digits = load(options.data)
    with np.load(options.data) as arrays:
        labels, test_labels = arrays["y_train"], arrays["y_test"]
    runs = []
    for seed in options.seeds:
        start = time.perf_counter()
        sae = autoencoder(options, seed).fit(digits.train)
        train, test = (codes(sae, X, options.code_k) for X in digits)
        scale = np.sqrt(np.mean(train**2))
        classifier = LogisticRegression(C=options.inverse_penalty, max_iter=options.iterations)
        classifier.fit(train / scale, labels)
        error = 100.0 * (1.0 - classifier.score(test / scale, test_labels))
        runs.append(Run(seed, error, time.perf_counter() - start))
        dead = sae.history_["dead_units"][-1]
        print(f"seed {seed}: {error:.2f} %, {dead:.0f} dead units, {runs[-1].seconds:.0f} s", flush=True)
    seconds = sum(run.seconds for run in runs) / len(runs)
    print("\n| code | published | target | here, test error in % | time a run |\n|---|---|---|---|---|")
    print(f"| 784-1000, k = {options.k} | {PUBLISHED} | {TARGET} | {summary(runs, 2)} | {seconds:.0f} s |")


if __name__ == "__main__":
    main()
