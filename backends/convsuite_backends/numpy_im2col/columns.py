"""im2col and its adjoint, in tiles: the windows are a view, and only a tile of them is ever copied."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]
Tile = tuple[slice, ...]  # of (batch, groups, *out)
TILE_BYTES = 8 << 20  # columns held at once


def windows(padded: Values, g: Geometry) -> Values:
    """Return all windows of (N, C, *padded) as a view (N, groups, *out, C_in / groups, *kernel)."""
    n, c, *spatial = padded.strides
    steps = [s * by for s, by in zip(spatial, g.stride, strict=True)]
    taps = [s * d for s, d in zip(spatial, g.dilation, strict=True)]
    shape = (g.batch, g.groups, *g.out, g.c_in, *g.kernel)
    return as_strided(padded, shape, (n, c * g.c_in, *steps, c, *taps), writeable=False)


def tiles(g: Geometry, itemsize: int) -> Iterator[Tile]:
    """Cut (batch, groups, *out) into tiles whose columns take at most TILE_BYTES each, or are of a single position."""
    return _tiles((g.batch, g.groups, *g.out), max(1, TILE_BYTES // max(1, g.terms * itemsize)))


def whole(g: Geometry) -> Tile:
    """Return the tile that is everything."""
    return tuple(slice(0, n) for n in (g.batch, g.groups, *g.out))


def _tiles(shape: tuple[int, ...], most: int) -> Iterator[Tile]:
    if not shape:
        yield ()
        return
    inner = prod(shape[1:])
    step = max(1, most // max(1, inner))
    rests = [tuple(slice(0, n) for n in shape[1:])] if inner <= most else list(_tiles(shape[1:], most))
    for start in range(0, shape[0], step):
        for rest in rests:
            yield (slice(start, min(start + step, shape[0])), *rest)


def im2col(view: Values, tile: Tile, dtype: DTypeLike) -> Values:
    """Return a tile's columns, (n, groups, K, positions), K running over (channel, *tap); copies only if it must."""
    part = view[tile]
    n, groups, *rest = part.shape
    spatial = len(tile) - 2
    out, taps = rest[:spatial], rest[spatial:]
    lead = tuple(range(2 + spatial, part.ndim))
    columns = part.transpose(0, 1, *lead, *range(2, 2 + spatial))
    return columns.astype(dtype, copy=False).reshape(n, groups, prod(taps), prod(out))


def col2im(columns: Values, into: Values, tile: Tile, g: Geometry) -> None:
    """Add a tile's columns (n, groups, K, positions) into a padded gradient (N, groups, C_in / groups, *padded)."""
    batch, groups, *out = tile
    sizes = [axis.stop - axis.start for axis in out]
    columns = columns.reshape(*columns.shape[:2], g.c_in, *g.kernel, *sizes)
    for tap in product(*map(range, g.kernel)):
        axes = zip(tap, g.dilation, g.stride, out, strict=True)
        met = tuple(slice(t * d + s * at.start, t * d + s * (at.stop - 1) + 1, s) for t, d, s, at in axes)
        into[(batch, groups, slice(None), *met)] += columns[(slice(None), slice(None), slice(None), *tap)]
