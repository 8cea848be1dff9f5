"""JAX's patches, jax.lax.conv_general_dilated_patches, and the fold that goes with them, by segment_sum."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.jax import conv
from convsuite_backends.jax.arrays import JaxArrays

if TYPE_CHECKING:
    from convsuite.operations.fold import FoldCase
    from convsuite.operations.patches import PatchesCase


class Patches(JaxArrays):
    """patches and fold."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare the order that takes a transpose."""
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported("XLA has no integer convolution on GPUs, and patches are one in JAX")
        if not case.channels and case.expect.error is None:
            return Support.unsupported("JAX refuses patches of no channels")
        if lack := conv.nothing_to_refuse(case):
            return Support.unsupported(lack)
        last = case.order == "channel_last"
        return _layout.composition(["a transpose: JAX's patches have the channel first"] if last else [])

    def patches(self, case: PatchesCase, x: Native) -> Native:
        """Call conv_general_dilated_patches, a convolution with one weight of 1 for each tap."""
        import jax

        last = case.layout == "channels_last"
        y = jax.lax.conv_general_dilated_patches(
            x,
            case.kernel,
            case.stride,
            conv.padding_argument(case),
            rhs_dilation=case.dilation,
            dimension_numbers=conv.dimension_numbers(case.rank, last),
        )
        if case.order == "channel_first":
            return y
        at = y.ndim - 1 if last else 1
        split = y.reshape(*y.shape[:at], case.channels, prod(case.kernel), *y.shape[at + 1 :])
        return split.swapaxes(at, at + 1).reshape(y.shape)

    def fold_support(self, case: FoldCase) -> Support:
        """Declare that JAX has no such call."""
        return _columns.fold_support(case, "JAX", "jax.ops.segment_sum")

    def fold_numerics(self, case: FoldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how overlapping patches are added up."""
        return declared if pass_.gradient else _columns.added(declared, case.unfolded, "jax.ops.segment_sum")

    def fold(self, case: FoldCase, x: Native) -> Native:
        """Add up by position, one past the last for padding, which is cut off."""
        import jax
        from jax import numpy as jnp

        last = case.layout == "channels_last"
        return _columns.fold(case, x, last, jnp.reshape, jnp.transpose, jax.ops.segment_sum)
