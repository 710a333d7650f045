"""Error on MNIST's test images of a logistic regression on codes of which 25 of 1000 units were trained.

Makhzani and Frey, "k-sparse autoencoders" (ICLR 2014), train such codes without labels, decoder tied to the
encoder, and then a linear classifier on them; they use a greater k for the codes than in training, here
`--code-k`. Dead units learn from the residual (`auxiliary_k`). The classifier is scikit-learn's, by L-BFGS.
All settings were chosen with `--validate`: by the last 10000 training images, the other 50000 being learnt.
"""

import argparse
import time

import numpy as np
from mnist import Run, load, load_labels, parser, summary
from sklearn.linear_model import LogisticRegression

from diabolo import SparseAutoEncoder

PUBLISHED, TARGET = 1.35, 1.8  # percent
VALIDATION_ROWS = 10_000


def autoencoder(options: argparse.Namespace, seed: int) -> SparseAutoEncoder:
    return SparseAutoEncoder(
        1000,
        sparsity="top_k",
        k=options.k,
        auxiliary_k=options.auxiliary_k,
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


def errors(options: argparse.Namespace, sae: SparseAutoEncoder, rows, labels, k: int) -> float:
    """Return the percentage of the second rows whose label a classifier of the first ones gets wrong."""
    train, test = (codes(sae, X, k) for X in rows)
    scale = np.sqrt(np.mean(train**2))
    classifier = LogisticRegression(C=options.inverse_penalty, max_iter=options.iterations)
    classifier.fit(train / scale, labels[0])
    return 100.0 * (1.0 - classifier.score(test / scale, labels[1]))


def main() -> None:
    options_of = parser(__doc__.partition("\n")[0], epochs=30)
    options_of.add_argument("--k", type=int, default=25, help="active units in training, default %(default)s")
    options_of.add_argument(
        "--code-k", type=int, nargs="+", default=[25, 100], help="and in the codes, default %(default)s"
    )
    options_of.add_argument("--auxiliary-k", type=int, default=64, help="dead units, default %(default)s")
    options_of.add_argument("--learning-rate", type=float, default=1e-3)
    options_of.add_argument("--inverse-penalty", type=float, default=0.03, help="C of the classifier")
    options_of.add_argument("--iterations", type=int, default=100, help="of the classifier, at most")
    options_of.add_argument("--validate", action="store_true", help="choose by rows of the training set")
    options = options_of.parse_args()
    rows, labels = tuple(load(options.data)), tuple(load_labels(options.data))
    if options.validate:
        rows, labels = (
            (every[0][:-VALIDATION_ROWS], every[0][-VALIDATION_ROWS:]) for every in (rows, labels)
        )
    runs: dict[int, list[Run]] = {k: [] for k in options.code_k}
    for seed in options.seeds:
        start = time.perf_counter()
        sae = autoencoder(options, seed).fit(rows[0])
        seconds = time.perf_counter() - start
        print(f"seed {seed}: {sae.history_['dead_units'][-1]:.0f} dead units, {seconds:.0f} s", flush=True)
        for k, of_k in runs.items():
            of_k.append(Run(seed, errors(options, sae, rows, labels, k), seconds))
            print(f"  {k} units in the code: {of_k[-1].error:.2f} %", flush=True)
    name = "validation" if options.validate else "test"
    print(f"\n| active in the code | published | target | here, {name} error in % | training |")
    print("|---|---|---|---|---|")
    for k, of_k in runs.items():
        seconds = sum(run.seconds for run in of_k) / len(of_k)
        print(f"| {k} | {PUBLISHED} | {TARGET} | {summary(of_k, 2)} | {seconds:.0f} s |")


if __name__ == "__main__":
    main()
