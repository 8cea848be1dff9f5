"""JAX's max pool: jax.lax.reduce_window with jax.lax.max."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import Case, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.jax.arrays import JaxArrays
from convsuite_backends.jax.conv import no_window as no_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convsuite.case import Numerics, Pass
    from convsuite.operations.max_pool import MaxPoolCase


class MaxPools(JaxArrays):
    """max_pool."""

    def max_pool_support(self, case: MaxPoolCase) -> Support:
        """Declare what takes other calls beside the pool, and that a NaN propagates."""
        if lack := no_window(case) or _pools.other_nan(case, "jax.lax.max", "propagate"):
            return Support.unsupported(lack)
        steps = ["a slice before the pool, which crops nothing"] if case.padding.negative else []
        return _layout.composition(steps + ([_pools.OVERHANG] if _pools.hangs_over(case) else []))

    def max_pool_gradient_support(self, case: MaxPoolCase) -> Support:
        """Declare where the gradient goes, and that dilated windows have none."""
        if max(case.dilation) > 1:
            return Support.unsupported("JAX has no gradient of a max pool with window_dilation")
        lack = _pools.other_tie(case, "JAX", "behind_nan_padded")
        return Support.unsupported(lack) if lack else Support.native()

    def max_pool_indices_support(self, case: MaxPoolCase) -> Support:
        """Declare that there is no such call."""
        return Support.unsupported("jax.lax.reduce_window returns no positions; a variadic one would compose them")

    def max_pool_indices(self, case: MaxPoolCase, x: Native) -> Native:
        """There is none, as declared."""
        raise NotImplementedError(self.max_pool_indices_support(case).reason)

    def max_pool_numerics(self, case: MaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, "XLA")

    def max_pool(self, case: MaxPoolCase, x: Native) -> Native:
        """Call reduce_window; padding is what its initial value is."""
        import jax
        import numpy as np

        return jax.lax.reduce_window(
            cropped(case, x),
            np.asarray(_pools.lowest(case), x.dtype),
            jax.lax.max,
            over_space(case, case.kernel, 1),
            over_space(case, case.stride, 1),
            over_space(case, _pools.grown(case), (0, 0)),
            window_dilation=over_space(case, case.dilation, 1),
        )


def cropped(case: Case, x: Native) -> Native:
    """Return the input without what negative pads take away."""
    return x[over_space(case, _layout.kept(case), slice(None))] if case.padding.negative else x


def over_space(case: Case, values: Sequence[Any], other: Any) -> tuple[Any, ...]:
    """Return one value for each axis of the input: those of space, and another for batch and channels."""
    return (other, *values, other) if case.layout == "channels_last" else (other, other, *values)
