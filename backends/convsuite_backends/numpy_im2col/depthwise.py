"""Depthwise convolutions of small planes and many channels: channels last, tap by tap along all channels at once.

Columns would copy each input as often as there are taps, in runs as short as a row of the plane, for one multiplication
each. With the channels side by side, a tap is one long product of inputs and weights, added where it belongs, which
`numpy.einsum` does in a single pass over memory.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import blocks, boxes
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import Source
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.workspace import workspace

Values = NDArray[Any]
Index = tuple[Any, ...]
LEAST_CHANNELS = 32
MOST_POSITIONS, POSITIONS_A_CHANNEL = 1024, 8  # of a plane: for larger ones, and few channels, columns are faster
MOST_SPAN = 1024  # positions from a window's first to its last, all axes together
MOST_CHANNELS = 1024  # side by side
MOST_AXES = 25  # for which numpy.einsum has names
BOX_BYTES = 1 << 20  # of inputs held at once, about: a core's own cache
PITCH = 16  # elements behind the channels: at distances of a power of two all would fall into the same set of a cache


def suits(g: Geometry) -> bool:
    """Tell whether this is faster than columns (docs/engine.md)."""
    small = prod(g.out) <= min(MOST_POSITIONS, POSITIONS_A_CHANNEL * g.groups)
    dense = all(s <= k for s, k in zip(g.stride, g.kernel, strict=True)) and prod(g.spans) <= MOST_SPAN
    some = prod(g.kernel) > 1 and len(g.kernel) <= MOST_AXES
    return g.c_in == 1 and g.groups >= LEAST_CHANNELS and some and small and dense


def told(g: Geometry) -> str:
    """Return what is side by side."""
    return f"{prod(g.kernel)} taps, {_channels(g, 4)} of {g.groups} channels at once"


def forward(x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values) -> None:
    """Write the convolution of x with a weight (C_out, 1, *kernel) into y, (N, C_out, *out)."""
    seen, by_group = Source(x, g), y.reshape(g.batch, g.groups, g.c_out, *g.out)
    taps = np.moveaxis(weight.reshape(g.groups, g.c_out, *g.kernel), 0, -1).astype(total, "C")  # (…, *kernel, C)
    step = _channels(g, total.itemsize)
    for channels in blocks(g.groups, step):
        count = channels.stop - channels.start
        for batch, *out in boxes((g.batch, *g.out), _positions(g, step, total.itemsize)):
            with workspace().block() as room:
                sizes = tuple(axis.stop - axis.start for axis in (batch, *out))
                extents = g.extents(sizes[1:])
                box = room.take((sizes[0], *extents, count + PITCH), total)[..., :count]
                starts = [axis.start * s for axis, s in zip(out, g.stride, strict=True)]
                seen.read((batch, channels, 0), starts, (1,) * len(starts), np.moveaxis(box, -1, 1))
                sums = room.take((*sizes, count + PITCH), total)[..., :count]
                for output in range(g.c_out):
                    _add_up(box, taps[output][..., channels], g, sums)
                    if shift is not None:
                        sums += shift[channels, output, 0]
                    here: Index = (batch, channels, output, *out)
                    by_group[here] = round_to(np.moveaxis(sums, -1, 1), y.dtype)


def _add_up(box: Values, taps: Values, g: Geometry, sums: Values) -> None:
    """Write Σ_t box · taps into sums (N, *out, C): the box is (N, *extents, C), the taps are (*kernel, C)."""
    rank, (of_batch, *of_axes, of_channel) = len(g.kernel), box.strides
    by_tap = tuple(s * d for s, d in zip(of_axes, g.dilation, strict=True))
    by_place = tuple(s * step for s, step in zip(of_axes, g.stride, strict=True))
    windows = as_strided(box, (*g.kernel, *sums.shape), (*by_tap, of_batch, *by_place, of_channel))
    tap, place, channel = list(range(rank)), list(range(rank, 2 * rank + 1)), 2 * rank + 1
    np.einsum(windows, [*tap, *place, channel], taps, [*tap, channel], [*place, channel], out=sums)


def _positions(g: Geometry, channels: int, itemsize: int) -> int:
    """Return how many windows' inputs are held at once, a plane's inputs being shared out among its windows."""
    plane = prod(g.extents(g.out)) * (channels + PITCH) * itemsize
    return max(1, BOX_BYTES * prod(g.out) // plane)


def _channels(g: Geometry, itemsize: int) -> int:
    """Return how many channels are side by side: as many as leave room for what one row of windows meets."""
    row = prod(g.extents((1,) * (len(g.out) - 1) + g.out[-1:])) * itemsize
    return min(g.groups, MOST_CHANNELS, max(LEAST_CHANNELS, 2 * BOX_BYTES // row - PITCH))
