"""torch's transposed convolutions: conv_transpose1d, conv_transpose2d and conv_transpose3d of torch.nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends.torch.arrays import TorchArrays
from convsuite_backends.torch.conv import kernel_roundings, onednn_has

if TYPE_CHECKING:
    from convsuite.operations.conv_transpose import ConvTransposeCase

Ends = tuple[tuple[int, ...], tuple[int, ...]]  # torch's padding and output_padding


class TransposedConvolutions(TorchArrays):
    """conv_transpose."""

    def conv_transpose_support(self, case: ConvTransposeCase) -> Support:
        """Declare what takes F.pad or torch.flip beside the transposed convolution."""
        if case.dtype in INTEGERS:
            return Support.unsupported(f"torch has no {case.dtype} transposed convolution")
        if case.expect.error is None and not all(case.weight_shape):
            return Support.unsupported("torch refuses a weight without elements")
        if len(case.input_shape) == case.rank + 1:
            return Support.unsupported("torch reads an input with one axis less as one sample without a batch axis")
        return _layout.composition(_steps(case))

    def conv_transpose_numerics(self, case: ConvTransposeCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where 16-bit sums are rounded on the way: in the kernels of the mirror's pass, and for the bias."""
        if case.dtype not in _layout.HALVES:
            return declared
        own = not self._on_gpu and (not onednn_has(case.dtype) or _adds_much(case))
        mirrored = {Pass.FORWARD: Pass.GRAD_INPUT, Pass.GRAD_INPUT: Pass.FORWARD}.get(pass_, pass_)
        kernels = kernel_roundings(case, mirrored) if own and pass_ is not Pass.GRAD_BIAS else 0
        added = pass_ is Pass.FORWARD and case.bias and (own or self._on_gpu or _ends(case) is None)
        note = f"partial sums, or the sum before the bias, are rounded to {case.dtype}"
        return _layout.narrowed(declared, case, kernels + added, note)

    def conv_transpose(self, case: ConvTransposeCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv_transpose1d, 2d or 3d; crop or pad afterwards where its own arguments cannot say so."""
        import torch
        from torch.nn import functional

        names = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
        call = getattr(functional, names[case.rank - 1])
        if case.flip:
            weight = torch.flip(weight, tuple(range(2, 2 + case.rank)))
        if ends := _ends(case):
            return call(x, weight, bias, case.stride, *ends, case.groups, case.dilation)
        y = call(x, weight, None, case.stride, 0, 0, case.groups, case.dilation)
        y = functional.pad(y, [p for pair in reversed(_layout.cut(case).padding.pads) for p in pair])
        return y if bias is None else y + bias.reshape(-1, *(1,) * case.rank)


def _ends(case: ConvTransposeCase) -> Ends | None:
    """Return the padding and output_padding that crop as the case does, or None where torch has none.

    torch crops both ends alike, then adds at the high end, less than the larger of stride and dilation.
    """
    more = tuple(low - high for low, high in case.cropped)
    if case.expect.error is not None:
        return tuple(low for low, _ in case.padding.pads), case.output_padding
    fits = all(0 <= p < max(s, d) for p, s, d in zip(more, case.stride, case.dilation, strict=True))
    padding = tuple(low for low, _ in case.cropped)
    return (padding, more) if fits and min(padding) >= 0 else None


def _adds_much(case: ConvTransposeCase) -> bool:
    """Tell whether torch is asked for an output_padding of a stride or more, which oneDNN does not have."""
    ends = _ends(case)
    return ends is not None and any(more >= s for more, s in zip(ends[1], case.stride, strict=True))


def _steps(case: ConvTransposeCase) -> list[str]:
    """Say what is called beside the transposed convolution."""
    steps = []
    if _ends(case) is None:
        steps.append(f"the full result is {_layout.cuts(case)} by F.pad: torch crops both ends alike")
        if case.bias:
            steps.append("the bias is added after that")
    if case.flip:
        steps.append("torch.flip of the weight")
    return steps
