"""Gradient descent on a kernel in torch: autograd, and a step by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite_backends.torch.arrays import TorchArrays

if TYPE_CHECKING:
    from convsuite.operations.learn_kernel import LearnKernelCase


class Learning(TorchArrays):
    """learn_kernel."""

    def learn_kernel(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Step by step: loss.backward(), then subtract the gradient in place."""
        import torch
        from torch.nn import functional

        conv = (functional.conv1d, functional.conv2d, functional.conv3d)[case.rank - 1]
        weight, rows = weight.detach().clone().requires_grad_(), []
        for _ in range(case.steps):
            weight.grad = None
            loss = ((conv(x, weight) - target) ** 2).sum()
            loss.backward()
            with torch.no_grad():
                weight -= case.learning_rate * weight.grad
                rows.append(torch.cat([loss.detach().reshape(1), weight.reshape(-1)]))
        return torch.stack(rows)
