"""Keras's adaptive pools: keras.ops.adaptive_average_pool and adaptive_max_pool, their layers, and global ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends import _pools
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.keras.max_pool import pool_order

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(KerasArrays):
    """adaptive_avg_pool and adaptive_max_pool by keras.ops."""

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare what a NaN means below."""
        lack = _pools.other_nan(case, f"Keras on {self.name}", "propagate")
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_average_pool."""
        from keras import ops

        return ops.adaptive_average_pool(x, case.output, pool_order(case))

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_max_pool."""
        from keras import ops

        return ops.adaptive_max_pool(x, case.output, pool_order(case))


class AdaptivePoolLayers(AdaptivePools):
    """An adaptive pooling layer; of one window, a GlobalAveragePooling or GlobalMaxPooling."""

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call the layer; it has no weights."""
        return _layer(case, "Average")(x)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call the layer; it has no weights."""
        return _layer(case, "Max")(x)


def _layer(case: AdaptiveCase, what: str) -> Any:
    from keras import layers

    order = {"data_format": pool_order(case), "dtype": case.dtype}
    if case.whole:
        return getattr(layers, f"Global{what}Pooling{case.rank}D")(keepdims=True, **order)
    return getattr(layers, f"Adaptive{what}Pooling{case.rank}D")(case.output, **order)
