"""The deep autoencoder 784-1000-500-250-30 on MNIST with sigmoid units, with and without pretraining by RBMs.

The set-up of Hinton and Salakhutdinov (Science 313, 2006): logistic units, a linear code, each layer
pretrained as a restricted Boltzmann machine by CD-1, then all fine-tuned on the cross-entropy of the
reconstruction. They fine-tuned by conjugate gradients; here it is Adam with a cosine schedule, the same for
both networks. The error is theirs: squared differences summed over an image's pixels (in [0, 1]), averaged
over the 10000 test images. (`hinton_salakhutdinov.py` has gelu in the place of sigmoids, and needs no
pretraining.)
"""

import argparse
import functools
import statistics

import numpy as np
from mnist import Float32Array, load, parser, run_seeds, summary

from diabolo import AdamW, AutoEncoder, CosineDecay, StackedAutoEncoder

PUBLISHED = "3.00"
NETWORKS = {"RBM": StackedAutoEncoder, "none": AutoEncoder}


def autoencoder(pretraining: str, options: argparse.Namespace, seed: int) -> AutoEncoder:
    network = NETWORKS[pretraining](
        30,
        hidden_layer_sizes=(1000, 500, 250),
        activation="sigmoid",
        loss="binary_crossentropy",
        optimizer=AdamW(weight_decay=options.weight_decay),
        learning_rate=options.learning_rate,
        schedule=CosineDecay(),
        epochs=options.epochs,
        batch_size=128,
        matmul_precision=options.matmul_precision,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    )
    if pretraining == "RBM":
        network.set_params(pretraining="rbm", pretraining_epochs=options.pretraining_epochs)
    return network


def summed_squared_error(estimator: AutoEncoder, X: Float32Array) -> float:
    return float(X.shape[1] * np.mean(estimator.reconstruction_error(X), dtype=np.float64))


def main() -> None:
    options_parser = parser("A deep autoencoder of sigmoids, with and without pretraining.", epochs=100)
    options_parser.add_argument("--pretraining-epochs", type=int, default=20, help="default %(default)s")
    options_parser.add_argument("--pretraining", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    options_parser.add_argument("--learning-rate", type=float, default=1e-3)
    options_parser.add_argument("--weight-decay", type=float, default=0.01)
    options_parser.add_argument("--matmul-precision", default="bfloat16", help="default %(default)s")
    options = options_parser.parse_args()
    digits = load(options.data)
    lines = []
    for pretraining in options.pretraining:
        make = functools.partial(autoencoder, pretraining, options)
        runs = run_seeds(f"pretraining {pretraining}", make, digits, summed_squared_error, options.seeds)
        seconds = statistics.fmean(run.seconds for run in runs)
        lines.append(f"| {pretraining} | {summary(runs, 2)} | {PUBLISHED} (RBM) | {seconds:.0f} |")
    print(
        "\n| pretraining | squared error an image | published | seconds a fit |",
        "|---|---|---|---|",
        sep="\n",
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
