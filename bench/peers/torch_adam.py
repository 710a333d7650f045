"""A network's parameters in one flat tensor of PyTorch's, and its fused Adam over all of them at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from data import Layer
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE


class FlatParameters:
    """Kernels (inputs, outputs), biases, and a gradient of each to fill in: views of two flat tensors."""

    def __init__(self, weights: Sequence[Layer]) -> None:
        sizes = [part.size for layer in weights for part in layer]
        shapes = [part.shape for layer in weights for part in layer]

        def views(flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
            return parts[::2], parts[1::2]

        self.flat, self.gradient, self.first, self.second = (torch.zeros(sum(sizes)) for _ in range(4))
        self.kernels, self.biases = views(self.flat)
        self.kernel_gradients, self.bias_gradients = views(self.gradient)
        self.steps = torch.zeros(())
        self.reset(weights)

    def reset(self, weights: Sequence[Layer]) -> None:
        """Begin anew with these weights."""
        for kernel, bias, (first, second) in zip(self.kernels, self.biases, weights, strict=True):
            kernel.copy_(torch.from_numpy(first))
            bias.copy_(torch.from_numpy(second))
        for state in (self.first, self.second, self.steps):
            state.zero_()

    def update(self) -> None:
        """Take a step of Adam by the gradients."""
        self.steps += 1
        torch._fused_adam_(
            [self.flat],
            [self.gradient],
            [self.first],
            [self.second],
            [],
            [self.steps],
            lr=LEARNING_RATE,
            beta1=BETA_1,
            beta2=BETA_2,
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
