"""One side of `sparse_rows.py`, in a process of its own: trains on sparse rows, prints a line of JSON.

    python bench/sparse_sides.py SIDE FOLDER --code 64 --batch-size 256 --epochs 2 --threads 2

FOLDER has values.npy, columns.npy, starts.npy and features.npy. The network is features-code-features with
relu at the code, squared error and Adam. Before anything is timed, its first batches are trained on in their
order, from the weights that all sides begin with: the mean loss of those is part of the line.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from data import SEED, initial_weights
from peers import LEARNING_RATE

CHECKED_BATCHES = 20
BLOCK_ROWS = 4096  # that are dense at a time, where they are


def load(folder: Path) -> Any:
    """Return the rows, a CSR array."""
    arrays = [np.load(folder / f"{name}.npy") for name in ("values", "columns", "starts", "features")]
    values, columns, starts, features = arrays
    return sparse.csr_array((values, columns, starts), shape=(len(starts) - 1, int(features)))


def batch_numbers(rows: int, batch_size: int, random: np.random.Generator | None) -> Iterator[Any]:
    """Yield the rows of each batch of an epoch, in a new order or as they come."""
    order = np.arange(rows) if random is None else random.permutation(rows)
    yield from np.split(order, range(batch_size, rows, batch_size))


# ---- diabolo ----


class Diabolo:
    """`AutoEncoder` on the CSR array, or by `fit_blocks` on blocks of it made dense."""

    def __init__(self, X: Any, code: int, batch_size: int, threads: int, *, blocks: bool) -> None:
        from diabolo import AutoEncoder

        self.X, self.batch_size, self.blocks = X, batch_size, blocks
        (k0, b0), (k1, b1) = initial_weights((X.shape[1], code, X.shape[1]), SEED)
        self.weights = {
            "encoder.0.kernel": k0,
            "encoder.0.bias": b0,
            "decoder.0.kernel": k1,
            "decoder.0.bias": b1,
        }
        self.estimator = AutoEncoder(
            code,
            code_activation="relu",
            learning_rate=LEARNING_RATE,
            batch_size=batch_size,
            epochs=1,
            warm_start=True,
            random_state=SEED,
            n_jobs=threads,
        )
        self.estimator.fit(X[:1])

    def train(self, rows: int, *, shuffle: bool) -> tuple[float, float]:
        """Train an epoch on the first rows, from the initial weights; return its loss and its seconds."""
        ae, X = self.estimator.set_weights(self.weights).set_params(shuffle=shuffle), self.X[:rows]
        if self.blocks:
            ae.fit_blocks(lambda: (X[at : at + BLOCK_ROWS].toarray() for at in range(0, rows, BLOCK_ROWS)))
        else:
            ae.fit(X)
        return ae.history_["loss"][0], ae.history_["seconds"][0]


# ---- PyTorch ----


class Torch:
    """The backward pass written out, nothing dense but the output, one fused Adam over one flat parameter.

    The loss needs no dense target: mean (y - t)^2 = (sum y^2 + sum over stored t (t - 2 y)) / n. `first` says
    how the first product and its gradient are computed: by sparse CSR products, by an embedding bag and
    index_add, or on batches made dense, which then also are the target.
    """

    def __init__(self, X: Any, code: int, batch_size: int, threads: int, *, first: str) -> None:
        import torch

        from peers.torch_adam import FlatParameters

        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self.torch, self.X, self.batch_size, self.first = torch, X, batch_size, first
        self.initial = initial_weights((X.shape[1], code, X.shape[1]), SEED)
        self.parameters = FlatParameters(self.initial)
        (self.k0, self.k1), (self.b0, self.b1) = self.parameters.kernels, self.parameters.biases
        self.dk0, self.dk1 = self.parameters.kernel_gradients
        self.db0, self.db1 = self.parameters.bias_gradients
        self.y = torch.empty(batch_size, X.shape[1])
        self.dense = torch.empty(batch_size, X.shape[1]) if first == "dense" else None

    def train(self, rows: int, *, shuffle: bool) -> tuple[float, float]:
        torch = self.torch
        self.parameters.reset(self.initial)
        random = np.random.default_rng(SEED) if shuffle else None
        total = torch.zeros((), dtype=torch.float64)
        started = time.perf_counter()
        with torch.inference_mode():
            for numbers in batch_numbers(rows, self.batch_size, random):
                total += len(numbers) * self._step(self.X[numbers])
        return float(total) / rows, time.perf_counter() - started

    def _step(self, x: Any) -> Any:
        torch, (rows, features) = self.torch, x.shape
        values, columns = torch.from_numpy(x.data), torch.from_numpy(x.indices)
        row_of = torch.from_numpy(np.repeat(np.arange(rows), np.diff(x.indptr)))
        place = row_of * features + columns
        h = self._first_product(x, values, columns, place).relu_()
        y = torch.addmm(self.b1, h, self.k1, out=self.y[:rows])
        n = y.numel()
        if self.dense is not None:
            delta = y.sub_(self.dense[:rows])
            loss = delta.square().sum() / n
            delta.mul_(2.0 / n)
        else:
            at_stored = y.view(-1)[place]
            loss = (torch.dot(y.view(-1), y.view(-1)) + torch.dot(values, values - 2 * at_stored)) / n
            delta = y.mul_(2.0 / n)
            delta.view(-1).index_add_(0, place, values, alpha=-2.0 / n)
        torch.mm(h.t(), delta, out=self.dk1)
        torch.sum(delta, 0, out=self.db1)
        below = torch.mm(delta, self.k1.t()).mul_(h > 0)
        self._first_gradient(x, below, values, columns, row_of)
        torch.sum(below, 0, out=self.db0)
        self.parameters.update()
        return loss

    def _first_product(self, x: Any, values: Any, columns: Any, place: Any) -> Any:
        torch = self.torch
        if self.dense is not None:
            self.dense.zero_()
            self.dense.view(-1)[place] = values
            return torch.addmm(self.b0, self.dense[: x.shape[0]], self.k0)
        starts = torch.from_numpy(x.indptr)
        if self.first == "csr":
            return torch.addmm(self.b0, torch.sparse_csr_tensor(starts, columns, values, x.shape), self.k0)
        bag = torch.nn.functional.embedding_bag(
            columns, self.k0, starts[:-1], mode="sum", per_sample_weights=values
        )
        return bag.add_(self.b0)

    def _first_gradient(self, x: Any, below: Any, values: Any, columns: Any, row_of: Any) -> None:
        torch = self.torch
        if self.dense is not None:
            torch.mm(self.dense[: x.shape[0]].t(), below, out=self.dk0)
        elif self.first == "csr":
            turned = x.T.tocsr()
            indices, starts = torch.from_numpy(turned.indices), torch.from_numpy(turned.indptr)
            sparse_t = torch.sparse_csr_tensor(starts, indices, torch.from_numpy(turned.data), turned.shape)
            self.dk0.copy_(torch.mm(sparse_t, below))
        else:
            self.dk0.zero_()
            self.dk0.index_add_(0, columns, below[row_of].mul_(values[:, None]))


SIDES: dict[str, Callable[..., Any]] = {
    "diabolo": lambda *given: Diabolo(*given, blocks=False),
    "diabolo, blocks made dense": lambda *given: Diabolo(*given, blocks=True),
    "PyTorch, sparse CSR": lambda *given: Torch(*given, first="csr"),
    "PyTorch, embedding bag": lambda *given: Torch(*given, first="bag"),
    "PyTorch, batches made dense": lambda *given: Torch(*given, first="dense"),
}


def own_peak() -> float:
    """Return the most memory that this process has had, in MB."""
    # Not getrusage, which counts the parent's memory before the exec too.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("side", choices=list(SIDES))
    parser.add_argument("folder", type=Path)
    for name in ("code", "batch-size", "epochs", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    o: Any = parser.parse_args()
    X: Any = load(o.folder)
    loaded = own_peak()
    side = SIDES[o.side](X, o.code, o.batch_size, o.threads)
    checked = min(CHECKED_BATCHES * o.batch_size, X.shape[0])
    first_loss, _ = side.train(checked, shuffle=False)
    seconds = [side.train(X.shape[0], shuffle=True)[1] for _ in range(o.epochs)]
    print(json.dumps({"loaded": loaded, "peak": own_peak(), "loss": first_loss, "seconds": seconds}))


if __name__ == "__main__":
    main()
