"""JAX's transposed convolution: jax.lax.conv_transpose, and conv_general_dilated for groups, which that one lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite.operations.window import span
from convsuite_backends import _layout
from convsuite_backends.jax.arrays import JaxArrays
from convsuite_backends.jax.conv import dimension_numbers

if TYPE_CHECKING:
    from convsuite.operations.conv_transpose import ConvTransposeCase


class TransposedConvolutions(JaxArrays):
    """conv_transpose."""

    def conv_transpose_support(self, case: ConvTransposeCase) -> Support:
        """Declare what takes other calls beside the transposed convolution."""
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported("XLA has no integer convolution on GPUs")
        if case.expect.error in ("output_padding", "groups"):
            return Support.unsupported(f"jax.lax.conv_transpose has no {case.expect.error}, so none to refuse")
        if case.expect.error in ("input", "padding"):
            return Support.unsupported("JAX answers with an empty array, or with zeros, where nothing is scattered to")
        return _layout.composition(_steps(case))

    def conv_transpose_numerics(self, case: ConvTransposeCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between composed calls."""
        if pass_ is Pass.GRAD_BIAS and case.dtype in _layout.HALVES:
            note = f"XLA rounds each addition of the bias gradient to {case.dtype}"
            return _layout.narrowed(declared, case, None, note)
        return _layout.composed_numerics(declared, case, pass_)

    def conv_transpose(self, case: ConvTransposeCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv_transpose, or with groups conv_general_dilated; a bias is added."""
        y = _plain(case, x, weight) if case.groups == 1 else _grouped(case, x, weight)
        last = case.layout == "channels_last"
        return y if bias is None else y + (bias if last else bias.reshape(-1, *(1,) * case.rank))


def _plain(case: ConvTransposeCase, x: Native, weight: Native) -> Native:
    """Call conv_transpose; without `transpose_kernel` it runs the kernel backwards, which is what flip asks for."""
    import jax

    data, kernel, result = dimension_numbers(case.rank, case.layout == "channels_last")
    if case.flip:
        kernel = kernel.translate(str.maketrans("IO", "OI"))
    return jax.lax.conv_transpose(
        x,
        weight,
        case.stride,
        _word(case) or case.cropped,
        rhs_dilation=case.dilation,
        dimension_numbers=(data, kernel, result),
        transpose_kernel=not case.flip,
        use_consistent_padding=True,  # pads are those of the convolution that this is the adjoint of
    )


def _grouped(case: ConvTransposeCase, x: Native, weight: Native) -> Native:
    """Convolve the input, spread by the stride, with each group's kernel turned round."""
    import jax
    from jax import numpy as jnp

    last = case.layout == "channels_last"
    axes = zip(case.kernel, case.dilation, case.cropped, strict=True)
    return jax.lax.conv_general_dilated(
        x,
        _mirrored(case, weight) if case.flip else jnp.flip(_mirrored(case, weight), _spatial(case)),
        window_strides=(1,) * case.rank,
        padding=[tuple(span(k, d) - 1 - p for p in pads) for k, d, pads in axes],
        lhs_dilation=case.stride,
        rhs_dilation=case.dilation,
        dimension_numbers=dimension_numbers(case.rank, last),
        feature_group_count=case.groups,
    )


def _mirrored(case: ConvTransposeCase, weight: Native) -> Native:
    """Return the weight with input and output channels changed over within each group."""
    if case.layout == "channels_last":  # (*kernel, C_out / groups, C_in) to (*kernel, C_in / groups, C_out)
        parts = weight.reshape(*case.kernel, weight.shape[-2], case.groups, -1)
        return parts.swapaxes(-1, -3).reshape(*case.kernel, parts.shape[-1], -1)
    parts = weight.reshape(case.groups, -1, *weight.shape[1:])  # (C_in, C_out / groups, *kernel), to the other order
    return parts.swapaxes(1, 2).reshape(-1, parts.shape[1], *case.kernel)


def _spatial(case: ConvTransposeCase) -> tuple[int, ...]:
    first = 0 if case.layout == "channels_last" else 2
    return tuple(range(first, first + case.rank))


def _word(case: ConvTransposeCase) -> str | None:
    """Return JAX's word for the padding where it means what the case does, which depends on kernel and stride."""
    kinds = {"valid": "VALID", "same_upper": "SAME"}
    word = kinds.get(case.padding.kinds[0]) if len(set(case.padding.kinds)) == 1 else None
    axes = zip(case.kernel, case.dilation, case.stride, case.cropped, strict=True)
    return word if word and all(crops(word, span(k, d), s) == pads for k, d, s, pads in axes) else None


def crops(word: str, span: int, stride: int) -> tuple[int, int]:
    """Return what JAX crops for a word, (low, high): its `_conv_transpose_padding`, told in terms of the output.

    VALID adds zeros where the kernel spans less than the stride; SAME gives n·stride, an odd crop at the high end
    where the kernel spans more than the stride.
    """
    if word == "VALID":
        return 0, min(0, span - stride)
    low = max(0, (span - stride) // 2)
    return low, span - stride - low


def _steps(case: ConvTransposeCase) -> list[str]:
    """Say what is called beside the transposed convolution."""
    steps = []
    if case.groups > 1:
        steps.append(
            "conv_general_dilated with lhs_dilation, and the weight changed over: conv_transpose has no groups"
        )
    if case.bias:
        steps.append("the bias is added: the convolution takes none")
    return steps
