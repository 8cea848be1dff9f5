"""torch's adaptive pools: adaptive_avg_pool1d to 3d and adaptive_max_pool1d to 3d of torch.nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Numerics, Pass, Support
from convsuite.operations import adaptive_avg_pool
from convsuite_backends import _layout, _pools
from convsuite_backends.torch.arrays import TorchArrays
from convsuite_backends.torch.max_pool import unbatched_or_empty

if TYPE_CHECKING:
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


class AdaptivePools(TorchArrays):
    """adaptive_avg_pool and adaptive_max_pool."""

    def adaptive_avg_pool_support(self, case: AdaptiveAvgPoolCase) -> Support:
        """Declare what torch refuses."""
        lack = _lack(case)
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare that there are no integers, and that a NaN propagates."""
        integer = f"torch's adaptive pools have no {case.dtype}" if case.dtype in INTEGERS else ""
        lack = integer or _lack(case) or _pools.other_nan(case, "torch", "propagate")
        return Support.unsupported(lack) if lack else Support.native()

    def adaptive_max_pool_gradient_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare where the gradient goes."""
        lack = _pools.other_tie(case, "torch", self._adaptive_max_pool_tie(case))
        return Support.unsupported(lack) if lack else Support.native()

    def _adaptive_max_pool_tie(self, case: AdaptiveMaxPoolCase) -> str:
        """Return where a window of several maxima points to."""
        return "last_nan"

    def adaptive_max_pool_indices_support(self, case: AdaptiveMaxPoolCase) -> Support:
        """Declare the index as the gradient's place."""
        return self.adaptive_max_pool_gradient_support(case)

    def adaptive_avg_pool_numerics(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the CPU rounds on the way: 16-bit gradients as it adds them up, and all of three axes.

        There it divides by the length of one axis after another, in 16 bits after a sum in 16 bits.
        """
        if self._on_gpu:
            return _cuda_averages(case, pass_, declared, self._in_channels_last(case))
        if case.rank == 3 and case.whole:
            return declared
        half, terms = case.dtype in _layout.HALVES, adaptive_avg_pool.terms(case, pass_)
        if case.rank == 3:
            note = "torch divides by the length of one axis after another" + (f", all in {case.dtype}" if half else "")
            return _layout.narrowed(declared, case, terms + 2 if half else 2, note)
        if not half or not pass_.gradient or terms == 1:
            return declared
        return _layout.narrowed(declared, case, None, f"torch adds the gradients of windows up in {case.dtype}")

    def adaptive_max_pool_numerics(self, case: AdaptiveMaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, "torch")

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Native) -> Native:
        """Call adaptive_avg_pool1d, 2d or 3d."""
        from torch.nn import functional

        calls = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
        return calls[case.rank - 1](x, case.output)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Call adaptive_max_pool1d, 2d or 3d."""
        return _maxima(case, x, return_indices=False)

    def adaptive_max_pool_indices(self, case: AdaptiveMaxPoolCase, x: Native) -> Native:
        """Return what `return_indices` gives: flat positions in the input's plane."""
        return _maxima(case, x, return_indices=True)[1]


def _cuda_averages(case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics, channels_last: bool) -> Numerics:
    """Declare what a GPU rounds on the way (AdaptiveAveragePooling.cu, and AdaptiveAveragePooling3d.cu).

    In channels_last memory the reciprocals of a window's sizes, their product and its product with a gradient are
    rounded; in any, each step of adding gradients up is.
    """
    if case.dtype not in _layout.HALVES or case.whole:
        return declared
    if pass_.gradient:
        note = f"torch divides the gradients of windows and adds them up in {case.dtype}"
        return _layout.narrowed(declared, case, 4 + adaptive_avg_pool.terms(case, pass_), note)
    if case.rank == 3 or not channels_last:
        return declared
    note = f"torch multiplies by a reciprocal rounded to {case.dtype} in channels_last memory"
    return _layout.narrowed(declared, case, 1, note)


def _maxima(case: AdaptiveMaxPoolCase, x: Native, return_indices: bool) -> Native:
    from torch.nn import functional

    calls: Any = (functional.adaptive_max_pool1d, functional.adaptive_max_pool2d, functional.adaptive_max_pool3d)
    return calls[case.rank - 1](x, case.output, return_indices)


def _lack(case: AdaptiveCase) -> str:
    if case.expect.error == "output" and min(case.output) == 0:
        return "torch answers with an empty output where none is asked for"
    return unbatched_or_empty(case)
