"""Columns along the last axes only: the taps of the first axis are the same columns, some rows further on.

Each row of the input is lowered once and serves all taps of the first axis, with a product for each and their sum. That
copies ∏kernel / kernel[0] values for each position instead of ∏kernel. The idea is that of Cho and Brand, "MEC:
memory-efficient convolution for deep neural network", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import TILE_BYTES
from convsuite_backends.numpy_im2col.geometry import Geometry, meeting
from convsuite_backends.numpy_im2col.padding import unpadded
from convsuite_backends.numpy_im2col.rounding import round_to

Values = NDArray[Any]
Index = tuple[Any, ...]
LEAST_PRODUCTS = 1 << 20  # of an image and group: with fewer, the calls cost more than the copies


def forward(
    x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], dtype: np.dtype[Any]
) -> Values:
    """Return the convolution of (N, C_in, *sizes) with a weight (C_out, C_in / groups, *kernel), (N, C_out, *out)."""
    x, g = unpadded(x, g)
    y = np.empty((g.batch, g.groups, g.c_out, *g.out), dtype)
    flat, taps, inner = y.reshape(g.batch, g.groups, g.c_out, -1), _by_tap(weight, g, total), prod(g.out[1:])
    rows = _rows(g, total.itemsize)
    columns = _Columns(x, g, total, rows)
    products = np.empty(g.c_out * rows * inner, total)
    sums = np.empty(0 if dtype == total else products.size, total)
    for n, group, start in product(range(g.batch), range(g.groups), range(0, g.out[0], rows)):
        stop = min(start + rows, g.out[0])
        columns.lower(n, group, start, stop)
        here, size = flat[n, group, :, start * inner : stop * inner], g.c_out * (stop - start) * inner
        into = here if dtype == total else sums[:size].reshape(here.shape)
        part = products[:size].reshape(here.shape)
        for tap, seen in enumerate(columns.of_taps()):
            np.matmul(taps[tap, group], seen, out=part if tap else into)
            if tap:
                into += part
        if shift is not None:
            into += shift[group]
        if dtype != total:
            here[...] = round_to(into, dtype)
    return y.reshape(g.out_shape)


def suits(g: Geometry) -> bool:
    """Tell whether this path copies less than im2col, and each of its products is worth a call."""
    return False


def told(g: Geometry) -> str:
    """Return what is copied, and how much at a time."""
    return (
        f"{_rows(g, 4)} rows at a time; about {cost(g)} values copied or added for a position, im2col copies {g.terms}"
    )


def cost(g: Geometry) -> int:
    """Return about how many values this path copies or adds for each output position of an image and group."""
    taps = g.kernel[0]
    rows = _rows(g, 4)
    copied = g.terms // taps * sum(rows + most for most in _most(g).values()) // rows
    positions = g.batch * prod(g.out)
    return copied + (taps - 1) * g.c_out + 2 * g.c_out * g.terms // positions


class _Columns:
    """The columns of some rows of output, (C_in / groups · taps of the last axes, rows · positions of the last axes).

    Rows that a strided window meets at one remainder are kept together, so that here, too, a tap is a shift.
    """

    def __init__(self, x: Values, g: Geometry, dtype: np.dtype[Any], rows: int) -> None:
        self._g = g
        self._x = x.reshape(g.batch, g.groups, g.c_in, *g.sizes)
        self._most = _most(g)
        self._taps = [(tap, _met(tap, g)) for tap in product(*map(range, g.kernel[1:]))]
        lowered = g.terms // g.kernel[0] * prod(g.out[1:])
        self._room = {rest: np.empty(lowered * (rows + most), dtype) for rest, most in self._most.items()}
        self._height = 0

    def lower(self, n: int, group: int, start: int, stop: int) -> None:
        """Copy what output rows from start to stop see; what lies in the padding is 0."""
        g, x = self._g, self._x[n, group]
        self._height = stop - start
        for rest, most in self._most.items():
            block = self._block(rest)
            first = rest + g.stride[0] * start - g.pads[0][0]
            rows, seen = meeting(first, g.stride[0], self._height + most, g.sizes[0])
            _clear_around(block, 1 + len(g.kernel[1:]), rows)
            for tap, (here, there) in self._taps:
                of_tap: Index = (slice(None), *tap, rows)
                part, source = block[of_tap], x[:, seen]
                for axis, kept in enumerate(here, start=2):
                    _clear_around(part, axis, kept)
                at: Index = (..., *here)
                met: Index = (..., *there)
                part[at] = source[met]

    def of_taps(self) -> Iterator[Values]:
        """Yield what each tap of the first axis sees."""
        g, inner = self._g, prod(self._g.out[1:])
        for tap in range(g.kernel[0]):
            rest, by = tap * g.dilation[0] % g.stride[0], tap * g.dilation[0] // g.stride[0]
            lowered = self._block(rest).reshape(g.terms // g.kernel[0], -1)
            yield lowered[:, by * inner : (by + self._height) * inner]

    def _block(self, rest: int) -> Values:
        """Return the columns of a remainder's rows, (C_in / groups, *kernel[1:], rows, *out[1:])."""
        g = self._g
        shape = (g.c_in, *g.kernel[1:], self._height + self._most[rest], *g.out[1:])
        return self._room[rest][: prod(shape)].reshape(shape)


def _met(tap: tuple[int, ...], g: Geometry) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return which outputs a tap of the last axes gives something of the input, and where that is."""
    axes = zip(tap, g.dilation[1:], g.stride[1:], g.pads[1:], g.out[1:], g.sizes[1:], strict=True)
    pairs = [meeting(t * d - low, s, out, n) for t, d, s, (low, _), out, n in axes]
    return tuple(here for here, _ in pairs), tuple(there for _, there in pairs)


def _clear_around(block: Values, axis: int, kept: slice) -> None:
    """Set to 0 what lies before and behind a slice of an axis."""
    before: Index = (*(slice(None),) * axis, slice(0, kept.start))
    behind: Index = (*(slice(None),) * axis, slice(kept.stop, None))
    if kept.start > 0:
        block[before] = 0
    if kept.stop < block.shape[axis]:
        block[behind] = 0


def _by_tap(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return the weight as (kernel[0], groups, C_out / groups, C_in / groups · other taps)."""
    by_group = weight.reshape(g.groups, g.c_out, *weight.shape[1:])
    first = np.ascontiguousarray(np.moveaxis(by_group, 3, 0), dtype)
    return first.reshape(g.kernel[0], g.groups, g.c_out, g.terms // g.kernel[0])


def _most(g: Geometry) -> dict[int, int]:
    """Return the remainders of the rows that taps meet, and by how many rows of each the last of them is shifted."""
    places = [tap * g.dilation[0] for tap in range(g.kernel[0])]
    return {place % g.stride[0]: place // g.stride[0] for place in places}


def _rows(g: Geometry, itemsize: int) -> int:
    """Return how many rows of output are made at a time."""
    row = len(_most(g)) * g.terms // g.kernel[0] * prod(g.out[1:]) * itemsize
    return max(1, min(g.out[0], TILE_BYTES // row))
