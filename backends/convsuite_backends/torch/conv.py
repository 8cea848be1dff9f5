"""torch's convolutions: conv1d, conv2d and conv3d of torch.nn.functional."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends.torch.arrays import TorchArrays

if TYPE_CHECKING:
    from convsuite.operations.conv import ConvCase


class Convolutions(TorchArrays):
    """conv."""

    def conv_support(self, case: ConvCase) -> Support:
        """Declare what takes F.pad or torch.flip beside the convolution."""
        if case.dtype in INTEGERS and (self._on_gpu or max(case.dilation) > 1):
            where = "on GPUs" if self._on_gpu else "with dilation"
            return Support.unsupported(f"torch has no {case.dtype} convolution {where}")
        if _unbatched(case):
            return Support.unsupported("torch reads an input with one axis less as one sample without a batch axis")
        if case.expect.error is None and not (case.out_channels and all(case.input_shape[2:])):
            return Support.unsupported("torch refuses a weight without output channels, and an input without space")
        return _layout.composition(_steps(case))

    def conv_numerics(self, case: ConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where 16-bit sums are rounded on the way."""
        if case.dtype not in _layout.HALVES:
            return declared
        pads, kernels, whose = _layout.pad_roundings(case, pass_), 0, "torch's own CPU kernels (no oneDNN)"
        if self._on_gpu:
            kernels, whose = cuda_roundings(case, pass_), "torch on CUDA"
        elif not onednn_has(case.dtype):
            kernels = kernel_roundings(case, pass_)
        whose = whose if kernels else "F.pad's gradient"
        return _layout.narrowed(declared, case, pads + kernels, f"{whose}: partial sums are rounded to {case.dtype}")

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


def kernel_roundings(case: Case, pass_: Pass) -> int:
    """Return how often torch's own CPU kernels round a 16-bit sum; oneDNN's do not.

    The weight's gradient, and the bias' too where there is a dilation, is kept in the dtype from sample to sample;
    the input's from tap to tap.
    """
    samples, taps, dilated = case.input_shape[0], prod(case.kernel), max(case.dilation) > 1
    match pass_:
        case Pass.GRAD_INPUT:
            return 2 * taps if taps > 1 else 0
        case Pass.GRAD_WEIGHT | Pass.GRAD_BIAS if pass_ is Pass.GRAD_WEIGHT or dilated:
            return samples if samples > 1 else 0
    return 0


def cuda_roundings(case: ConvCase, pass_: Pass) -> int:
    """Return how often torch rounds a 16-bit sum on the way on a GPU.

    cuDNN's result is there in 16 bits before the bias is added to it. The weight's gradient of a depthwise convolution
    of rank 3 is summed by 256 threads (DepthwiseConv3d.cu), each sum is rounded, and so are their sums in eight steps.
    """
    depthwise = case.groups > 1 and case.weight_shape[1] == 1
    if pass_ is Pass.GRAD_WEIGHT and case.rank == 3 and depthwise:
        return 1 + 8
    return 1 if pass_ is Pass.FORWARD and case.bias else 0


def onednn_has(dtype: str) -> bool:
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
        own = "F.conv pads with zeros, and nn.Conv2d(padding_mode) calls F.pad as well"
        why = "its own padding is not asymmetric or negative" if case.padding.mode == "zeros" else own
        steps.append(f"F.pad before the convolution: {why}")
    if case.flip:
        steps.append("torch.flip of the weight")
    return steps
