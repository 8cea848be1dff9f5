"""TensorFlow's adaptive pools: tf.reduce_mean and tf.reduce_max, of all of space or of windows of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools, _reductions
from convsuite_backends.tensorflow.arrays import TensorFlowArrays

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(TensorFlowArrays):
    """adaptive_avg_pool and adaptive_max_pool."""

    _eigen = True  # TensorFlow's own kernels reduce, and not XLA

    def adaptive_avg_pool_gradient_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare what the gradient lacks."""
        lack = self._broadcast_lack(case)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_avg_pool_numerics(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that float16 is added up in itself on the CPU; bfloat16 is not."""
        if pass_.gradient or case.dtype != "float16" or self._on_gpu or not self._eigen:
            return declared
        return _layout.narrowed(declared, case, None, "tf.reduce_mean adds float16 up in float16")

    def adaptive_avg_pool_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare which windows tf.reduce_mean can take."""
        return _reductions.support(case, "TensorFlow", "tf.reduce_mean")

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare which windows tf.reduce_max can take, and that a NaN propagates."""
        if lack := _pools.other_nan(case, "tf.reduce_max", "propagate"):
            return Support.unsupported(lack)
        return _reductions.support(case, "TensorFlow", "tf.reduce_max")

    def adaptive_max_pool_gradient_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare where the gradient goes."""
        lack = self._broadcast_lack(case) or _reductions.shared_evenly(case, "tf.reduce_max")
        return Support.unsupported(lack) if lack else Support.native()

    def _broadcast_lack(self, case: AdaptiveCase) -> str:
        eight = case.rank == 3 and not case.whole and self._eigen
        return "the gradient broadcasts eight axes, which TensorFlow's kernels do not" if eight else ""

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call tf.reduce_mean over all of space, or over each window."""
        import tensorflow as tf

        return _reduced(case, x, tf.reduce_mean)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call tf.reduce_max over all of space, or over each window."""
        import tensorflow as tf

        return _reduced(case, x, tf.reduce_max)


def _reduced(case: AdaptiveCase, x: Native, call: Any) -> Native:
    import tensorflow as tf

    last = _layout.channels_last(case)
    return _reductions.reduced(case, x, last, tf.reshape, lambda a, axes, keep: call(a, axes, keepdims=keep))
