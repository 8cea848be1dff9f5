"""Gradient descent on a kernel in torch: autograd, and torch.optim.SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends.torch.arrays import TorchArrays

if TYPE_CHECKING:
    from convsuite.operations.learn_kernel import LearnKernelCase


class Learning(TorchArrays):
    """learn_kernel."""

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare the composition."""
        return Support.composed("F.conv, square and sum are the loss, loss.backward() and torch.optim.SGD each step")

    def learn_kernel(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Step by step: loss.backward(), then the optimizer's step."""
        import torch
        from torch.nn import functional

        conv = (functional.conv1d, functional.conv2d, functional.conv3d)[case.rank - 1]
        weight, rows = weight.detach().clone().requires_grad_(), []
        optimizer = torch.optim.SGD([weight], lr=case.learning_rate)
        for _ in range(case.steps):
            optimizer.zero_grad()
            loss = ((conv(x, weight) - target) ** 2).sum()
            loss.backward()
            optimizer.step()
            rows.append(torch.cat([loss.detach().reshape(1), weight.detach().reshape(-1)]))
        return torch.stack(rows)
