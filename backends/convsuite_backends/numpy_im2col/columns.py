"""im2col and its adjoint, in tiles: the windows are views, and only a tile of them is ever copied.

Columns are (groups, K, positions) with K over (channel, *tap) and positions over (batch, *out), so that one matrix
product a group takes all images of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]
Index = tuple[Any, ...]
TILE_BYTES = 1 << 20  # columns held at once: what a core's own cache holds
LEAST_POSITIONS = 192  # of a tile: with fewer, a product reads the whole weight again for little
WORKSPACE_BYTES = 8 << 20  # that LEAST_POSITIONS may take


@dataclass(frozen=True, slots=True)
class Tile:
    """A box of (groups, batch, *out)."""

    groups: slice
    batch: slice
    out: tuple[slice, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """(batch, *out), the tile's own sizes."""
        return tuple(axis.stop - axis.start for axis in (self.batch, *self.out))

    @property
    def size(self) -> int:
        """Positions of all its groups."""
        groups: int = self.groups.stop - self.groups.start
        return groups * prod(self.positions)

    @property
    def index(self) -> Index:
        """The index of an array (groups, anything, batch, *out)."""
        return (self.groups, ..., self.batch, *self.out)


def tiles(g: Geometry, itemsize: int) -> Iterator[Tile]:
    """Cut (groups, batch, *out) into tiles of TILE_BYTES of columns, or LEAST_POSITIONS, and at least one position."""
    column = max(1, g.terms * itemsize)
    most = max(1, TILE_BYTES // column, min(LEAST_POSITIONS, WORKSPACE_BYTES // column))
    return (Tile(groups, batch, tuple(out)) for groups, batch, *out in boxes((g.groups, g.batch, *g.out), most))


def windows(padded: Values, g: Geometry) -> Values:
    """Return all windows of (N, C, *padded) as a view (groups, C_in / groups, *kernel, N, *out)."""
    return _view(padded, g, g.kernel, g.dilation, g.stride)


@dataclass(frozen=True, slots=True)
class Part:
    """Some taps of all windows, as a view."""

    taps: Index  # in the kernel
    view: Values  # (groups, C_in / groups, *taps, N, *out)


def parts(padded: Values, g: Geometry) -> tuple[Part, ...]:
    """Return all windows of (N, C, *padded) in parts, each with its positions side by side in memory.

    A strided window meets every s-th position. Copied out of the padded input, each would be read by itself, tap after
    tap; so the input is taken apart first, once, into the positions of each remainder, in which windows are dense.
    """
    if prod(g.kernel) <= prod(g.stride) or max(g.dilation) > 1 or prod(g.stride) == 1:
        return (Part((slice(None),) * len(g.kernel), windows(padded, g)),)
    found = []
    for rest in product(*(range(min(s, k)) for s, k in zip(g.stride, g.kernel, strict=True))):
        taps = tuple(len(range(r, k, s)) for r, k, s in zip(rest, g.kernel, g.stride, strict=True))
        dense = np.ascontiguousarray(padded[every(rest, g.stride)])
        ones = (1,) * len(taps)
        found.append(Part(every(rest, g.stride)[1:], _view(dense, g, taps, ones, ones)))
    return tuple(found)


def every(rest: tuple[int, ...], stride: tuple[int, ...]) -> Index:
    """Return the index, on the last axes, of every s-th position from a remainder on."""
    return (..., *(slice(r, None, s) for r, s in zip(rest, stride, strict=True)))


def _view(
    padded: Values, g: Geometry, kernel: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...]
) -> Values:
    n, c, *spatial = padded.strides
    taps = (s * d for s, d in zip(spatial, dilation, strict=True))
    steps = (s * by for s, by in zip(spatial, stride, strict=True))
    shape = (g.groups, g.c_in, *kernel, g.batch, *g.out)
    return as_strided(padded, shape, (c * g.c_in, c, *taps, n, *steps), writeable=False)


def workspace(g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return room for the columns of a geometry's largest tile, to be used for one tile after another."""
    largest = next(tiles(g, dtype.itemsize), None)  # those that follow are alike, or what is left
    return np.empty(largest.size * g.terms if largest else 0, dtype)


def im2col(seen: tuple[Part, ...], tile: Tile, g: Geometry, room: Values) -> Values:
    """Return a tile's columns (groups, K, positions), written into room."""
    groups = tile.groups.stop - tile.groups.start
    columns = room[: tile.size * g.terms].reshape(groups, g.c_in, *g.kernel, *tile.positions)
    for part in seen:
        columns[(slice(None), slice(None), *part.taps)] = part.view[tile.index]
    return columns.reshape(groups, g.terms, prod(tile.positions))


def col2im(columns: Values, into: Values, tile: Tile, g: Geometry) -> None:
    """Add a tile's columns, a view (groups, C_in / groups, *kernel, batch, *out), each tap to where it was seen.

    `into` is (N, groups, C_in / groups, *padded).
    """
    for tap in product(*map(range, g.kernel)):
        axes = zip(tap, g.dilation, g.stride, tile.out, strict=True)
        met = (slice(t * d + s * at.start, t * d + s * (at.stop - 1) + 1, s) for t, d, s, at in axes)
        here: Index = (tile.batch, tile.groups, slice(None), *met)
        of_tap: Index = (slice(None), slice(None), *tap)
        into[here] += columns[of_tap].swapaxes(1, 2).swapaxes(0, 1)  # batch first


def boxes(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array of a shape into boxes of at most `most` elements, at least 1, keeping the last axes whole."""
    if not shape:
        yield ()
        return
    inner = prod(shape[1:])
    rests = [tuple(slice(0, n) for n in shape[1:])] if inner <= most else list(boxes(shape[1:], most))
    step = max(1, most // max(1, inner))
    for start in range(0, shape[0], step):
        for rest in rests:
            yield (slice(start, min(start + step, shape[0])), *rest)
