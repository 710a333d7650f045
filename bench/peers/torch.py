"""PyTorch as a peer: its forms of a training step (torch_steps.py) over an epoch, and of a forward pass.

Rows are gathered into one buffer by `index_select`; denormals are flushed, as NumPy cannot and XLA does.
"""

import functools
import platform
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from data import SEED, Array, Shuffler, initial_weights
from peers import Reconstruct, Task
from peers.torch_steps import AutogradStep, CompiledStep, WrittenStep, logits

DIFFERS = ""

torch.set_flush_denormal(True)  # before there are threads, which inherit it

_FORMS: dict[str, dict[str, Callable[[Task], Any]]] = {
    "float32": {
        "eager": lambda task: AutogradStep(_weights(task), compiled=False, bfloat16=False),
        "written out": lambda task: WrittenStep(_weights(task), task.batch_size),
        "compiled loss": lambda task: AutogradStep(_weights(task), compiled=True, bfloat16=False),
        "compiled step": lambda task: CompiledStep(_weights(task), bfloat16=False),
    },
    "bfloat16": {
        "eager, autocast": lambda task: AutogradStep(_weights(task), compiled=False, bfloat16=True),
        "compiled loss, autocast": lambda task: AutogradStep(_weights(task), compiled=True, bfloat16=True),
        "compiled step": lambda task: CompiledStep(_weights(task), bfloat16=True),
    },
}


def _weights(task: Task) -> list[tuple[Array, Array]]:
    return initial_weights(task.widths, SEED)


class TorchTrainer:
    def __init__(self, form: str, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.task = task
        self.step = _FORMS[task.precision][form](task)
        self.batch = torch.empty(task.batch_size, task.widths[0])

    def start(self, X: Array, *, shuffle: bool) -> None:
        self.step.reset(_weights(self.task))
        self.X, self.order = torch.from_numpy(X), Shuffler(len(X), shuffle=shuffle)

    def epoch(self) -> float:
        batches = torch.from_numpy(self.order()).view(-1, self.task.batch_size)
        total = torch.zeros(())
        for rows in batches:
            torch.index_select(self.X, 0, rows, out=self.batch)
            total += self.step(self.batch)
        return total.item() / len(batches)


def forms(precision: str) -> tuple[str, ...]:
    """Return the forms; those that are compiled need a compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    return tuple(form for form in _FORMS.get(precision, {}) if compiler or "compiled" not in form)


def facts() -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": str(torch.backends.mkldnn.is_available()),
        "python": platform.python_version(),
    }


def trainer(form: str, task: Task) -> TorchTrainer:
    return TorchTrainer(form, task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    torch.set_num_threads(task.threads)
    dtype = torch.bfloat16 if task.precision == "bfloat16" else torch.float32
    kernels = [torch.tensor(kernel, dtype=dtype) for kernel, _ in _weights(task)]
    biases = [torch.tensor(bias, dtype=dtype) for _, bias in _weights(task)]

    def forward(x: Tensor) -> Tensor:
        return torch.sigmoid(logits(x.to(dtype), kernels, biases).float())

    def from_numpy(network: Callable[[Tensor], Tensor], X: Array) -> Array:
        with torch.inference_mode():
            return network(torch.from_numpy(X)).numpy()

    networks: dict[str, Callable[[Tensor], Tensor]] = {"eager": forward}
    if len(forms(task.precision)) == len(_FORMS[task.precision]):
        networks["compiled"] = torch.compile(forward, dynamic=False)
    return {form: functools.partial(from_numpy, network) for form, network in networks.items()}
