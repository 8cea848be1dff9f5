"""torch's average pools: avg_pool1d, avg_pool2d and avg_pool3d of torch.nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools
from convsuite_backends._averages import over_taps
from convsuite_backends.torch.arrays import TorchArrays
from convsuite_backends.torch.max_pool import flat, half_padding, unbatched_or_empty

if TYPE_CHECKING:
    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.pool import PoolCase


class AveragePools(TorchArrays):
    """avg_pool."""

    def avg_pool_support(self, case: AvgPoolCase) -> Support:
        """Declare what torch has no word for, and what takes F.pad beside the pool."""
        lack = self._average_lack(case) or _divisor_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(_steps(case))

    def avg_pool_numerics(self, case: AvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that gradients are added up in 16 bits; on GPUs only of three axes, else their quotients rounded."""
        if not pass_.gradient or case.dtype not in _layout.HALVES:
            return declared
        if not self._on_gpu:
            return _layout.narrowed(declared, case, None, f"torch adds the gradients of windows up in {case.dtype}")
        roundings = case.most_met if case.rank == 3 else 1
        return _layout.narrowed(declared, case, roundings, f"torch divides each window's gradient in {case.dtype}")

    def avg_pool(self, case: AvgPoolCase, x: Native) -> Native:
        """Call avg_pool1d, avg_pool2d or avg_pool3d; pad before where it has no such padding."""
        from torch.nn import functional

        padding, ceil_mode = half_padding(case), case.ceil_mode
        if padding is None:
            x = functional.pad(x[(..., *_layout.kept(case))], flat(_pools.grown(case)))
            padding, ceil_mode = (0,) * case.rank, False
        if case.divisor is None:
            call = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[case.rank - 1]
            return call(x, case.kernel, case.stride, padding, ceil_mode, case.count_include_pad)
        one = (1,) if case.rank == 1 else ()  # avg_pool1d takes no divisor: one row
        kernel, stride, padding = (*one, *case.kernel), (*one, *case.stride), (*(0 for _ in one), *padding)
        call = functional.avg_pool3d if case.rank == 3 else functional.avg_pool2d
        y = call(x.unsqueeze(2) if one else x, kernel, stride, padding, ceil_mode, divisor_override=case.divisor)
        return y.squeeze(2) if one else y

    def _average_lack(self, case: PoolCase) -> str:
        """Say what torch's average pools have not, whatever is divided."""
        if case.dilation != (1,) * len(case.dilation):
            return "torch's average pools have no dilation"
        if case.rank == 3 and case.dtype in _layout.HALVES and not self._on_gpu:
            return f"F.avg_pool3d has no {case.dtype} on the CPU"
        return unbatched_or_empty(case)


def _divisor_lack(case: AvgPoolCase) -> str:
    if half_padding(case) is not None or case.divisor is not None or over_taps(case):
        return ""
    return "torch pads by the same on both sides, by half a window; it would count the zeros of F.pad as it does input"


def _steps(case: AvgPoolCase) -> list[str]:
    """Say what is called beside the pool."""
    steps = []
    if half_padding(case) is None:
        steps.append("F.pad before the pool, which pads by the same on both sides, by half a window")
    if case.rank == 1 and case.divisor is not None:
        steps.append("F.avg_pool2d of one row: F.avg_pool1d takes no divisor")
    return steps
