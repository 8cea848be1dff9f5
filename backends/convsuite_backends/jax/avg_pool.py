"""JAX's average pool, out of jax.lax.reduce_window with jax.lax.add: JAX has no pool that divides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.jax.arrays import JaxArrays
from convsuite_backends.jax.max_pool import cropped, no_window, over_space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.pool import PoolCase


class AveragePools(JaxArrays):
    """avg_pool."""

    def avg_pool_support(self, case: AvgPoolCase) -> Support:
        """Declare the composition."""
        if case.expect.error == "divisor":
            return Support.unsupported("JAX has no pool that takes a divisor, so none that refuses it")
        if lack := no_window(case):
            return Support.unsupported(lack)
        how = "the divisor" if case.divisor is not None else "jax.lax.reduce_window of ones"
        return Support.composed(f"jax.lax.reduce_window(add), divided by {how}")

    def avg_pool_numerics(self, case: AvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that XLA adds windows and gradients up in 16 bits."""
        if case.dtype not in _layout.HALVES:
            return declared
        return _layout.narrowed(declared, case, None, f"XLA's reduce_window adds up in {case.dtype}")

    def avg_pool(self, case: AvgPoolCase, x: Native) -> Native:
        """Add up each window, then divide."""
        return summed(case, x) / (_counts(case).astype(x.dtype) if case.divisor is None else case.divisor)


def summed(case: PoolCase, x: Native) -> Native:
    """Return the sum of each window, padding being zeros."""
    return _reduced(case, cropped(case, x), _pools.grown(case))


def _reduced(case: PoolCase, x: Native, pads: Sequence[tuple[int, int]]) -> Native:
    import jax

    return jax.lax.reduce_window(
        x,
        x.dtype.type(0),
        jax.lax.add,
        over_space(case, case.kernel, 1),
        over_space(case, case.stride, 1),
        over_space(case, pads, (0, 0)),
        window_dilation=over_space(case, case.dilation, 1),
    )


def _counts(case: AvgPoolCase) -> Native:
    """Return how many positions of each window count, at least 1; in float32, since bfloat16 cannot count to 257."""
    from jax import numpy as jnp

    asked, pads = _layout.grown(case), _pools.grown(case)
    sizes = [
        n + min(low, 0) + min(high, 0) for n, (low, high) in zip(case.input_shape[2:], case.padding.pads, strict=True)
    ]
    if case.count_include_pad:
        sizes = [n + low + high for n, (low, high) in zip(sizes, asked, strict=True)]
        pads = [(0, after - before) for (_, before), (_, after) in zip(asked, pads, strict=True)]
    return jnp.maximum(_reduced(case, jnp.ones(over_space(case, sizes, 1), "float32"), pads), 1)
