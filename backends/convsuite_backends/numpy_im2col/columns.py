"""im2col and its adjoint, in tiles: the windows are a view, and only a tile of them is ever copied.

Columns are (groups, K, positions) with K over (channel, *tap) and positions over (batch, *out), so that one matrix
product a group takes all images of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]
Index = tuple[Any, ...]
TILE_BYTES = 8 << 20  # columns held at once


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
    def index(self) -> Index:
        """The index of an array (groups, anything, batch, *out)."""
        return (self.groups, ..., self.batch, *self.out)


def tiles(g: Geometry, itemsize: int) -> Iterator[Tile]:
    """Cut (groups, batch, *out) into tiles whose columns take at most TILE_BYTES each, or are of a single position."""
    most = max(1, TILE_BYTES // max(1, g.terms * itemsize))
    return (Tile(groups, batch, tuple(out)) for groups, batch, *out in boxes((g.groups, g.batch, *g.out), most))


def windows(padded: Values, g: Geometry) -> Values:
    """Return all windows of (N, C, *padded) as a view (groups, C_in / groups, *kernel, N, *out)."""
    n, c, *spatial = padded.strides
    taps = (s * d for s, d in zip(spatial, g.dilation, strict=True))
    steps = (s * by for s, by in zip(spatial, g.stride, strict=True))
    shape = (g.groups, g.c_in, *g.kernel, g.batch, *g.out)
    return as_strided(padded, shape, (c * g.c_in, c, *taps, n, *steps), writeable=False)


def im2col(view: Values, tile: Tile, dtype: DTypeLike) -> Values:
    """Return a tile's columns out of all windows."""
    part = view[tile.index]
    axes = len(tile.out) + 1  # batch and spatial
    return part.astype(dtype, order="C").reshape(part.shape[0], prod(part.shape[1:-axes]), prod(part.shape[-axes:]))


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
