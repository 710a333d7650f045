"""PyTorch on the networks of mnist_autoencoders.py and hinton_salakhutdinov.py: what "elsewhere" means there.

    python bench/quality/mnist_torch.py mnist.npz

Weights as PyTorch initialises them, rows in a new order each epoch, batches of 256, binary cross-entropy. The
small networks: relu in every layer but the last, Adam at 1e-3, 50 epochs. The deep one: gelu, a linear code,
Adam at 1e-3 that falls as a cosine over 100 epochs, and its error after each 25 of them.
"""

import argparse
import functools
import itertools
import math
import statistics
from typing import NamedTuple, Self

import torch
from mnist import Float32Array, load, parser, run_seeds, summary
from torch import Tensor, nn

BATCH_SIZE = 256
LEARNING_RATE = 1e-3
EPOCHS_BETWEEN_LOOKS = 25


class Case(NamedTuple):
    widths: tuple[int, ...]
    epochs: int
    deep: bool = False  # gelu, a linear code, a cosine, the summed squared error


CASES = {
    "784-32-784": Case((784, 32, 784), 50),
    "784-128-64-32-64-128-784": Case((784, 128, 64, 32, 64, 128, 784), 50),
    "784-1000-500-250-30-...": Case((784, 1000, 500, 250, 30, 250, 500, 1000, 784), 100, deep=True),
}


def network(case: Case) -> nn.Sequential:
    """Return the layers up to the logits of the pixels."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(case.widths)):
        layers.append(nn.Linear(inputs, outputs))
        is_code = index + 1 == len(case.widths) // 2
        if index + 2 < len(case.widths) and not (case.deep and is_code):
            layers.append(nn.GELU() if case.deep else nn.ReLU())
    return nn.Sequential(*layers)


class Autoencoder:
    """A network with what `run_seeds` asks for."""

    def __init__(self, case: Case, options: argparse.Namespace, seed: int) -> None:
        self.case = case
        self.epochs = options.epochs or case.epochs
        self.seed = seed
        self.test = torch.from_numpy(options.test)
        torch.manual_seed(seed)
        self.network = network(case)

    def fit(self, X: Float32Array, *, X_val: None = None) -> Self:
        del X_val
        rows, loss = torch.from_numpy(X), nn.BCEWithLogitsLoss()
        optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)
        steps = math.ceil(len(rows) / BATCH_SIZE) * self.epochs
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(1, self.epochs + 1):
            for chosen in torch.randperm(len(rows)).split(BATCH_SIZE):
                batch = rows[chosen]
                optimizer.zero_grad(set_to_none=True)
                loss(self.network(batch), batch).backward()
                optimizer.step()
                if self.case.deep:
                    cosine.step()
            if self.case.deep and epoch % EPOCHS_BETWEEN_LOOKS == 0:
                print(f"seed {self.seed}, epoch {epoch}: {error(self, self.test):.3f}", flush=True)
        return self


@torch.inference_mode()
def error(of: Autoencoder, X: Float32Array | Tensor) -> float:
    """Return the mean binary cross-entropy of pixels; of the deep network an image's summed squared error."""
    total, rows = 0.0, torch.as_tensor(X)
    for batch in rows.split(1000):
        logits = of.network(batch)
        if of.case.deep:
            total += float((torch.sigmoid(logits) - batch).square().sum())
        else:
            total += float(nn.functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum"))
    return total / len(rows) / (1 if of.case.deep else rows.shape[1])


def main() -> None:
    options_parser = parser(__doc__.partition("\n")[0], epochs=0)
    options_parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = options_parser.parse_args()
    if options.n_jobs is not None:
        torch.set_num_threads(options.n_jobs)
    digits = load(options.data)
    options.test = digits.test
    print(f"PyTorch {torch.__version__}")
    lines = []
    for name in options.cases:
        make = functools.partial(Autoencoder, CASES[name], options)
        runs = run_seeds(name, make, digits, error, options.seeds)
        seconds = statistics.fmean(run.seconds for run in runs)
        lines.append(f"| {name} | {summary(runs, 3 if CASES[name].deep else 5)} | {seconds:.0f} |")
    print("\n| network | error on the test images | seconds a fit |", "|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
