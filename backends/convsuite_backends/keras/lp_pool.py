"""Keras's power-average pool, out of its average pools."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _powers
from convsuite_backends.keras.avg_pool import AveragePoolLayers, AveragePools
from convsuite_backends.keras.max_pool import pad, pool_lack

if TYPE_CHECKING:
    from convsuite.operations.lp_pool import LpPoolCase


class PowerPools(AveragePools):
    """lp_pool by keras.ops."""

    def lp_pool_support(self, case: LpPoolCase) -> Support:
        """Declare the composition."""
        if case.expect.error == "power":
            return Support.unsupported("Keras has no pool that takes a power, so none that refuses it")
        if lack := pool_lack(case) or self._average_lack_below(replace(case, dtype=_powers.wide(case))):
            return Support.unsupported(lack)
        average = "keras.ops.average_pool times the window's size"
        return Support.composed(_powers.composition(case, "keras.ops.power", average))

    def lp_pool_numerics(self, case: LpPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare nothing beside the usual: powers are not summed in 16 bits."""
        return declared

    def lp_pool(self, case: LpPoolCase, x: Native) -> Native:
        """Average the powers of each window, multiply by its size, then take the root."""
        from keras import ops

        wide = _powers.wide(case)
        base = pad(case, ops.cast(x, wide), 0)
        # as numbers, exponents are rounded to float32 on torch
        power, root = (ops.convert_to_tensor(number, wide) for number in (case.power, 1 / case.power))
        total = self._means(case, ops.power(base if case.signed else ops.abs(base), power), "valid", wide)
        total = total * prod(case.kernel)
        norms = ops.power(ops.where(total == 0, ops.ones_like(total), total), root)
        return ops.cast(ops.where(total == 0, ops.zeros_like(total), norms), case.dtype)


class PowerPoolLayers(PowerPools, AveragePoolLayers):
    """The same by AveragePooling1D, AveragePooling2D or AveragePooling3D layers."""
