"""A step of training wide top-k autoencoders: on lists of active units, dense, and PyTorch's; random rows.

    python bench/top_k.py                     # 4096 inputs, 16384 units, 32 of them active, on 2 threads
    python bench/top_k.py --rows 256 --sides diabolo,torch-bag

Every side has a process of its own, the same rows and Adam; it takes an epoch of a few steps to warm up, then
epochs until it has had its seconds, and the fastest counts. Sides:

    diabolo         the decoder and all gradients from lists of active units; Adam exact for all weights
    diabolo-lazy    the same with lazy_adam=True
    diabolo-dense   the same network without top-k: what zeros in a dense code would cost, but their choice
    torch-bag       a product, torch.topk, the decoder as an EmbeddingBag of weighted rows, fused Adam
    torch-select    the decoder as index_select and a weighted sum, fused Adam
    torch-lazy      EmbeddingBag with sparse gradients and SparseAdam; fused Adam for the encoder
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

SIDES = ("diabolo", "diabolo-lazy", "diabolo-dense", "torch-bag", "torch-select", "torch-lazy")


def diabolo_step(side: str, o: argparse.Namespace) -> Callable[[], float]:
    """Return a function that takes an epoch of steps and returns their mean loss."""
    from diabolo import _core

    dense = (
        _core.Dense("encoder.0", o.inputs, o.units, "identity", "glorot_uniform"),
        _core.Dense("decoder.0", o.units, o.inputs, "identity", "glorot_uniform"),
    )
    layers = [dense[0], *([] if side == "diabolo-dense" else [_core.TopK(o.units, o.k)]), dense[1]]
    model = _core.Model(layers, len(layers) - 1, 0, o.threads)
    rule = _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0)
    trainer = _core.Trainer(
        model,
        _core.Rows(rows(o)),
        None,
        loss="mse",
        batch_size=o.rows,
        epochs=1,
        learning_rate=1e-4,
        schedule=_core.Schedule.constant(),
        rule=rule.lazy() if side == "diabolo-lazy" else rule,
        l1=0.0,
        l2=0.0,
        clip_norm=0.0,
        shuffle="none",
        seed=0,
        threads=o.threads,
    )
    return lambda: trainer.run_epoch(None).loss


def torch_step(side: str, o: argparse.Namespace) -> Callable[[], float]:
    """Return the same of PyTorch."""
    import torch

    torch.set_num_threads(o.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    batches = torch.from_numpy(rows(o)).split(o.rows)
    encoder = torch.nn.Linear(o.inputs, o.units)
    bag = torch.nn.EmbeddingBag(o.units, o.inputs, mode="sum", sparse=side == "torch-lazy")
    torch.nn.init.xavier_uniform_(bag.weight)
    bias = torch.nn.Parameter(torch.zeros(o.inputs))
    dense = [*encoder.parameters(), bias]
    if side == "torch-lazy":
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Adam(dense, 1e-4, fused=True),
            torch.optim.SparseAdam(list(bag.parameters()), 1e-4),
        ]
    else:
        optimizers = [torch.optim.Adam([*dense, *bag.parameters()], 1e-4, fused=True)]

    def step(x: torch.Tensor) -> float:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        values, units = torch.topk(encoder(x), o.k, dim=1)
        if side == "torch-select":
            chosen = torch.index_select(bag.weight, 0, units.flatten()).view(*units.shape, o.inputs)
            y = torch.einsum("rk,rkf->rf", values, chosen) + bias
        else:
            y = bag(units, per_sample_weights=values) + bias
        loss = torch.nn.functional.mse_loss(y, x)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return float(loss.detach())

    return lambda: sum(map(step, batches)) / len(batches)


def rows(o: argparse.Namespace) -> np.ndarray:
    shape = (o.steps * o.rows, o.inputs)
    return np.random.default_rng(0).random(shape, dtype=np.float32) - np.float32(0.5)


def measure(side: str, o: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of a step in the fastest epoch, the number of epochs, and the loss of the last."""
    epoch = (diabolo_step if side.startswith("diabolo") else torch_step)(side, o)
    epoch()
    fastest, epochs, loss = float("inf"), 0, 0.0
    end = time.perf_counter() + o.seconds
    while epochs < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        loss = epoch()
        fastest = min(fastest, (time.perf_counter() - start) / o.steps)
        epochs += 1
    return {"seconds": fastest, "epochs": epochs, "loss": loss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("inputs", 4096), ("units", 16384), ("k", 32), ("rows", 1024), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default %(default)s")
    parser.add_argument("--steps", type=int, default=4, help="of an epoch, default %(default)s")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each side")
    parser.add_argument("--sides", default=",".join(SIDES), help="default %(default)s")
    parser.add_argument("--torch-python", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--measure", choices=SIDES, help=argparse.SUPPRESS)  # in a process of its own
    o = parser.parse_args()
    if o.measure:
        print(json.dumps(measure(o.measure, o)))
        return
    settings = [
        f"--{name}={getattr(o, name)}"
        for name in ("inputs", "units", "k", "rows", "threads", "steps", "seconds")
    ]
    print(f"{o.inputs} inputs, {o.units} units, k = {o.k}, batches of {o.rows}, {o.threads} threads\n")
    print("| side | ms a step | rows/s | epochs | loss |\n|---|---|---|---|---|")
    for side in o.sides.split(","):
        python = sys.executable if side.startswith("diabolo") else o.torch_python
        command = [python, __file__, f"--measure={side}", *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"| {side} | failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]} |")
            continue
        found = json.loads(done.stdout)
        milliseconds, rate = 1e3 * found["seconds"], o.rows / found["seconds"]
        print(
            f"| {side} | {milliseconds:.0f} | {rate:.0f} | {found['epochs']} | {found['loss']:.5f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
