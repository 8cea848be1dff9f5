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

from convsuite_backends.numpy_im2col.columns import every
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import pad
from convsuite_backends.numpy_im2col.rounding import round_to

Values = NDArray[Any]
BLOCK_BYTES = 128 << 10  # of sums; as much again of products, and of input
MOST_OUTPUTS = 4  # channels a group: of more, a matrix product is faster


def suits(g: Geometry) -> bool:
    """Tell whether a geometry is one for this path."""
    return g.c_in == 1 and g.groups > 1 and g.c_out <= MOST_OUTPUTS and prod(g.kernel) > 1


def told(g: Geometry) -> str:
    """Return how often planes are gone over."""
    return f"{prod(g.kernel)} multiplications and additions of planes of {prod(g.out)} positions"


def forward(
    x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], dtype: np.dtype[Any]
) -> Values:
    """Return the convolution of (N, C_in, *sizes) with a weight (C_out, 1, *kernel), (N, C_out, *out) in a dtype."""
    y = np.empty((g.batch, g.groups, g.c_out, *g.out), dtype)
    by_output = weight.astype(total, copy=False).reshape(g.groups, g.c_out, *g.kernel)
    rows = _Rows.of(pad(x, g), g)
    block = max(1, BLOCK_BYTES // (rows.length * total.itemsize))
    for n, start, output in product(range(g.batch), range(0, g.groups, block), range(g.c_out)):
        channels = slice(start, min(start + block, g.groups))
        sums = rows.summed(n, channels, by_output[channels, output], total)
        if shift is not None:
            sums += shift[channels, output]
        y[n, channels, output] = round_to(rows.kept(sums, g.out), dtype)
    return y.reshape(g.out_shape)


class _Rows:
    """Planes as long rows, apart by the remainders of their positions where windows are strided."""

    def __init__(self, by_rest: dict[tuple[int, ...], Values], g: Geometry) -> None:
        self._by_rest = by_rest
        self._g = g
        steps = [prod(self._plane[axis + 1 :]) for axis in range(len(g.out))]
        self._steps = tuple(steps)
        self.length = 1 + sum((n - 1) * step for n, step in zip(g.out, steps, strict=True))

    @staticmethod
    def of(padded: Values, g: Geometry) -> _Rows:
        """Take (N, C, *padded) apart; planes of all remainders have one size, the shorter ones a last zero."""
        sizes = tuple(-(-n // s) for n, s in zip(g.padded, g.stride, strict=True))
        found = {}
        axes = zip(g.kernel, g.dilation, g.stride, strict=True)
        for rest in product(*({t * d % s for t in range(k)} for k, d, s in axes)):  # those that a tap meets
            part = padded[every(rest, g.stride)]
            if part.shape[2:] != sizes:
                part = np.pad(part, [(0, 0), (0, 0), *((0, n - m) for n, m in zip(sizes, part.shape[2:], strict=True))])
            found[rest] = np.ascontiguousarray(part)
        return _Rows(found, g)

    @property
    def _plane(self) -> tuple[int, ...]:
        return next(iter(self._by_rest.values())).shape[2:]

    def summed(self, n: int, channels: slice, weight: Values, total: np.dtype[Any]) -> Values:
        """Return Σ over taps of the shifted rows times the tap's weight (channels, *kernel): (channels, length)."""
        sums = products = None
        for tap in product(*map(range, self._g.kernel)):
            seen = self._shifted(n, channels, tap)
            if sums is None:
                sums = np.multiply(seen, weight[(slice(None), *tap, None)], dtype=total)
                products = np.empty_like(sums)
            else:
                np.multiply(seen, weight[(slice(None), *tap, None)], out=products, dtype=total)
                sums += products
        assert sums is not None
        return sums

    def _shifted(self, n: int, channels: slice, tap: tuple[int, ...]) -> Values:
        g = self._g
        places = [t * d for t, d in zip(tap, g.dilation, strict=True)]
        rest = tuple(at % s for at, s in zip(places, g.stride, strict=True))
        start = sum(at // s * step for at, s, step in zip(places, g.stride, self._steps, strict=True))
        planes = self._by_rest[rest][n, channels]
        rows: Values = planes.reshape(len(planes), -1)[:, start : start + self.length]
        return rows

    def kept(self, sums: Values, out: tuple[int, ...]) -> Values:
        """Return (channels, *out) of sums (channels, length), a view."""
        steps = (step * sums.itemsize for step in self._steps)
        return as_strided(sums, (len(sums), *out), (sums.strides[0], *steps), writeable=False)
