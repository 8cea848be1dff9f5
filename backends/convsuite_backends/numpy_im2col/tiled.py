"""im2col in tiles, with a matrix product for each: the path for whatever has no better one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import Columns, tiles
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.products import multiply
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.weights import matrix
from convsuite_backends.numpy_im2col.workspace import workspace

Values = NDArray[Any]


def told(g: Geometry) -> str:
    """Return the size of columns and tiles."""
    largest = next(tiles(g, 4), None)
    return f"K = {g.terms}" + (f", tiles of {largest.size} positions" if largest else "")


def forward(x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values) -> None:
    """Write the convolution of x with a weight (C_out, C_in / groups, *kernel) into y, (N, C_out, *out)."""
    by_row = matrix(weight, g, total)
    by_group = np.moveaxis(y.reshape(g.batch, g.groups, g.c_out, *g.out), 0, 2)
    with workspace().block() as room:
        lowered = Columns(x, g, total, room)
        for tile in lowered.tiles:
            columns, here = lowered.of(tile), by_group[tile.index]
            at_once = _side_by_side(here) if y.dtype == total and y.flags.c_contiguous else None
            part = multiply(by_row[tile.groups], columns, at_once)
            if shift is not None:
                part += shift[tile.groups]
            if at_once is None:
                here[...] = round_to(part, y.dtype).reshape(here.shape)


def _side_by_side(here: Values) -> Values | None:
    """Return a tile of an output (groups, C_out / groups, N, *out) as (…, positions), a view; None where it is none.

    A tile keeps the last axes whole, so that of one image all its positions follow each other.
    """
    if here.shape[2] != 1:
        return None
    groups, channels = here.strides[:2]
    return as_strided(here, (*here.shape[:2], prod(here.shape[2:])), (groups, channels, here.itemsize))
