"""torch tensors in and out, their memory formats, and autograd."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function, Gradient, GradientCall, Native
from convsuite.case import Case, Numerics, Operand, Pass
from convsuite.errors import DeviceError
from convsuite_backends._framework import Framework

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array


class TorchArrays(Framework):
    """What every operation on torch needs, and Keras on torch."""

    requires: ClassVar[tuple[str, ...]] = ("torch",)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import torch

        if self._on_gpu and not torch.cuda.is_available():
            raise DeviceError(f"torch {torch.__version__} finds no GPU: install a CUDA build, or run with --device cpu")
        self._device_number(torch.cuda.device_count() if self._on_gpu else 1)
        if threads := os.environ.get("CONVSUITE_THREADS"):
            torch.set_num_threads(int(threads))

    def versions(self) -> Mapping[str, str]:
        """Return the versions of torch and of the libraries that compute for it, and the GPU's name."""
        import torch

        found = {"torch": torch.__version__}
        if onednn := re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show()):
            found["onednn"] = onednn[1]
        if self._on_gpu:
            found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
            found["gpu"] = torch.cuda.get_device_name(self.device)
        return found

    def lack(self, case: Case) -> str:
        """Say that torch has one logical order of axes."""
        said = "torch takes (N, C, *spatial) only; its channels_last is a memory format"
        return said if case.layout == "channels_last" else ""

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32 on GPUs, which cuDNN has by default, beside what the operation declares."""
        import torch

        usual = super().numerics(case, pass_)
        return replace(usual, tf32=self._tensor_cores(case, pass_) and torch.backends.cudnn.allow_tf32)

    def _in_channels_last(self, case: Case) -> bool:
        """Tell whether the input lies in memory as channels_last."""
        return case.operands[0].memory_format == "channels_last"

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return a tensor whose elements lie in memory as the operand asks."""
        return laid_out(self._tensor(array, case), operand.memory_format)

    def to_numpy(self, result: Native, role: str, case: Case) -> NDArray[np.generic]:
        """Return the result; bfloat16 as float32, which holds all its values."""
        return self._array(result)

    def _tensor(self, array: Array, case: Case) -> Native:
        import torch

        return torch.tensor(array, dtype=getattr(torch, case.dtype), device=self.device)

    def _array(self, result: Native) -> NDArray[np.generic]:
        import torch

        result = result.detach().cpu()
        return (result.float() if result.dtype == torch.bfloat16 else result).numpy()  # type: ignore[no-any-return]

    def synchronize(self, result: Native) -> None:
        """Wait for the GPU; on the CPU torch returns when it has computed."""
        if self._on_gpu:
            import torch

            torch.cuda.synchronize(self.device)

    def gradient(self, function: Function, case: Case) -> Gradient:
        """Return torch.autograd's gradients; an operand that the output does not depend on is an error there."""
        import torch

        def gradients(operands: Sequence[Native], grad_output: Native) -> Sequence[Native]:
            leaves = [operand.detach().requires_grad_() for operand in operands]
            return torch.autograd.grad(function(*leaves), leaves, grad_output)  # type: ignore[no-any-return]

        return gradients

    def gradient_of(self, case: Case, pass_: Pass) -> GradientCall:
        """Return autograd's backward pass alone, to one operand: the graph of the forward pass is kept."""
        import torch

        function, number = self.forward(case), self.role_number(case, pass_)

        def bind(operands: Sequence[Native], grad_output: Native) -> Callable[[], Native]:
            leaves = [operand.detach().requires_grad_(at == number) for at, operand in enumerate(operands)]
            y = function(*leaves)
            return lambda: torch.autograd.grad(y, leaves[number], grad_output, retain_graph=True)[0]

        return bind

    def cache_flush(self) -> Callable[[], None] | None:
        """Return a call that overwrites twice the GPU's second-level cache."""
        import torch

        if not self._on_gpu:
            return None
        size = 2 * torch.cuda.get_device_properties(self.device).L2_cache_size
        held = torch.empty(size, dtype=torch.int8, device=self.device)

        def flush() -> None:
            held.zero_()
            torch.cuda.synchronize(self.device)

        return flush

    def workspace_bytes(self, call: Callable[[], Native]) -> int | None:
        """Return what PyTorch's allocator of GPU memory had given out at most during a call, less the result."""
        import torch

        if not self._on_gpu:
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        result = call()
        torch.cuda.synchronize(self.device)
        held: int = torch.cuda.max_memory_allocated(self.device) - before - result.nbytes
        return max(0, held)

    def device_clock(self) -> Callable[[Callable[[], Native], int], float] | None:
        """Return the time between two CUDA events around the launches, in seconds."""
        import torch

        if not self._on_gpu:
            return None
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

        def passed(launch: Callable[[], Native], number: int) -> float:
            begin.record()
            for _ in range(number):
                launch()
            end.record()
            end.synchronize()
            return float(begin.elapsed_time(end)) / 1e3

        return passed


def laid_out(tensor: Native, memory_format: str) -> Native:
    """Return an equal tensor with other strides; what a slice skips over is poisoned, so that reading it shows."""
    import torch

    match memory_format:
        case "channels_last" if tensor.dim() in (4, 5):
            formats = {4: torch.channels_last, 5: torch.channels_last_3d}
            return tensor.to(memory_format=formats[tensor.dim()])
        case "channels_last":
            return tensor.movedim(1, -1).contiguous().movedim(-1, 1)
        case "transposed":
            return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
        case "sliced":
            poison = float("nan") if tensor.is_floating_point() else 99
            twice = tensor.new_full((*tensor.shape[:-1], 2 * tensor.shape[-1]), poison)
            twice[..., ::2] = tensor
            return twice[..., ::2]
    return tensor
