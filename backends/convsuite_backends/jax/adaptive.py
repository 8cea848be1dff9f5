"""JAX's adaptive pools: jnp.mean and jnp.max, of all of space or of windows of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends import _pools, _reductions
from convsuite_backends.jax.arrays import JaxArrays

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(JaxArrays):
    """adaptive_avg_pool and adaptive_max_pool."""

    def adaptive_avg_pool_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare which windows jnp.mean can take."""
        return _reductions.support(case, "JAX", "jnp.mean")

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare which windows jnp.max can take, and that a NaN propagates."""
        if lack := _pools.other_nan(case, "jnp.max", "propagate"):
            return Support.unsupported(lack)
        return _reductions.support(case, "JAX", "jnp.max")

    def adaptive_max_pool_gradient_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare where the gradient goes."""
        lack = _reductions.shared_evenly(case, "jnp.max")
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call jnp.mean over all of space, or over each window."""
        from jax import numpy as jnp

        return _reduced(case, x, jnp.mean)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call jnp.max over all of space, or over each window."""
        from jax import numpy as jnp

        return _reduced(case, x, jnp.max)


def _reduced(case: AdaptiveCase, x: Native, call: Any) -> Native:
    from jax import numpy as jnp

    last = case.layout == "channels_last"
    return _reductions.reduced(case, x, last, jnp.reshape, lambda a, axes, keep: call(a, axes, keepdims=keep))
