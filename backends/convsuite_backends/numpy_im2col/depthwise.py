"""Convolutions of one input channel a group: no matrix product is worth its columns there.

Each tap is a multiplication and an addition over whole planes, a block of them at a time, so that all stays in the
cache. Planes are taken as one long row: a tap is then a shift of it, and what a row's end and the next row's beginning
make between them is left out at the end.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import Tile
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import Source, bare
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.workspace import Workspace, workspace

Values = NDArray[Any]
BLOCK_BYTES = 128 << 10  # of sums; as much again of products, and of input
MOST_OUTPUTS = 4  # channels a group: of more, a matrix product is faster


def suits(g: Geometry) -> bool:
    """Tell whether a geometry is one for this path."""
    return g.c_in == 1 and g.groups > 1 and g.c_out <= MOST_OUTPUTS and prod(g.kernel) > 1


def told(g: Geometry) -> str:
    """Return how often planes are gone over."""
    return f"{prod(g.kernel)} multiplications and additions of planes of {prod(g.out)} positions"


def forward(x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values) -> None:
    """Write the convolution of (N, C_in, *sizes) with a weight (C_out, 1, *kernel) into y, (N, C_out, *out)."""
    by_group, by_output = y.reshape(g.batch, g.groups, g.c_out, *g.out), weight.astype(total, copy=False)
    by_output = by_output.reshape(g.groups, g.c_out, *g.kernel)
    with workspace().block() as room:
        rows = _Rows(x, g, total, room)
        for n, start in product(range(g.batch), range(0, g.groups, rows.block)):
            channels = slice(start, min(start + rows.block, g.groups))
            rows.load(n, channels)
            for output in range(g.c_out):
                sums = rows.summed(by_output[channels, output])
                if shift is not None:
                    sums += shift[channels, output]
                by_group[n, channels, output] = round_to(rows.kept(sums), y.dtype)


class _Rows:
    """Some planes as long rows, apart by the remainders of their positions where windows are strided."""

    def __init__(self, x: Values, g: Geometry, total: np.dtype[Any], room: Workspace) -> None:
        x, self._g = bare(x, g) if g.mode != "zeros" else (x, g)
        self._source, self._total = Source(x, self._g), total
        self._plane = tuple(-(-n // s) for n, s in zip(g.padded, g.stride, strict=True))  # of all remainders alike
        self._steps = tuple(prod(self._plane[axis + 1 :]) for axis in range(len(g.out)))
        self._length = 1 + sum((n - 1) * step for n, step in zip(g.out, self._steps, strict=True))
        self.block = max(1, BLOCK_BYTES // (self._length * total.itemsize))
        size = min(self.block, g.groups)
        axes = zip(g.kernel, g.dilation, g.stride, strict=True)
        rests = product(*({t * d % s for t in range(k)} for k, d, s in axes))  # those that a tap meets
        self._planes = {rest: room.take((1, size, 1, *self._plane), x.dtype) for rest in rests}
        self._sums, self._products = (room.take((size, self._length), total) for _ in range(2))

    def load(self, n: int, channels: slice) -> None:
        """Read an image's planes of some channels."""
        g = self._g
        tile = Tile(channels, slice(n, n + 1), tuple(slice(0, count) for count in g.out))
        for rest, planes in self._planes.items():
            self._source.read(tile, rest, g.stride, planes[:, : channels.stop - channels.start])

    def summed(self, weight: Values) -> Values:
        """Return Σ over taps of the shifted rows times the tap's weight (channels, *kernel): (channels, length)."""
        sums: Values = self._sums[: len(weight)]
        products = self._products[: len(weight)]
        for number, tap in enumerate(product(*map(range, self._g.kernel))):
            into = products if number else sums
            np.multiply(self._shifted(tap, len(weight)), weight[(slice(None), *tap, None)], out=into, dtype=self._total)
            if number:
                sums += products
        return sums

    def _shifted(self, tap: tuple[int, ...], channels: int) -> Values:
        g = self._g
        places = [t * d for t, d in zip(tap, g.dilation, strict=True)]
        rest = tuple(at % s for at, s in zip(places, g.stride, strict=True))
        start = sum(at // s * step for at, s, step in zip(places, g.stride, self._steps, strict=True))
        flat = self._planes[rest].reshape(len(self._planes[rest][0]), -1)
        rows: Values = flat[:channels, start : start + self._length]
        return rows

    def kept(self, sums: Values) -> Values:
        """Return (channels, *out) of sums (channels, length), a view."""
        steps = (step * sums.itemsize for step in self._steps)
        return as_strided(sums, (len(sums), *self._g.out), (sums.strides[0], *steps), writeable=False)
