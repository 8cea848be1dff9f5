"""PyTorch: torch.nn.functional, as its users call it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, cast

from convsuite.backend import Function, Gradient, Native
from convsuite.case import INTEGERS, Case, Numerics, Operand, Pass, Support
from convsuite.errors import DeviceError
from convsuite_backends import _layout
from convsuite_backends._framework import Framework

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array
    from convsuite.operations.conv import ConvCase


class Torch(Framework):
    """Eager PyTorch with its own defaults: conv1d, conv2d and conv3d of torch.nn.functional."""

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
        """Return the versions of torch and of the libraries that compute for it."""
        import torch

        found = {"torch": torch.__version__}
        if onednn := re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show()):
            found["onednn"] = onednn[1]
        if self._on_gpu:
            found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        return found

    def support(self, case: Case) -> Support:
        """Declare what takes F.pad or torch.flip beside the convolution."""
        if case.layout == "channels_last":
            return Support.unsupported("torch takes (N, C, *spatial) only; its channels_last is a memory format")
        case = cast("ConvCase", case)
        if case.dtype in INTEGERS and (self._on_gpu or max(case.dilation) > 1):
            where = "on GPUs" if self._on_gpu else "with dilation"
            return Support.unsupported(f"torch has no {case.dtype} convolution {where}")
        if _unbatched(case):
            return Support.unsupported("torch reads an input with one axis less as one sample without a batch axis")
        if case.expect.error is None and not (case.out_channels and all(case.input_shape[2:])):
            return Support.unsupported("torch refuses a weight without output channels, and an input without space")
        return _layout.composition(_steps(case))

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32 on GPUs, and where 16-bit sums are rounded on the way."""
        import torch

        tf32 = self._on_gpu and case.dtype == "float32" and torch.backends.cudnn.allow_tf32
        pads, kernels = _layout.pad_roundings(case, pass_), self._kernel_roundings(case, pass_)
        whose = "torch's own CPU kernels (no oneDNN)" if kernels else "F.pad's gradient"
        note = f"{whose}: partial sums are rounded to {case.dtype}"
        return _layout.narrowed(replace(super().numerics(case, pass_), tf32=tf32), case, pads + kernels, note)

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return a tensor whose elements lie in memory as the operand asks."""
        return _laid_out(self._tensor(array, case), operand.memory_format)

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

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv1d, conv2d or conv3d; pad before where it has no such padding."""
        import torch
        from torch.nn import functional

        call = (functional.conv1d, functional.conv2d, functional.conv3d)[case.rank - 1]
        if case.flip:
            weight = torch.flip(weight, tuple(range(2, 2 + case.rank)))
        padding = _padding(case)
        if padding is None:
            x, padding = _pad(case, x), "valid"
        return call(x, weight, bias, case.stride, padding, case.dilation, case.groups)

    def _kernel_roundings(self, case: Case, pass_: Pass) -> int:
        """Return how often torch's own CPU kernels round a 16-bit sum; oneDNN's, where they run, do not.

        The weight's gradient, and the bias' too where there is a dilation, is kept in the dtype from sample to sample;
        the input's from tap to tap.
        """
        if self._on_gpu or case.dtype not in _layout.HALVES or _onednn_has(case.dtype):
            return 0
        samples, taps, dilated = case.input_shape[0], prod(case.kernel), max(case.dilation) > 1
        match pass_:
            case Pass.GRAD_INPUT:
                return 2 * taps if taps > 1 else 0
            case Pass.GRAD_WEIGHT | Pass.GRAD_BIAS if pass_ is Pass.GRAD_WEIGHT or dilated:
                return samples if samples > 1 else 0
        return 0


def _onednn_has(dtype: str) -> bool:
    """Tell whether torch gives 16-bit convolutions to oneDNN, which depends on the processor."""
    import torch

    ask = torch.ops.mkldnn  # what torch itself asks before each convolution; there is no public name for it
    has = {"bfloat16": ask._is_mkldnn_bf16_supported, "float16": ask._is_mkldnn_fp16_supported}
    return bool(torch.backends.mkldnn.enabled and has[dtype]())


def _unbatched(case: ConvCase) -> bool:
    return len(case.input_shape) == case.rank + 1 and case.input_shape[0] == case.weight_shape[1] * case.groups


def _padding(case: ConvCase) -> str | tuple[int, ...] | None:
    """Return the padding as torch's own argument, or None where F.pad must do it."""
    padding = case.padding
    if _layout.same(padding.kinds, "valid"):
        return "valid"
    if padding.mode != "zeros":
        return None
    if _layout.same(padding.kinds, "same_upper") and set(case.stride) == {1}:
        return "same"
    return tuple(low for low, _ in padding.pads) if padding.symmetric and not padding.negative else None


def _pad(case: ConvCase, x: Native) -> Native:
    """Pad, and crop where a pad is negative, by F.pad; its pairs go from the last axis to the first."""
    from torch.nn import functional

    if case.padding.mode == "zeros":
        return functional.pad(x, [p for pair in reversed(case.padding.pads) for p in pair])
    x = functional.pad(x, [p for pair in reversed(_layout.grown(case)) for p in pair], mode=case.padding.mode)
    return x[(..., *_layout.kept(case))]


def _steps(case: ConvCase) -> list[str]:
    """Say what is called beside the convolution."""
    steps = []
    if _padding(case) is None:
        why = "asymmetric or negative" if case.padding.mode == "zeros" else case.padding.mode
        steps.append(f"F.pad before the convolution: its own padding is not {why}")
    if case.flip:
        steps.append("torch.flip of the weight")
    return steps


def _laid_out(tensor: Native, memory_format: str) -> Native:
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


class TorchChannelsLast(Torch):
    """Eager, with input, weight and output gradient in the channels_last memory format."""

    def support(self, case: Case) -> Support:
        """Declare rank 1 unsupported: the format has no word for it."""
        if case.rank == 1:
            return Support.unsupported("torch's channels_last memory format is for 4-D and 5-D tensors")
        return super().support(case)

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return a channels_last tensor, unless the operand itself asks for another format."""
        tensor = super().to_native(array, operand, case)
        return (
            _laid_out(tensor, "channels_last") if operand.memory_format == "contiguous" and tensor.dim() > 1 else tensor
        )


class TorchNoMkldnn(Torch):
    """Eager, without oneDNN: torch's own CPU kernels."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import torch

        torch.backends.mkldnn.enabled = False


class TorchCompile(Torch):
    """torch.compile with static shapes; gradients differentiate the compiled forward pass."""

    _RESET_EVERY = 64  # compiled geometries kept, so that memory does not grow with the number of cases

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import torch

        self._compiled = 0
        # every geometry is a recompilation of the same method, and the default limit is 8
        torch._dynamo.config.recompile_limit = 2 * self._RESET_EVERY
        torch._dynamo.config.accumulated_recompile_limit = 2 * self._RESET_EVERY

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function compiled for one geometry."""
        import torch

        self._compiled += 1
        if self._compiled % self._RESET_EVERY == 0:
            torch.compiler.reset()
        return torch.compile(function, fullgraph=True, dynamic=False)  # type: ignore[no-any-return]

    def backward(self, case: Case) -> Gradient:
        """Return the gradients through the compiled forward pass; autograd itself cannot be traced whole."""
        return self.gradient(self.forward(case), case)
