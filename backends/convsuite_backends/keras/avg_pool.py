"""Keras's average pools: keras.ops.average_pool, and the AveragePooling1D, AveragePooling2D and 3D layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools
from convsuite_backends._averages import other_divisor, over_seen
from convsuite_backends.jax.max_pool import no_window
from convsuite_backends.keras.arguments import Built, data_format
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.keras.max_pool import pad, pool_lack, pool_layer, pool_word
from convsuite_backends.tensorflow.avg_pool import too_large
from convsuite_backends.torch.max_pool import unbatched_or_empty

if TYPE_CHECKING:
    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.pool import PoolCase


class AveragePools(KerasArrays):
    """avg_pool by keras.ops."""

    def avg_pool_support(self, case: AvgPoolCase) -> Support:
        """Declare what Keras cannot be told, whose divisor it has, and what takes a pad beside the pool."""
        if (
            lack := pool_lack(case)
            or self._average_lack_below(case)
            or other_divisor(case, "Keras", _word(case) == "same")
        ):
            return Support.unsupported(lack)
        before = "keras.ops.pad before the pool, which takes valid and same only"
        return Support.composed(before) if _word(case) is None else Support.native()

    def avg_pool_numerics(self, case: AvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the framework below does."""
        return super().avg_pool_numerics(case, pass_, declared)  # type: ignore[misc,no-any-return]

    def avg_pool(self, case: AvgPoolCase, x: Native) -> Native:
        """Call keras.ops.average_pool; other pads are a call of their own."""
        word = _word(case)
        return self._means(case, x if word else pad(case, x, 0), word or "valid", case.dtype)

    def _means(self, case: PoolCase, x: Native, word: str, dtype: str) -> Native:
        """Return the means of windows of an input that is of this dtype, whatever the case's is."""
        from keras import ops

        return ops.average_pool(x, case.kernel, case.stride, word, data_format(case))

    def _average_lack_below(self, case: PoolCase) -> str:
        """Say what the framework below lacks, whatever Keras does."""
        if self.name == "jax":
            return no_window(case)
        if self.name == "torch":
            half = case.rank == 3 and case.dtype in _layout.HALVES
            return f"F.avg_pool3d has no {case.dtype} on the CPU" if half else unbatched_or_empty(case)
        half = case.rank == 3 and case.dtype in ("float64", "float16")
        return f"tf.nn.avg_pool3d has no {case.dtype} on the CPU" if half else too_large(case)


class AveragePoolLayers(AveragePools, Built):
    """An AveragePooling1D, AveragePooling2D or AveragePooling3D layer."""

    def _means(self, case: PoolCase, x: Native, word: str, dtype: str) -> Native:
        from keras import layers

        pools = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
        return self._once(case, lambda: pool_layer(pools, case, word, dtype))(x)


def _word(case: AvgPoolCase) -> str | None:
    """Return the padding as Keras's own argument, or None where pads must come first."""
    if case.expect.error is not None or not (any(map(any, _pools.grown(case))) or case.padding.negative):
        return "valid"
    return "same" if pool_word(case) == "same" and over_seen(case) else None
