"""JAX's convolution: jax.lax.conv_general_dilated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends.jax.arrays import JaxArrays

if TYPE_CHECKING:
    from convsuite.operations.conv import ConvCase

WORDS = {"valid": "VALID", "same_upper": "SAME", "same_lower": "SAME_LOWER"}
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Convolutions(JaxArrays):
    """conv."""

    def conv_support(self, case: ConvCase) -> Support:
        """Declare what takes other calls beside the convolution."""
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported("XLA has no integer convolution on GPUs")
        if lack := nothing_to_refuse(case):
            return Support.unsupported(lack)
        return _layout.composition(_steps(case))

    def conv_numerics(self, case: ConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between composed calls."""
        if pass_ is Pass.GRAD_BIAS and case.dtype in _layout.HALVES:
            return _layout.narrowed(
                declared, case, None, f"XLA rounds each addition of the bias gradient to {case.dtype}"
            )
        return _layout.composed_numerics(declared, case, pass_)

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv_general_dilated; a padding mode, a flip and a bias are calls of their own."""
        import jax
        from jax import numpy as jnp

        last = case.layout == "channels_last"
        if case.flip:
            weight = jnp.flip(weight, range(case.rank) if last else range(2, 2 + case.rank))
        padding = padding_argument(case)
        if padding is None:
            x, padding = _pad(case, x), "VALID"
        y = jax.lax.conv_general_dilated(
            x,
            weight,
            window_strides=case.stride,
            padding=padding,
            rhs_dilation=case.dilation,
            dimension_numbers=dimension_numbers(case.rank, last),
            feature_group_count=case.groups,
        )
        return y if bias is None else y + (bias if last else bias.reshape(-1, *(1,) * case.rank))


def dimension_numbers(rank: int, last: bool) -> tuple[str, str, str]:
    """Return the axes of input, weight and output in JAX's letters."""
    spatial = _layout.SPATIAL[3 - rank :]
    return (
        (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C") if last else (f"NC{spatial}", f"OI{spatial}", f"NC{spatial}")
    )


def padding_argument(case: Case) -> str | tuple[tuple[int, int], ...] | None:
    """Return the padding as JAX's own argument, a word or (low, high) pairs, or None where jnp.pad must do it."""
    padding = case.padding
    for kind, word in WORDS.items():
        if _layout.same(padding.kinds, kind) and (kind == "valid" or padding.mode == "zeros"):
            return word
    return padding.pads if padding.mode == "zeros" else None


def nothing_to_refuse(case: Case) -> str:
    """Say what is invalid elsewhere and has a meaning in JAX."""
    if case.expect.error == "padding" and case.padding.mode in ("reflect", "circular"):
        return "jnp.pad goes round again where pads are longer than the input, as NumPy's does"
    return no_window(case)


def no_window(case: Case) -> str:
    """Say that too large a window is not refused."""
    refused = case.expect.error == "kernel" and min(case.kernel) > 0
    return "JAX answers with an empty array where no window fits" if refused else ""


def _pad(case: ConvCase, x: Native) -> Native:
    from jax import numpy as jnp

    last = case.layout == "channels_last"
    around = [(0, 0), *_layout.grown(case), (0, 0)] if last else [(0, 0), (0, 0), *_layout.grown(case)]
    x = jnp.pad(x, around, mode=MODES[case.padding.mode])
    return x[(slice(None), *_layout.kept(case))] if last else x[(..., *_layout.kept(case))]


def _steps(case: ConvCase) -> list[str]:
    """Say what is called beside the convolution."""
    steps = []
    if padding_argument(case) is None:
        steps.append(f"jnp.pad(mode={MODES[case.padding.mode]!r}) before the convolution, which pads with zeros only")
    if case.flip:
        steps.append("jnp.flip of the weight")
    if case.bias:
        steps.append("the bias is added: the convolution takes none")
    return steps
