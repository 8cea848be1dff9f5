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
from convsuite_backends.numpy_im2col.padding import Source
from convsuite_backends.numpy_im2col.workspace import Workspace

Values = NDArray[Any]
Index = tuple[Any, ...]
TILE_BYTES = 2 << 20  # columns held at once: about what a core's own caches hold
LEAST_POSITIONS = 192  # of a tile: with fewer, a product reads the whole weight again for little
MOST_BYTES = 4 << 20  # that LEAST_POSITIONS may take


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
    def is_first(self) -> bool:
        """True where no tile of its groups comes before it."""
        return self.batch.start == 0 and all(axis.start == 0 for axis in self.out)

    @property
    def seen(self) -> Index:
        """The index of an input (batch, groups, C_in / groups, *anything)."""
        return (self.batch, self.groups, slice(None))

    @property
    def index(self) -> Index:
        """The index of an array (groups, anything, batch, *out)."""
        return (self.groups, ..., self.batch, *self.out)


def tiles(g: Geometry, itemsize: int) -> Iterator[Tile]:
    """Cut (groups, batch, *out) into tiles of TILE_BYTES of columns, or LEAST_POSITIONS, and at least one position."""
    column = max(1, g.terms * itemsize)
    most = max(1, TILE_BYTES // column, min(LEAST_POSITIONS, MOST_BYTES // column))
    return (Tile(groups, batch, tuple(out)) for groups, batch, *out in boxes((g.groups, g.batch, *g.out), most))


class Columns:
    """The columns of an input, tile after tile in the same room; nothing is ever padded as a whole.

    What a tile sees is copied once, with its padding, into a buffer that stays in the cache, and its windows are views
    of that. A strided window meets every s-th position: copied out of the input as it lies, each would be read by
    itself, tap after tap; so what a tile sees is taken apart into the positions of each remainder, in which windows are
    dense. Where windows are so far spread that the buffer would be larger than the columns, taps are read one by one.
    """

    def __init__(self, x: Values, g: Geometry, dtype: np.dtype[Any], room: Workspace) -> None:
        self._g = g
        self.tiles = tuple(tiles(g, dtype.itemsize))
        self._source = Source(x, g)
        self._taken_apart = prod(g.kernel) > prod(g.stride) > 1 and max(g.dilation) == 1
        size = held = 0
        if self.tiles:  # those that follow the first are alike, or what is left
            size, held = self.tiles[0].size * g.terms, prod(self._seen_shape(self.tiles[0], (0,) * len(g.kernel)))
        self._room = room.take(size, dtype)
        self._direct = self._source.bare and not self._taken_apart  # windows are views of the input itself
        self._read = self._windows if self._direct or held <= size else self._tap_by_tap
        self._buffer = room.take(0 if self._direct or held > size else held, x.dtype)

    def of(self, tile: Tile) -> Values:
        """Return a tile's columns (groups, K, positions); they are overwritten by the next tile's."""
        g, groups = self._g, tile.groups.stop - tile.groups.start
        columns = self._room[: tile.size * g.terms].reshape(groups, g.c_in, *g.kernel, *tile.positions)
        self._read(tile, columns)
        return columns.reshape(groups, g.terms, prod(tile.positions))

    def _windows(self, tile: Tile, columns: Values) -> None:
        """Copy what a tile's windows see, of one remainder after another."""
        g = self._g
        if self._direct:
            seen = self._source.behind(tile.seen, self._starts(tile, (0,) * len(g.kernel)))
            columns[...] = _view(seen, columns.shape[2:], g.dilation, g.stride)
            return
        rests = product(*map(range, map(min, g.stride, g.kernel))) if self._taken_apart else [(0,) * len(g.kernel)]
        for rest in rests:
            shape = self._seen_shape(tile, rest)
            seen = self._buffer[: prod(shape)].reshape(shape)
            steps = g.stride if self._taken_apart else (1,) * len(rest)
            self._source.read(tile.seen, self._starts(tile, rest), steps, seen)
            part = columns[(slice(None), slice(None), *every(rest, steps)[1:])]
            own = (1,) * len(rest) if self._taken_apart else g.stride
            part[...] = _view(seen, part.shape[2:], g.dilation, own)

    def _tap_by_tap(self, tile: Tile, columns: Values) -> None:
        """Copy what a tile's windows see, of one tap after another."""
        g = self._g
        for tap in product(*map(range, g.kernel)):
            of_tap: Index = (slice(None), slice(None), *tap)
            places = tuple(t * d for t, d in zip(tap, g.dilation, strict=True))
            self._source.read(tile.seen, self._starts(tile, places), g.stride, np.moveaxis(columns[of_tap], 2, 0))

    def _starts(self, tile: Tile, places: tuple[int, ...]) -> list[int]:
        """Return positions that are so far behind where a tile's first window begins."""
        return [at + out.start * s for at, out, s in zip(places, tile.out, self._g.stride, strict=True)]

    def _seen_shape(self, tile: Tile, rest: tuple[int, ...]) -> tuple[int, ...]:
        """Return (batch, groups, C_in / groups, *positions) of what the tile's windows meet of a remainder."""
        g, (batch, *counts) = self._g, tile.positions
        groups: int = tile.groups.stop - tile.groups.start
        if not self._taken_apart:
            return (batch, groups, g.c_in, *g.extents(counts))
        axes = zip(rest, counts, g.kernel, g.stride, strict=True)
        extents = (n + len(range(r, k, s)) - 1 for r, n, k, s in axes)
        return (batch, groups, g.c_in, *extents)


def every(rest: tuple[int, ...], stride: tuple[int, ...]) -> Index:
    """Return the index, on the last axes, of every s-th position from a remainder on."""
    return (..., *(slice(r, None, s) for r, s in zip(rest, stride, strict=True)))


def _view(seen: Values, shape: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...]) -> Values:
    """Return windows of (N, groups, C_in / groups, *seen) as (groups, C_in / groups, *kernel, N, *out).

    `shape` is (*kernel, N, *out).
    """
    n, group, c, *spatial = seen.strides
    taps = (s * d for s, d in zip(spatial, dilation, strict=True))
    steps = (s * by for s, by in zip(spatial, stride, strict=True))
    return as_strided(seen, (*seen.shape[1:3], *shape), (group, c, *taps, n, *steps), writeable=False)


def windows(padded: Values, g: Geometry) -> Values:
    """Return all windows of (N, C, *padded) as a view (groups, C_in / groups, *kernel, N, *out)."""
    by_group = padded.reshape(g.batch, g.groups, g.c_in, *g.padded)
    return _view(by_group, (*g.kernel, g.batch, *g.out), g.dilation, g.stride)


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
    for some in blocks(shape[0], step):
        for rest in rests:
            yield (some, *rest)


def blocks(n: int, step: int) -> list[slice]:
    """Cut an axis of n positions into blocks of at most `step`."""
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
