"""Minus the evidence lower bound, and the likelihood, of variational autoencoders on MNIST's test images.

"grey" is PyTorch's example: 784-400-20, relu, grey pixels as probabilities, Adam at 1e-3, batches of 128, 10
epochs, weights and biases that begin as in PyTorch; what is published is the test loss that program prints.
"grey, lower rate at the end" differs in its learning rate, a fifth for the last two epochs. "binary" has
binary images, drawn anew from the grey ones for every epoch, and one stochastic layer of 50, as Burda, Grosse
and Salakhutdinov (2016, table 1, k = 1), who give minus the log-likelihood by 5000 samples.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from mnist import Digits, Float32Array, Run, load, parser, summary

from diabolo import ConstantRate, CosineDecay, Schedule, StepDecay, VariationalAutoEncoder


def grey(options: argparse.Namespace, schedule: Schedule, seed: int) -> VariationalAutoEncoder:
    """Return the network of PyTorch's example, untrained."""
    return VariationalAutoEncoder(
        20,
        hidden_layer_sizes=(400,),
        likelihood="bernoulli",
        initializer=options.initializer,
        batch_size=128,
        epochs=options.epochs,
        schedule=schedule,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    )


def of_grey(digits: Digits, options: argparse.Namespace, seed: int) -> tuple[VariationalAutoEncoder, float]:
    """Return PyTorch's example and minus its evidence lower bound, one sample a row."""
    vae = grey(options, ConstantRate(), seed).fit(digits.train)
    return vae, -float(vae.elbo(digits.test).mean())


def of_grey_with_lower_rate(
    digits: Digits, options: argparse.Namespace, seed: int
) -> tuple[VariationalAutoEncoder, float]:
    """Return the same, its learning rate a fifth of it for the last two epochs."""
    vae = grey(options, StepDecay(max(1, options.epochs - 2), 0.2), seed).fit(digits.train)
    return vae, -float(vae.elbo(digits.test).mean())


def of_binary(digits: Digits, options: argparse.Namespace, seed: int) -> tuple[VariationalAutoEncoder, float]:
    """Return a deeper one and minus the log-likelihood of binary test images, drawn once."""
    random = np.random.default_rng(seed)
    vae = VariationalAutoEncoder(
        50,
        hidden_layer_sizes=(options.width, options.width),
        activation=options.activation,
        likelihood="bernoulli",
        learning_rate=options.learning_rate,
        schedule=CosineDecay(warmup_epochs=0, final_fraction=0.01),
        batch_size=128,
        epochs=options.binary_epochs,
        matmul_precision=options.matmul_precision,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
    ).fit_blocks(lambda: drawn(digits.train, random))
    (test,) = drawn(digits.test, np.random.default_rng(0))
    return vae, -float(vae.log_likelihood(test, options.samples).mean())


def drawn(images: Float32Array, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield, once, binary images: each pixel is 1 with its grey value as the probability."""
    yield (random.random(images.shape, dtype=np.float32) < images).astype(np.uint8)


class Case(NamedTuple):
    network: str
    published: str
    reach: str
    train: Callable[[Digits, argparse.Namespace, int], tuple[VariationalAutoEncoder, float]]


CASES = {
    "grey": Case("784-400-20", "105.59 (PyTorch's example)", "105.6", of_grey),
    "grey, lower rate at the end": Case("784-400-20", "-", "105.6", of_grey_with_lower_rate),
    "binary": Case("784-512-512-50", "86.8 (Burda et al., 5000 samples)", "88.5", of_binary),
}


def main() -> None:
    options_of = parser(__doc__.partition("\n")[0], epochs=10)
    options_of.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options_of.add_argument("--initializer", default="fan_in_uniform", help="of the grey cases")
    options_of.add_argument("--binary-epochs", type=int, default=300, help="default %(default)s")
    options_of.add_argument("--width", type=int, default=512, help="of the binary case's hidden layers")
    options_of.add_argument("--activation", default="tanh", help="and what they compute")
    options_of.add_argument("--learning-rate", type=float, default=1e-3, help="of the binary case")
    options_of.add_argument("--matmul-precision", default="bfloat16", help="of the binary case")
    options_of.add_argument("--samples", type=int, default=500, help="of the log-likelihood")
    options_of.add_argument("--rows", type=int, default=None, help="of each set, for a quick look")
    options = options_of.parse_args()
    digits = Digits(*(images[: options.rows] for images in load(options.data)))
    lines = []
    for name in options.cases:
        case = CASES[name]
        runs = []
        for seed in options.seeds:
            start = time.perf_counter()
            vae, nats = case.train(digits, options, seed)
            runs.append(Run(seed, nats, time.perf_counter() - start))
            history = vae.history_
            active = history.get("active_units")  # blocks of rows leave none
            print(
                f"{name}, seed {seed}: {nats:.2f} nats, training {history['loss'][-1]:.2f}, "
                + (f"{active[-1]:.0f} active units, " if active else "")
                + f"{runs[-1].seconds:.0f} s",
                flush=True,
            )
        seconds = statistics.fmean(run.seconds for run in runs)
        lines.append(
            f"| {case.network}, {name} | {summary(runs, 2)} | {case.reach} | {case.published} "
            f"| {seconds:.0f} |"
        )
    print(
        "\n| network | nats a test image | to reach | published | seconds a run |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
