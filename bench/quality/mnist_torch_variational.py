"""PyTorch's example of a variational autoencoder, over seeds: how far its published test loss is one draw's.

    python bench/quality/mnist_torch_variational.py mnist.npz

784-400-20, relu, grey pixels as probabilities, Adam at 1e-3, batches of 128, 10 epochs, weights as PyTorch
initialises them; minus the evidence lower bound of the test images, one sample each, in nats. That is
examples/vae/main.py of PyTorch's repository, but for images that are read from memory.
"""

import functools
import statistics
from typing import Self

import torch
from mnist import Float32Array, load, parser, run_seeds, summary
from torch import Tensor, nn
from torch.nn import functional

BATCH_SIZE = 128


class VariationalAutoencoder(nn.Module):
    """The example's network, with what `run_seeds` asks for."""

    def __init__(self, epochs: int, seed: int) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.epochs = epochs
        self.hidden = nn.Linear(784, 400)
        self.mean = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def minus_bound(self, x: Tensor) -> Tensor:
        """Return minus the evidence lower bound, summed over the rows x."""
        hidden = torch.relu(self.hidden(x))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        surprise = functional.binary_cross_entropy(self.decoder(code), x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
        return surprise + divergence

    def fit(self, X: Float32Array, *, X_val: None = None) -> Self:
        del X_val
        rows = torch.from_numpy(X)
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(rows)).split(BATCH_SIZE):
                optimizer.zero_grad()
                self.minus_bound(rows[chosen]).backward()
                optimizer.step()
        return self


@torch.inference_mode()
def nats(of: VariationalAutoencoder, X: Float32Array) -> float:
    """Return minus the evidence lower bound of a test image, the mean."""
    batches = torch.from_numpy(X).split(BATCH_SIZE)
    return sum(float(of.minus_bound(batch)) for batch in batches) / len(X)


def main() -> None:
    options = parser(__doc__.partition("\n")[0], epochs=10).parse_args()
    if options.n_jobs is not None:
        torch.set_num_threads(options.n_jobs)
    make = functools.partial(VariationalAutoencoder, options.epochs)
    runs = run_seeds("784-400-20, grey", make, load(options.data), nats, options.seeds)
    seconds = statistics.fmean(run.seconds for run in runs)
    print(f"\nPyTorch {torch.__version__}: {summary(runs, 2)} nats a test image, {seconds:.0f} s a fit")


if __name__ == "__main__":
    main()
