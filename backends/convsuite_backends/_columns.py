"""Patches and fold, composed: where the taps of each window lie, and how axes go to rows and back."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import Level, Numerics, Pass, Support
from convsuite.operations import window
from convsuite.operations.patches import PatchesCase
from convsuite.operations.window import span
from convsuite_backends import _layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convsuite.operations.fold import FoldCase
    from convsuite.operations.local_conv import LocalConvCase

    Reshape = Callable[[Any, tuple[int, ...]], Any]
    SegmentSum = Callable[[Any, NDArray[np.int32], int], Any]


def added(declared: Numerics, case: PatchesCase, whose: str) -> Numerics:
    """Declare that a sum of 16-bit patches is rounded with each addition, where several are added up."""
    additions = window.met(window.windows(case)) - 1
    if case.dtype not in _layout.HALVES or additions < 1:
        return declared
    return _layout.narrowed(declared, case, additions, f"{whose} rounds each addition to {case.dtype}")


def fold_support(case: FoldCase, framework: str, call: str) -> Support:
    """Declare a fold that is added up by one call of a framework that has none."""
    if case.expect.error:
        return Support.unsupported(f"{framework} has no fold that could refuse")
    return Support.composed(f"{call} over the positions that the windows read: {framework} has no fold")


def fold(case: FoldCase, x: Any, last: bool, reshape: Reshape, transpose: Reshape, segment_sum: SegmentSum) -> Any:
    """Add up by position, a row for each tap of each window and a column for each image and channel.

    `last` says that the channels are the last axis; the calls are the framework's own.
    """
    n, c, taps = case.input_shape[0], case.channels, prod(case.kernel)
    seen = positions(case.unfolded)  # (*out, *kernel)
    windows = prod(seen.shape[: case.rank])
    flat = np.moveaxis(seen.reshape(windows, taps), 0, 1).ravel()
    rows_last = case.order == "channel_last"
    axis = (taps, c) if rows_last else (c, taps)
    if last:
        rows = transpose(reshape(x, (n, windows, *axis)), (2, 1, 0, 3) if rows_last else (3, 1, 0, 2))
    else:
        rows = transpose(reshape(x, (n, *axis, windows)), (1, 3, 0, 2) if rows_last else (2, 3, 0, 1))
    size = prod(case.output)  # the number of the row that padding is added up in, to be cut off
    total = segment_sum(reshape(rows, (taps * windows, n * c)), flat, size + 1)[:size]
    spatial = tuple(range(case.rank))
    back = (case.rank, *spatial, case.rank + 1) if last else (case.rank, case.rank + 1, *spatial)
    return transpose(reshape(total, (*case.output, n, c)), back)


@lru_cache(maxsize=8)  # asked at each call
def positions(case: PatchesCase) -> NDArray[np.int32]:
    """Return the flat position in the plane that each window's taps read, (*out, *kernel): its size for padding."""
    sizes = case.input_shape[2:]
    plane = np.arange(prod(sizes), dtype=np.int32).reshape(sizes)
    padded = np.pad(plane, _layout.grown(case), constant_values=plane.size)[tuple(_layout.kept(case))]
    spans = tuple(span(k, d) for k, d in zip(case.kernel, case.dilation, strict=True))
    steps = tuple(slice(None, None, step) for step in (*case.stride, *case.dilation))
    found: NDArray[np.int32] = np.lib.stride_tricks.sliding_window_view(padded, spans)[steps]
    return found


def local_support(case: LocalConvCase, patches: Support, framework: str, product: str) -> Support:
    """Declare a locally connected convolution that is composed of patches and one product for each position."""
    if patches.level is Level.UNSUPPORTED:
        return patches
    steps = [
        step for step in (patches.reason, f"{product} of patches and weights: {framework} has no such call") if step
    ]
    return Support.composed("; ".join(steps))


def local_product(
    case: LocalConvCase, columns: Any, weight: Any, last: bool, reshape: Reshape, einsum: Callable[..., Any]
) -> Any:
    """Multiply patches, rows (tap, c), by a weight (*kernel, *out, C_in, C_out), a product for each position."""
    if case.expect.error == "stride":  # it is for the patches to be refused: how many there are cannot be said
        return columns
    n, c, *_ = case.input_shape
    taps, out, filters = prod(case.kernel), case.output, case.out_channels
    by_tap = reshape(weight, (taps, prod(out), c, filters))
    if last:
        y = einsum("nptc,tpco->npo", reshape(columns, (n, prod(out), taps, c)), by_tap)
        return reshape(y, (n, *out, filters))
    y = einsum("ntcp,tpco->nop", reshape(columns, (n, taps, c, prod(out))), by_tap)
    return reshape(y, (n, filters, *out))


def local_numerics(case: LocalConvCase, pass_: Pass, declared: Numerics, of_patches: Numerics, bias: bool) -> Numerics:
    """Declare what it costs 16-bit sums that products are rounded before the bias, or each other, is added.

    `of_patches` is what the patches declare of the same pass; `bias` that the bias' gradient is added up in 16 bits.
    """
    dtype = case.dtype
    if dtype not in _layout.HALVES:
        return declared
    match pass_:
        case Pass.FORWARD if case.bias:
            return _layout.narrowed(declared, case, 1, f"the product is rounded to {dtype} before the bias is added")
        case Pass.GRAD_INPUT:
            roundings = 1 + (of_patches.intermediate_roundings or 0)
            return _layout.narrowed(declared, case, roundings, f"products are rounded to {dtype} before they are added")
        case Pass.GRAD_BIAS if bias:
            additions = max(0, case.input_shape[0] - 1)
            return _layout.narrowed(declared, case, additions, f"the bias' gradient is added up in {dtype}")
    return declared
