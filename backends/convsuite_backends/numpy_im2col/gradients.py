"""The gradients of a convolution, each by the path that suits its geometry; not yet rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import TILE_BYTES, Columns, blocks, col2im, every, tiles
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import fold
from convsuite_backends.numpy_im2col.paths import forward
from convsuite_backends.numpy_im2col.weights import flipped, matrix
from convsuite_backends.numpy_im2col.workspace import Workspace, workspace

Values = NDArray[Any]
Index = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class InputPath:
    """One way to compute the gradient to the input."""

    name: str
    why: str
    suits: Callable[[Geometry], bool]
    gradient: Callable[[Values, Values, Geometry, np.dtype[Any]], Values]  # to the padded input


def input_path(g: Geometry) -> InputPath:
    """Return the path that the gradient to the input takes."""
    return next(path for path in INPUT_PATHS if path.suits(g))


def input_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its input, (N, C_in, *spatial), not yet rounded."""
    return fold(input_path(g).gradient(weight, grad_output, g, total), g)


def turned_geometries(g: Geometry) -> Iterator[tuple[Index, Geometry]]:
    """Yield, for each remainder of the stride, where its positions are and the geometry of the convolution to them."""
    for rest in product(*map(range, g.stride)):
        taps = tuple(len(range(r, k, s)) for r, k, s in zip(rest, g.kernel, g.stride, strict=True))
        sizes = tuple(len(range(r, n, s)) for r, n, s in zip(rest, g.padded, g.stride, strict=True))
        yield every(rest, g.stride), _turned(g, taps, sizes)


def as_convolution(g: Geometry) -> Geometry | None:
    """Return the geometry of the convolution that takes the output's gradient to the input's, if it is a single one."""
    if g.mode != "zeros" or max(*g.stride, *g.dilation) > 1:
        return None
    pads = tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(g.kernel, g.pads, strict=True))
    return replace(g, c_in=g.c_out, c_out=g.c_in, sizes=g.out, pads=pads, flip=False)


def _dense_suits(g: Geometry) -> bool:
    """Tell whether to turn the weight round for a convolution costs less than to scatter columns."""
    strided = prod(g.stride) > 1
    fits = all(s <= k for s, k in zip(g.stride, g.kernel, strict=True)) and max(g.dilation) == 1
    return g.batch * prod(g.out) > g.c_out and (fits if strided else prod(g.kernel) > 1)


def _dense_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient to the padded input as convolutions of the output's gradient, one for each remainder.

    Padded position s·u + r is met by output o at tap s·q + r with u = o + q: for each r that is a dense convolution
    with the taps of that remainder, turned round.
    """
    turned = flipped(weight, g).reshape(g.groups, g.c_out, g.c_in, *g.kernel).swapaxes(1, 2)
    padded = np.zeros((g.batch, g.groups * g.c_in, *g.padded), total)
    for here, inner in turned_geometries(g):
        taps = np.flip(turned[here], axis=tuple(range(3, turned.ndim)))
        flat = taps.reshape(g.groups * g.c_in, g.c_out, *inner.kernel)
        forward(grad_output, flat, None, inner, total, padded[here])
    return padded


def _turned(g: Geometry, kernel: tuple[int, ...], sizes: tuple[int, ...]) -> Geometry:
    """Return the geometry of a convolution from the output's gradient to so many positions."""
    spans = (d * (k - 1) for d, k in zip(g.dilation, kernel, strict=True))
    pads = tuple((span, size - n) for span, size, n in zip(spans, sizes, g.out, strict=True))
    return replace(
        g, c_in=g.c_out, c_out=g.c_in, sizes=g.out, kernel=kernel, stride=(1,) * len(kernel), pads=pads,
        mode="zeros", flip=False,
    )  # fmt: skip


def _scattered_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient to the padded input by columns that are added where they were seen."""
    by_row, by_group = matrix(flipped(weight, g), g, total).swapaxes(1, 2), _by_group(grad_output, g)
    padded = np.zeros((g.batch, g.groups, g.c_in, *g.padded), total)
    for tile in tiles(g, total.itemsize):
        with workspace().block() as room:
            groups: int = tile.groups.stop - tile.groups.start
            columns = room.take((groups, g.terms, prod(tile.positions)), total)
            np.matmul(by_row[tile.groups], _rows(by_group[tile.index], g, total), out=columns)
            col2im(columns.reshape(groups, g.c_in, *g.kernel, *tile.positions), padded, tile, g)
    return padded.reshape(g.batch, g.groups * g.c_in, *g.padded)


INPUT_PATHS = (
    InputPath(
        "convolutions of the output's gradient",
        "more positions than channels: with the weight turned round, one for each remainder of the stride",
        _dense_suits,
        _dense_gradient,
    ),
    InputPath(
        "scattered columns",
        "a matrix product makes columns, which are added where the forward pass saw them",
        lambda _: True,
        _scattered_gradient,
    ),
)


def weight_gradient(x: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its weight, (C_out, C_in / groups, *kernel), not yet rounded."""
    by_group = _by_group(grad_output, g)
    found = np.zeros((g.groups, g.c_out, g.terms), total)
    with workspace().block() as room:
        lowered = Columns(x, g, total, room)
        for tile in lowered.tiles:
            rows, columns = _rows(by_group[tile.index], g, total), lowered.of(tile).swapaxes(1, 2)
            _add_product(rows, columns, found[tile.groups], tile.is_first, room)
    return flipped(found.reshape(g.groups * g.c_out, g.c_in, *g.kernel), g)


def _add_product(rows: Values, columns: Values, into: Values, is_first: bool, room: Workspace) -> None:
    """Add a tile's product to the gradient (groups, C_out / groups, K); the first is written where it belongs."""
    if is_first:
        np.matmul(rows, columns, out=into)
        return
    groups, outputs, terms = into.shape
    step = max(1, TILE_BYTES // (groups * terms * into.itemsize))
    for some in blocks(outputs, step):
        with room.block():
            part = room.take((groups, some.stop - some.start, terms), into.dtype)
            into[:, some] += np.matmul(rows[:, some], columns, out=part)


def _by_group(grad_output: Values, g: Geometry) -> Values:
    """Return (N, C_out, *out) as a view (groups, C_out / groups, N, *out)."""
    return np.moveaxis(grad_output.reshape(g.batch, g.groups, g.c_out, *g.out), 0, 2)


def _rows(part: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return a tile of `_by_group` as (groups, C_out / groups, positions)."""
    return part.astype(dtype, copy=False).reshape(part.shape[0], g.c_out, prod(part.shape[2:]))
