"""Keras's adaptive pools: keras.ops.adaptive_average_pool and adaptive_max_pool, their layers, and global ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite_backends import _layout, _pools, _reductions
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.keras.max_pool import pool_order

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(KerasArrays):
    """adaptive_avg_pool and adaptive_max_pool by keras.ops; of one window, keras.ops.mean and max."""

    def adaptive_avg_pool_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare what the framework below lacks."""
        lack = self._adaptive_lack(case)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare that, and what a NaN means below."""
        nan = "ignore" if self.name == "tensorflow" and not case.whole else "propagate"
        lack = self._adaptive_lack(case) or _pools.other_nan(case, f"Keras on {self.name}", nan)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_gradient_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare where the gradient goes, which the framework below decides."""
        if case.whole or self.name == "jax":
            lack = _reductions.shared_evenly(case, "keras.ops.max" if case.whole else "jnp.max")
        elif self.name == "tensorflow" and case.rank > 1 and case.ties:
            lack = "Keras on TensorFlow pools axis by axis, and so takes another of equal maxima"
        else:
            tie = "last_nan" if self.name == "torch" else "all" if case.rank == 3 else "leading_nan"
            lack = _pools.other_tie(case, f"Keras on {self.name}", tie)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_avg_pool_numerics(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that 16 bits are rounded axis by axis, and where they are added up."""
        if case.whole or case.dtype not in _layout.HALVES:
            return declared
        return _layout.narrowed(declared, case, None, f"Keras pools axis by axis, in {case.dtype}")

    def adaptive_max_pool_numerics(self, case: AdaptiveMaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, self.name)

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_average_pool, or mean."""
        from keras import ops

        if case.whole:
            return ops.mean(x, _space(case), keepdims=True)
        return ops.adaptive_average_pool(x, case.output, pool_order(case))

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_max_pool, or max."""
        from keras import ops

        if case.whole:
            return ops.max(x, _space(case), keepdims=True)
        return ops.adaptive_max_pool(x, case.output, pool_order(case))

    def _adaptive_lack(self, case: AdaptiveCase) -> str:
        """Say what the framework below lacks."""
        if self.name == "torch":
            return f"torch's adaptive pools have no {case.dtype}" if case.dtype in INTEGERS else ""
        pools = self.name == "tensorflow" and not case.whole
        absent = pools and case.rank == 3 and case.dtype in ("float64", "float16")
        return f"TensorFlow's pools of three axes have no {case.dtype} on the CPU" if absent else ""


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


def _space(case: AdaptiveCase) -> tuple[int, ...]:
    first = 1 if _layout.channels_last(case) else 2
    return tuple(range(first, first + case.rank))
