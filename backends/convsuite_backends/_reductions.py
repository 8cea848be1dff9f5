"""Adaptive pools for frameworks that have none: a reduction over all of space, or over windows of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.case import Support

if TYPE_CHECKING:
    from collections.abc import Callable

    from convsuite.backend import Native
    from convsuite.operations.adaptive import AdaptiveCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase


def support(case: AdaptiveCase, framework: str, reduction: str) -> Support:
    """Declare a global pool as the reduction that it is, even windows as composed, and others as missing."""
    if case.expect.error is not None:
        return Support.unsupported(f"{framework} has no adaptive pool, so none that refuses anything")
    if case.whole:
        return Support.native()
    if case.even:
        return Support.composed(f"{reduction} of the input reshaped so that each window has an axis of its own")
    return Support.unsupported(f"{framework} has no adaptive pool, and a reshape makes windows of one length only")


def shared_evenly(case: AdaptiveMaxPoolCase, reduction: str) -> str:
    """Say that a reduction has no one place for its maximum, "" where there is one all the same."""
    shares = f"{reduction} shares the gradient evenly among equal maxima, and has none where there is a NaN"
    return shares if case.ties or case.nans else ""


def reduced(
    case: AdaptiveCase,
    x: Native,
    last: bool,
    reshape: Callable[[Native, tuple[int, ...]], Native],
    reduce: Callable[[Native, tuple[int, ...], bool], Native],
) -> Native:
    """Reduce all of space, or each window; `reduce` takes the array, the axes and whether to keep them."""
    first = 1 if last else 2
    if case.whole:
        return reduce(x, tuple(range(first, first + case.rank)), True)
    n, channels, *sizes = case.input_shape
    apart = [size for total, o in zip(sizes, case.output, strict=True) for size in (o, total // o)]
    shape = (n, *apart, channels) if last else (n, channels, *apart)
    return reduce(reshape(x, shape), tuple(range(first + 1, first + 2 * case.rank, 2)), False)
