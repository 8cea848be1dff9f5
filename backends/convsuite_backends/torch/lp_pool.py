"""torch's power-average pools: lp_pool1d, lp_pool2d and lp_pool3d of torch.nn.functional."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.torch.avg_pool import AveragePools
from convsuite_backends.torch.max_pool import flat

if TYPE_CHECKING:
    from convsuite.operations.lp_pool import LpPoolCase


class PowerPools(AveragePools):
    """lp_pool, which torch makes of its average pools."""

    def lp_pool_support(self, case: LpPoolCase) -> Support:
        """Declare what takes F.pad or abs beside the pool."""
        lack = self._average_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(_steps(case))

    def lp_pool_numerics(self, case: LpPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that each of the calls that F.lp_pool makes rounds to 16 bits: power, average, product, root."""
        if case.dtype not in _layout.HALVES:
            return declared
        often = 12 + case.most_met if pass_.gradient else ceil(3 / min(1.0, case.power))
        return _layout.narrowed(declared, case, often, f"F.lp_pool rounds each step to {case.dtype}")

    def lp_pool(self, case: LpPoolCase, x: Native) -> Native:
        """Call lp_pool1d, lp_pool2d or lp_pool3d; pad before, which it cannot."""
        from torch.nn import functional

        call = (functional.lp_pool1d, functional.lp_pool2d, functional.lp_pool3d)[case.rank - 1]
        kernel, stride = (case.kernel[0], case.stride[0]) if case.rank == 1 else (case.kernel, case.stride)
        ceil_mode = case.ceil_mode
        if _padded(case):
            x, ceil_mode = functional.pad(x[(..., *_layout.kept(case))], flat(_pools.grown(case))), False
        if case.absolute and not case.even:
            x = x.abs()
        return call(x, case.power, kernel, stride, ceil_mode)


def _padded(case: LpPoolCase) -> bool:
    return any(map(any, case.padding.pads))


def _steps(case: LpPoolCase) -> list[str]:
    """Say what is called beside the pool."""
    steps = ["F.pad before the pool, which has no padding"] if _padded(case) else []
    return steps + (["Tensor.abs before the pool, which sums x^p"] if case.absolute and not case.even else [])
