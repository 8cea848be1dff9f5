"""JAX's power-average pool, out of jax.lax.reduce_window with jax.lax.add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends import _powers
from convsuite_backends.jax.arrays import JaxArrays
from convsuite_backends.jax.avg_pool import summed
from convsuite_backends.jax.max_pool import no_window

if TYPE_CHECKING:
    from convsuite.operations.lp_pool import LpPoolCase


class PowerPools(JaxArrays):
    """lp_pool."""

    def lp_pool_support(self, case: LpPoolCase) -> Support:
        """Declare the composition."""
        if case.expect.error == "power":
            return Support.unsupported("JAX has no pool that takes a power, so none that refuses it")
        if lack := no_window(case):
            return Support.unsupported(lack)
        return Support.composed(_powers.composition(case, "jnp.power", "jax.lax.reduce_window(add)"))

    def lp_pool(self, case: LpPoolCase, x: Native) -> Native:
        """Add up the powers of each window, then take the root."""
        from jax import numpy as jnp

        base = x.astype(_powers.wide(case))
        total = summed(case, jnp.power(base if case.signed else jnp.abs(base), case.power))
        root = jnp.power(jnp.where(total == 0, 1, total), 1 / case.power)
        return jnp.where(total == 0, 0, root).astype(x.dtype)
