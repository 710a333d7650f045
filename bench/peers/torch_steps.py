"""PyTorch's forms of a training step: by autograd or written out, eager or compiled. No epochs, no data.

Kernels lie as (inputs, outputs). Each step takes a batch, updates the weights by Adam in place and returns
the mean loss before that as a tensor, so that nobody waits for it.
"""

import contextlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from data import Layer
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE
from peers.torch_adam import FlatParameters


def logits(x: Tensor, kernels: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Return the network's output before the sigmoid."""
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        x = torch.addmm(bias, x, kernel)
        if index < len(kernels) - 1:
            x = torch.relu(x)
    return x


class AutogradStep:
    """Forward pass and loss by autograd, perhaps compiled, perhaps under autocast; then the fused Adam."""

    def __init__(self, weights: Sequence[Layer], *, compiled: bool, bfloat16: bool) -> None:
        self.kernels = [torch.tensor(kernel, requires_grad=True) for kernel, _ in weights]
        self.biases = [torch.tensor(bias, requires_grad=True) for _, bias in weights]
        self.bfloat16 = bfloat16
        self.loss = torch.compile(self._loss, dynamic=False) if compiled else self._loss
        self.reset(weights)

    def reset(self, weights: Sequence[Layer]) -> None:
        parameters = [*self.kernels, *self.biases]
        with torch.no_grad():
            for parameter, value in zip(
                parameters, [*(kernel for kernel, _ in weights), *(bias for _, bias in weights)], strict=True
            ):
                parameter.copy_(torch.from_numpy(value))
        self.optimizer = torch.optim.Adam(
            parameters, LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )

    def __call__(self, x: Tensor) -> Tensor:
        loss = self.loss(x)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _loss(self, x: Tensor) -> Tensor:
        precision = torch.autocast("cpu", dtype=torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()
        with precision:
            z = logits(x, self.kernels, self.biases)
        return F.binary_cross_entropy_with_logits(z.float(), x)


class WrittenStep:
    """The backward pass written out: no autograd, no new memory, one fused Adam over one flat parameter."""

    def __init__(self, weights: Sequence[Layer], rows: int) -> None:
        self.parameters = FlatParameters(weights)
        self.outputs = [torch.empty(rows, bias.numel()) for bias in self.parameters.biases]
        self.deltas = [torch.empty(rows, bias.numel()) for bias in self.parameters.biases]

    def reset(self, weights: Sequence[Layer]) -> None:
        self.parameters.reset(weights)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        of = self.parameters
        last = len(of.kernels) - 1
        y = x
        for index, (kernel, bias, output) in enumerate(zip(of.kernels, of.biases, self.outputs, strict=True)):
            y = torch.addmm(bias, y, kernel, out=output)
            if index < last:
                y.relu_()
        loss = F.binary_cross_entropy_with_logits(y, x)
        delta = torch.sigmoid(y, out=self.deltas[last]).sub_(x).mul_(1.0 / x.numel())
        for index in range(last, -1, -1):
            below = self.outputs[index - 1] if index else x
            torch.mm(below.t(), delta, out=of.kernel_gradients[index])
            torch.sum(delta, 0, out=of.bias_gradients[index])
            if index:
                down = torch.mm(delta, of.kernels[index].t(), out=self.deltas[index - 1])
                delta = torch.ops.aten.threshold_backward.grad_input(down, below, 0, grad_input=down)
        of.update()
        return loss


class CompiledStep:
    """The whole step, Adam included, written out and compiled as one graph."""

    def __init__(self, weights: Sequence[Layer], *, bfloat16: bool) -> None:
        self.kernels = [torch.tensor(kernel) for kernel, _ in weights]
        self.biases = [torch.tensor(bias) for _, bias in weights]
        parameters = [*self.kernels, *self.biases]
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.dtype = torch.bfloat16 if bfloat16 else torch.float32
        self.step = torch.compile(self._step, dynamic=False, fullgraph=True)
        self.steps = 0

    def reset(self, weights: Sequence[Layer]) -> None:
        for kernel, bias, (first, second) in zip(self.kernels, self.biases, weights, strict=True):
            kernel.copy_(torch.from_numpy(first))
            bias.copy_(torch.from_numpy(second))
        for state in (*self.first, *self.second):
            state.zero_()
        self.steps = 0

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        self.steps += 1
        root = (1.0 - BETA_2**self.steps) ** 0.5
        rate = LEARNING_RATE * root / (1.0 - BETA_1**self.steps)
        loss: Tensor = self.step(x, torch.tensor(rate), torch.tensor(EPSILON * root))
        return loss

    def _step(self, x: Tensor, rate: Tensor, epsilon: Tensor) -> Tensor:
        last = len(self.kernels) - 1
        kernels = [kernel.to(self.dtype) for kernel in self.kernels]
        outputs = [x.to(self.dtype)]
        for index, kernel in enumerate(kernels):
            z = torch.addmm(self.biases[index].to(self.dtype), outputs[-1], kernel)
            outputs.append(torch.relu(z) if index < last else z)
        z = outputs[-1].float()
        loss = (F.softplus(z) - x * z).mean()
        delta = ((torch.sigmoid(z) - x) * (1.0 / x.numel())).to(self.dtype)
        for index in range(last, -1, -1):
            gradient = torch.mm(outputs[index].t(), delta).float()
            bias_gradient = delta.float().sum(0)
            if index:
                down = torch.mm(delta, kernels[index].t())
                delta = torch.where(outputs[index] > 0, down, 0)
            self._adam(self.kernels[index], gradient, index, rate, epsilon)
            self._adam(self.biases[index], bias_gradient, last + 1 + index, rate, epsilon)
        return loss

    def _adam(self, w: Tensor, g: Tensor, index: int, rate: Tensor, epsilon: Tensor) -> None:
        m, v = self.first[index], self.second[index]
        m.mul_(BETA_1).add_(g, alpha=1.0 - BETA_1)
        v.mul_(BETA_2).add_(g * g, alpha=1.0 - BETA_2)
        w.sub_(rate * m / (v.sqrt() + epsilon))
