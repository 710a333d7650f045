"""Minus the evidence lower bound, and the likelihood, of variational autoencoders on MNIST's test images.

The first case is PyTorch's example: 784-400-20, relu, grey pixels as probabilities, Adam at 1e-3, batches of
128, 10 epochs; what is published is the test loss that program prints. The second has binary images, drawn
anew each epoch from the grey ones, and one stochastic layer of 50, as Burda, Grosse and Salakhutdinov (2016,
table 1, k = 1), who give minus the log-likelihood by 5000 samples.
"""

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from mnist import Digits, Float32Array, Run, load, parser, summary

from diabolo import CosineDecay, VariationalAutoEncoder


class Figure(NamedTuple):
    name: str
    published: str
    target: float


GREY = Figure("784-400-20, grey", "105.59 (PyTorch's example)", 105.6)
BINARY = Figure("784-512-512-50, binary", "86.8 (Burda et al., 5000 samples)", 88.5)


def grey(digits: Digits, options: argparse.Namespace, seed: int) -> tuple[VariationalAutoEncoder, float]:
    """Return PyTorch's example and minus its evidence lower bound, one sample a row."""
    vae = VariationalAutoEncoder(
        20,
        hidden_layer_sizes=(400,),
        likelihood="bernoulli",
        initializer=options.initializer,
        batch_size=128,
        epochs=options.epochs,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    ).fit(digits.train)
    return vae, -float(vae.elbo(digits.test).mean())


def binary(digits: Digits, options: argparse.Namespace, seed: int) -> tuple[VariationalAutoEncoder, float]:
    """Return a deeper one and minus the log-likelihood of binary test images, drawn once."""
    random = np.random.default_rng(seed)
    train = np.concatenate(list(drawn(digits.train, options.draws, random)))
    (test,) = drawn(digits.test, 1, np.random.default_rng(0))
    epochs = max(1, round(options.binary_epochs / options.draws))
    vae = VariationalAutoEncoder(
        50,
        hidden_layer_sizes=(512, 512),
        activation="tanh",
        likelihood="bernoulli",
        schedule=CosineDecay(warmup_epochs=0, final_fraction=0.01),
        batch_size=128,
        epochs=epochs,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    ).fit(train)
    return vae, -float(vae.log_likelihood(test, options.samples).mean())


def drawn(images: Float32Array, times: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield binary copies: each pixel is 1 with its grey value as the probability."""
    for _ in range(times):
        yield (random.random(images.shape, dtype=np.float32) < images).astype(np.uint8)


def main() -> None:
    options_of = parser(__doc__.partition("\n")[0], epochs=10)
    options_of.add_argument("--binary-epochs", type=int, default=400, help="default %(default)s; 0: none")
    options_of.add_argument("--draws", type=int, default=20, help="binary copies of the images (47 MB each)")
    options_of.add_argument("--samples", type=int, default=500, help="of the log-likelihood")
    options_of.add_argument("--initializer", default="glorot_uniform", help="of the first case")
    options_of.add_argument("--rows", type=int, default=None, help="of each set, for a quick look")
    options = options_of.parse_args()
    digits = Digits(*(images[: options.rows] for images in load(options.data)))
    cases = [(GREY, grey)] + ([(BINARY, binary)] if options.binary_epochs else [])
    lines = []
    for figure, train in cases:
        runs = []
        for seed in options.seeds:
            start = time.perf_counter()
            vae, nats = train(digits, options, seed)
            runs.append(Run(seed, nats, time.perf_counter() - start))
            active = vae.history_["active_units"][-1]
            print(
                f"{figure.name}, seed {seed}: {nats:.2f} nats, {active:.0f} active units, "
                f"{runs[-1].seconds:.0f} s",
                flush=True,
            )
        seconds = sum(run.seconds for run in runs) / len(runs)
        lines.append(
            f"| {figure.name} | {figure.published} | {figure.target} | {summary(runs, 2)} | {seconds:.0f} s |"
        )
    print("\n| network | published | target | here, nats a test image | time a run |\n|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
