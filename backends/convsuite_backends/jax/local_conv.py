"""JAX's locally connected convolution: jax.lax.conv_general_dilated_local."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.jax import conv
from convsuite_backends.jax.arrays import JaxArrays

if TYPE_CHECKING:
    from convsuite.operations.local_conv import LocalConvCase


class LocalConvolutions(JaxArrays):
    """local_conv."""

    def local_conv_support(self, case: LocalConvCase) -> Support:
        """Declare what is called beside it."""
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported("XLA has no integer convolution on GPUs, and this is one in JAX")
        if lack := conv.nothing_to_refuse(case):
            return Support.unsupported(lack)
        if case.expect.error is None and not case.input_shape[1]:
            return Support.unsupported("JAX refuses patches of no channels")
        steps = []
        if case.layout == "channels_last":
            steps.append("a transpose of the weight: JAX counts channels before taps in every layout")
        if case.bias:
            steps.append("the bias is added: it takes none")
        return _layout.composition(steps)

    def local_conv_numerics(self, case: LocalConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between the calls that it consists of.

        On GPUs XLA makes of small batched products a multiplication and a sum, both in the dtype.
        """
        if self._on_gpu and case.dtype in _layout.HALVES and pass_ is not Pass.GRAD_BIAS:
            note = f"XLA on GPUs multiplies, and adds up, small batched products in {case.dtype}"
            return _layout.narrowed(declared, case, None, note)
        return _columns.local_numerics(case, pass_, declared, declared, bias=True)

    def local_conv(self, case: LocalConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv_general_dilated_local with the weight as (C_out, C_in · ∏kernel, *output)."""
        import jax

        last = case.layout == "channels_last"
        taps, out = prod(case.kernel), weight.shape[case.rank : -2] if last else weight.shape[2 + case.rank :]
        if last:
            by_tap = weight.reshape(taps, prod(out), *weight.shape[-2:])
            rows = by_tap.transpose(1, 2, 0, 3).reshape(*out, -1, weight.shape[-1])
        else:
            rows = weight.reshape(weight.shape[0], weight.shape[1] * taps, *out)
        y = jax.lax.conv_general_dilated_local(
            x,
            rows,
            case.stride,
            conv.padding_argument(case),
            case.kernel,
            rhs_dilation=case.dilation,
            dimension_numbers=conv.dimension_numbers(case.rank, last),
        )
        return y if bias is None else y + bias
