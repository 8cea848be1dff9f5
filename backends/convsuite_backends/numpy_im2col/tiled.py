"""im2col in tiles, with a matrix product for each: the path for whatever has no better one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import im2col, parts, tiles, workspace
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import pad
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.weights import matrix

Values = NDArray[Any]


def told(g: Geometry) -> str:
    """Return the size of columns and tiles."""
    largest = next(tiles(g, 4), None)
    return f"K = {g.terms}" + (f", tiles of {largest.size} positions" if largest else "")


def forward(
    x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], dtype: np.dtype[Any]
) -> Values:
    """Return the convolution of (N, C_in, *sizes) with a weight (C_out, C_in / groups, *kernel), (N, C_out, *out)."""
    y, by_row = np.empty((g.batch, g.groups, g.c_out, *g.out), dtype), matrix(weight, g, total)
    by_group, seen, room = np.moveaxis(y, 0, 2), parts(pad(x, g), g), workspace(g, total)
    for tile in tiles(g, total.itemsize):
        columns, here = im2col(seen, tile, g, room), by_group[tile.index]
        at_once = _side_by_side(here) if dtype == total else None
        part = np.matmul(by_row[tile.groups], columns, out=at_once)
        if shift is not None:
            part += shift[tile.groups]
        if at_once is None:
            here[...] = round_to(part, dtype).reshape(here.shape)
    return y.reshape(g.out_shape)


def _side_by_side(here: Values) -> Values | None:
    """Return a tile of an output (groups, C_out / groups, N, *out) as (…, positions), a view; None where it is none.

    A tile keeps the last axes whole, so that of one image all its positions follow each other.
    """
    if here.shape[2] != 1:
        return None
    groups, channels = here.strides[:2]
    return as_strided(here, (*here.shape[:2], prod(here.shape[2:])), (groups, channels, here.itemsize))
