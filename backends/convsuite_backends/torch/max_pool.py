"""torch's max pools: max_pool1d, max_pool2d and max_pool3d of torch.nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.torch.arrays import TorchArrays

if TYPE_CHECKING:
    from convsuite.case import Numerics, Pass
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.pool import PoolCase

PAD = "F.pad(value=-inf)"


class MaxPools(TorchArrays):
    """max_pool."""

    _max_pool_tie = "last_nan"

    def max_pool_support(self, case: MaxPoolCase) -> Support:
        """Declare what takes F.pad beside the pool, and that a NaN propagates."""
        integer = f"torch has no max pool of {case.dtype} on GPUs" if self._on_gpu and case.dtype in INTEGERS else ""
        if lack := integer or unbatched_or_empty(case) or _pools.other_nan(case, "torch", "propagate"):
            return Support.unsupported(lack)
        steps = []
        if half_padding(case) is None:
            steps.append(f"{PAD} before the pool, which pads by the same on both sides, by half a window")
        if _by_indices(case):
            steps.append(f"the values of F.max_pool1d(return_indices=True): without the indices it has no {case.dtype}")
        return _layout.composition(steps)

    def max_pool_gradient_support(self, case: MaxPoolCase) -> Support:
        """Declare where the gradient goes."""
        composed = half_padding(case) is None
        lack = _pools.other_tie(case, "torch", self._max_pool_tie) or (composed and _pools.pad_chosen(case, PAD))
        return Support.unsupported(lack) if lack else Support.native()

    def max_pool_indices_support(self, case: MaxPoolCase) -> Support:
        """Declare the index as the gradient's place; with F.pad it counts the padded plane."""
        points = self.max_pool_gradient_support(case)
        if half_padding(case) is None and not points.reason:
            return Support.composed(f"{PAD} before the pool; its indices are brought back from the padded plane")
        return points

    def max_pool_numerics(self, case: MaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, "torch")

    def max_pool(self, case: MaxPoolCase, x: Native) -> Native:
        """Call max_pool1d, max_pool2d or max_pool3d; pad before where it has no such padding."""
        return _pooled(case, x, return_indices=True)[0] if _by_indices(case) else _pooled(case, x, return_indices=False)

    def max_pool_indices(self, case: MaxPoolCase, x: Native) -> Native:
        """Return what `return_indices` gives: flat positions in the input's plane."""
        index = _pooled(case, x, return_indices=True)[1]
        return index if half_padding(case) is not None else _unpadded(case, index)


def _pooled(case: MaxPoolCase, x: Native, return_indices: bool) -> Native:
    from torch.nn import functional

    call: Any = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[case.rank - 1]
    padding = half_padding(case)
    if padding is not None:
        return call(x, case.kernel, case.stride, padding, case.dilation, case.ceil_mode, return_indices)
    x = functional.pad(x[(..., *_layout.kept(case))], flat(_pools.grown(case)), value=_pools.lowest(case))
    return call(x, case.kernel, case.stride, 0, case.dilation, False, return_indices)


def _unpadded(case: MaxPoolCase, index: Native) -> Native:
    """Return positions of the padded plane as those of the input's; −1 for padding."""
    import torch

    within, place, step = torch.ones_like(index, dtype=torch.bool), torch.zeros_like(index), 1
    sizes = zip(case.input_shape[2:], case.padding.pads, _pools.grown(case), strict=True)
    for size, (low, high), (before, after) in reversed(list(sizes)):
        padded = size + min(low, 0) + min(high, 0) + before + after
        at = index % padded - low
        index = index // padded
        within &= (at >= max(-low, 0)) & (at < size + min(high, 0))
        place, step = place + at * step, step * size
    return torch.where(within, place, -1)


def flat(pads: list[tuple[int, int]]) -> list[int]:
    """Return pads as F.pad takes them: pairs from the last axis to the first."""
    return [p for pair in reversed(pads) for p in pair]


def half_padding(case: PoolCase) -> tuple[int, ...] | None:
    """Return the padding as torch's own argument, or None where F.pad must do it."""
    pads = tuple(low for low, _ in case.padding.pads)
    halves = all(2 * p <= k for p, k in zip(pads, case.kernel, strict=True))  # of the kernel, dilated or not
    fits = case.padding.symmetric and not case.padding.negative and halves
    return pads if fits or (case.expect.error is not None and not case.padding.negative) else None


def _by_indices(case: MaxPoolCase) -> bool:
    """Tell whether only the call that returns indices, too, has the case's dtype."""
    return case.dtype in INTEGERS and case.rank == 1


def unbatched_or_empty(case: PoolCase) -> str:
    """Say that torch's pools take an input without batch axis, and none without channels or space."""
    if len(case.input_shape) == case.rank + 1:
        return "torch reads an input with one axis less as one sample without a batch axis"
    if case.expect.error is None and not (case.input_shape[1] and all(case.input_shape[2:])):
        return "torch refuses an input without channels or without space"
    return ""
