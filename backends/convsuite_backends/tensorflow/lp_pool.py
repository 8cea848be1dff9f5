"""TensorFlow's power-average pool, out of its average pools."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends import _powers
from convsuite_backends.tensorflow.avg_pool import AveragePools, too_large
from convsuite_backends.tensorflow.max_pool import dilated_lack, pad

if TYPE_CHECKING:
    from convsuite.operations.lp_pool import LpPoolCase


class PowerPools(AveragePools):
    """lp_pool."""

    def lp_pool_support(self, case: LpPoolCase) -> Support:
        """Declare the composition."""
        if case.expect.error == "power":
            return Support.unsupported("TensorFlow has no pool that takes a power, so none that refuses it")
        widened = replace(case, dtype=_powers.wide(case))
        if lack := dilated_lack(case) or self._average_lack(widened) or too_large(case):
            return Support.unsupported(lack)
        return Support.composed(_powers.composition(case, "tf.pow", "tf.nn.avg_pool times the window's size"))

    def lp_pool(self, case: LpPoolCase, x: Native) -> Native:
        """Average the powers of each window, multiply by its size, then take the root."""
        import tensorflow as tf

        base = pad(case, tf.cast(x, _powers.wide(case)), 0)
        total = self._averaged(case, tf.pow(base if case.signed else tf.abs(base), case.power), "VALID")
        total *= prod(case.kernel)
        root = tf.pow(tf.where(total == 0, tf.ones_like(total), total), 1 / case.power)
        return tf.cast(tf.where(total == 0, tf.zeros_like(total), root), x.dtype)
