"""Eager PyTorch with its own defaults, and its other execution modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function, Gradient, Native
from convsuite.case import Case, Operand, Support
from convsuite_backends.torch.adaptive import AdaptivePools
from convsuite_backends.torch.arrays import laid_out
from convsuite_backends.torch.avg_pool import AveragePools
from convsuite_backends.torch.conv import Convolutions
from convsuite_backends.torch.conv_transpose import TransposedConvolutions
from convsuite_backends.torch.depthwise import DepthwiseConvolutions
from convsuite_backends.torch.learning import Learning
from convsuite_backends.torch.local_conv import LocalConvolutions
from convsuite_backends.torch.lp_pool import PowerPools
from convsuite_backends.torch.max_pool import MaxPools

if TYPE_CHECKING:
    from convsuite.case import Array
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase
    from convsuite.operations.learn_kernel import LearnKernelCase


class Torch(
    DepthwiseConvolutions,
    Convolutions,
    TransposedConvolutions,
    Learning,
    MaxPools,
    PowerPools,
    AveragePools,
    LocalConvolutions,
    AdaptivePools,
):
    """Eager PyTorch with its own defaults."""


class TorchChannelsLast(Torch):
    """Eager, with input, weight and output gradient in the channels_last memory format."""

    def lack(self, case: Case) -> str:
        """Say that the format has no word for rank 1."""
        said = "torch's channels_last memory format is for 4-D and 5-D tensors"
        return said if case.rank == 1 else super().lack(case)

    def _in_channels_last(self, case: Case) -> bool:
        return case.operands[0].memory_format in ("contiguous", "channels_last")

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return a channels_last tensor, unless the operand itself asks for another format."""
        tensor = super().to_native(array, operand, case)
        return (
            laid_out(tensor, "channels_last") if operand.memory_format == "contiguous" and tensor.dim() > 1 else tensor
        )


class TorchNoMkldnn(Torch):
    """Eager, without oneDNN: torch's own CPU kernels."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import torch

        torch.backends.mkldnn.enabled = False


class TorchNoTf32(Torch):
    """Eager on a GPU, with cuDNN and cuBLAS held to float32 products: by default they round operands to TF32."""

    devices: ClassVar[tuple[str, ...]] = ("cuda",)

    def __init__(self, device: str = "cuda") -> None:
        super().__init__(device)
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


class TorchCompile(Torch):
    """torch.compile with static shapes; gradients differentiate the compiled forward pass."""

    _max_pool_tie = "first"
    _RESET_EVERY = 64  # compiled geometries kept, so that memory does not grow with the number of cases

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import torch

        self._compiled = 0
        # every geometry is a recompilation of the same method, and the default limit is 8
        torch._dynamo.config.recompile_limit = 2 * self._RESET_EVERY
        torch._dynamo.config.accumulated_recompile_limit = 2 * self._RESET_EVERY
        torch._functorch.config.donated_buffer = False  # a benchmark runs one graph's backward pass again and again

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function compiled for one geometry."""
        import torch

        self._compiled += 1
        if self._compiled % self._RESET_EVERY == 0:
            torch.compiler.reset()
        return torch.compile(function, fullgraph=True, dynamic=False)  # type: ignore[no-any-return]

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare that a training loop with autograd in it is no single graph."""
        return Support.unsupported("torch.compile(fullgraph=True) cannot trace loss.backward()")

    def _adaptive_max_pool_tie(self, case: AdaptiveMaxPoolCase) -> str:
        """Return Inductor's own rule; of three axes it calls torch's kernel."""
        return "first" if case.rank < 3 else super()._adaptive_max_pool_tie(case)

    def backward(self, case: Case) -> Gradient:
        """Return the gradients through the compiled forward pass; autograd itself cannot be traced whole."""
        return self.gradient(self.forward(case), case)
