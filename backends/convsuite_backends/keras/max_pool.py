"""Keras's max pools: keras.ops.max_pool, and the MaxPooling1D, MaxPooling2D and MaxPooling3D layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.jax.max_pool import no_window
from convsuite_backends.keras.arguments import Built, around, data_format, kept, word
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.tensorflow.max_pool import no_3d_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convsuite.case import Numerics, Pass
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.pool import PoolCase

PAD = "keras.ops.pad(constant_values=-inf)"


class MaxPools(KerasArrays):
    """max_pool by keras.ops."""

    def max_pool_support(self, case: MaxPoolCase) -> Support:
        """Declare what Keras cannot be told, what takes a pad beside the pool, and what a NaN means below."""
        nan = "ignore" if self.name == "tensorflow" else "propagate"
        below = f"Keras on {self.name}"
        if lack := pool_lack(case) or self._max_pool_lack_below(case) or _pools.other_nan(case, below, nan):
            return Support.unsupported(lack)
        steps = [_pools.OVERHANG] if _pools.hangs_over(case) else []
        return _layout.composition(steps + ([f"{PAD} before the pool"] if pool_word(case) is None else []))

    def max_pool_gradient_support(self, case: MaxPoolCase) -> Support:
        """Declare where the gradient goes, which the framework below decides."""
        padded = self.name != "jax" and pool_word(case) is None and any(map(any, _pools.grown(case)))
        lack = _pools.other_tie(case, f"Keras on {self.name}", self._max_pool_tie_below(case)) or (
            padded and _pools.pad_chosen(case, PAD)
        )
        return Support.unsupported(lack) if lack else Support.native()

    def max_pool_numerics(self, case: MaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, self.name)

    def max_pool(self, case: MaxPoolCase, x: Native) -> Native:
        """Call keras.ops.max_pool; other pads are a call of their own."""
        said = pool_word(case)
        return self._maxima(case, x if said else pad(case, x, _pools.lowest(case)), said or "valid")

    def _maxima(self, case: MaxPoolCase, x: Native, said: str) -> Native:
        """Return the maxima of windows."""
        from keras import ops

        return ops.max_pool(x, case.kernel, case.stride, said, data_format(case))

    def _max_pool_tie_below(self, case: MaxPoolCase) -> str:
        if self.name == "tensorflow":
            return "all" if case.rank == 3 else "leading_nan"
        return {"jax": "behind_nan_padded", "torch": "last_nan"}[self.name]

    def _max_pool_lack_below(self, case: MaxPoolCase) -> str:
        """Say what the framework below lacks, whatever Keras does."""
        if self.name == "jax":
            return no_window(case)
        if self.name == "torch":
            if case.expect.error is None and not case.channels:
                return "torch refuses an input without channels"
            if case.dtype in INTEGERS and self._on_gpu:
                return f"torch has no max pool of {case.dtype} on GPUs"
            return f"F.max_pool1d has no {case.dtype}" if case.dtype in INTEGERS and case.rank == 1 else ""
        half = case.rank == 3 and case.dtype == "float16"
        return "tf.nn.max_pool3d has no float16 on the CPU" if half else no_3d_dtype(case)


class MaxPoolLayers(MaxPools, Built):
    """A MaxPooling1D, MaxPooling2D or MaxPooling3D layer."""

    def _maxima(self, case: MaxPoolCase, x: Native, said: str) -> Native:
        from keras import layers

        pools = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
        return self._once(case, lambda: pool_layer(pools, case, said, case.dtype))(x)


def pool_layer(pools: Sequence[Any], case: PoolCase, said: str, dtype: str) -> Any:
    """Return the layer of the case's rank; it has no weights. As a word, int8 would ask it to quantize."""
    from keras import DTypePolicy

    pool, order = pools[case.rank - 1], data_format(case)
    return pool(case.kernel, strides=case.stride, padding=said, data_format=order, dtype=DTypePolicy(dtype))


def pool_lack(case: PoolCase) -> str:
    """Say what no pool of Keras can be told."""
    return "Keras's pools have no dilation" if case.dilation != (1,) * len(case.dilation) else ""


def pool_word(case: PoolCase) -> str | None:
    """Return the padding as Keras's own argument, or None where pads must come first."""
    return None if case.padding.negative or _pools.hangs_over(case) else word(case)


def pad(case: PoolCase, x: Native, value: float) -> Native:
    """Crop where a pad is negative, then pad with a value."""
    from keras import ops

    return ops.pad(kept(case, x), around(case, _pools.grown(case)), constant_values=value)
