"""Keras's adaptive pools: keras.ops.adaptive_average_pool and adaptive_max_pool, their layers, and global ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite_backends import _layout, _pools, _reductions
from convsuite_backends.keras.arguments import Built, data_format
from convsuite_backends.keras.arrays import KerasArrays

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(KerasArrays):
    """adaptive_avg_pool and adaptive_max_pool by keras.ops, of one window as of several."""

    def adaptive_avg_pool_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare what the framework below lacks."""
        lack = self._adaptive_lack(case)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare that, and what a NaN means below."""
        nan = "ignore" if self.name == "tensorflow" and not self._reduces(case) else "propagate"
        lack = self._adaptive_lack(case) or _pools.other_nan(case, f"Keras on {self.name}", nan)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_gradient_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare where the gradient goes, which the framework below decides."""
        if self._reduces(case):
            lack = _reductions.shared_evenly(case, "keras.ops.max")
        elif self.name != "torch" and case.rank > 1 and (case.ties or case.nans):
            lack = f"Keras on {self.name} pools axis by axis, and so takes another of equal maxima"
        else:
            tie = {"torch": "last_nan", "jax": "behind_nan_padded", "tensorflow": "leading_nan"}[self.name]
            lack = _pools.other_tie(case, f"Keras on {self.name}", tie)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_avg_pool_numerics(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that 16 bits are rounded axis by axis, and where they are added up."""
        return declared if self._reduces(case) else self._axis_by_axis(case, pass_, declared)

    def _axis_by_axis(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the framework below does: where a pool adds 16 bits up in themselves, that, else each axis."""
        below: Numerics = super().avg_pool_numerics(case, pass_, declared)  # type: ignore[misc]
        if below.intermediate or case.dtype not in _layout.HALVES:
            return below
        return _layout.narrowed(declared, case, case.rank - 1, f"Keras pools axis by axis, in {case.dtype}")

    def adaptive_max_pool_numerics(self, case: AdaptiveMaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, self.name)

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_average_pool."""
        from keras import ops

        return ops.adaptive_average_pool(x, case.output, data_format(case))

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call keras.ops.adaptive_max_pool."""
        from keras import ops

        return ops.adaptive_max_pool(x, case.output, data_format(case))

    def _adaptive_lack(self, case: AdaptiveCase) -> str:
        """Say what the framework below lacks."""
        if self.name == "torch":
            if not (case.input_shape[1] or case.expect.error or self._reduces(case)):
                return "torch refuses an input without channels"
            return f"torch's adaptive pools have no {case.dtype}" if case.dtype in INTEGERS else ""
        pools = self.name == "tensorflow" and not self._reduces(case)
        absent = pools and case.rank == 3 and case.dtype in ("float64", "float16")
        return f"TensorFlow's pools of three axes have no {case.dtype} on the CPU" if absent else ""

    def _reduces(self, case: AdaptiveCase) -> bool:
        """Tell whether a pool is a reduction over all of space, and no pool below."""
        return False


class AdaptivePoolLayers(AdaptivePools, Built):
    """An adaptive pooling layer; of one window GlobalAveragePooling or GlobalMaxPooling, which is how models write it.

    An adaptive layer of one window calls the function that the variants without layers are tested by.
    """

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call the layer; it has no weights."""
        return self._once(case, lambda: _pool(case, "Average"))(x)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call the layer; it has no weights."""
        return self._once(case, lambda: _pool(case, "Max"))(x)

    def _reduces(self, case: AdaptiveCase) -> bool:
        return case.whole


def _pool(case: AdaptiveCase, what: str) -> Any:
    from keras import layers

    order = {"data_format": data_format(case), "dtype": case.dtype}
    if case.whole:
        return getattr(layers, f"Global{what}Pooling{case.rank}D")(keepdims=True, **order)
    return getattr(layers, f"Adaptive{what}Pooling{case.rank}D")(case.output, **order)
