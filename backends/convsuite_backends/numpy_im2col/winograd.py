"""Winograd's minimal filtering: 3×3 windows, dense and of stride 1, in tiles of 4×4 or 2×2 outputs.

An output tile is Aᵀ[Σ_c (G w_c Gᵀ) ⊙ (Bᵀ d_c B)]A with d_c the (m + 2)×(m + 2) inputs that it sees: (m + 2)² products
for m² outputs where the definition takes 9·m². A transform of both axes at once is one matrix product with the
Kronecker product of its matrix with itself, over all tiles of many channels; the products in the middle are (m + 2)²
matrix products of (C_out, C) by (C, tiles).

Source: Lavin & Gray, "Fast algorithms for convolutional neural networks", CVPR 2016. Its error has a bound of its own,
`convsuite.algorithms.Winograd`. An operand that is NaN or infinite would spread over its tiles, and so would what
overflows in a transform: an answer that is not finite everywhere is thus computed again, by the plain engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import blocks, boxes
from convsuite_backends.numpy_im2col.fast import Algorithm, Weights
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import Source
from convsuite_backends.numpy_im2col.products import SMALL
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.workspace import WORKSPACE_BYTES, Workspace, workspace

Values = NDArray[Any]
TAPS = 3  # on each axis
GATHERED_BYTES = (
    512 << 10
)  # of tiles as they are cut out, of the input that they are cut out of, and of all that is small
LEAST_CHANNELS = 16  # of a group, in and out: with fewer, the tiles' transforms cost more than the products they save
LEAST_POSITIONS = 100  # outputs of a channel: with fewer, the weight's transform does
MOST_COVERED = 1.25  # outputs that tiles of 4 × 4 may compute for each that tiles of 2 × 2 compute
# held at once: with fewer a product reads a whole operand for little, with more it no longer fits a core's own cache
LEAST_OUTPUTS, MOST_OUTPUTS = 8, 32
LEAST_TILES, MOST_TILES = 24, 192

# (A, G, B) of F(2, 3) at the points 0, 1, −1, ∞ and of F(4, 3) at 0, ±1, ±2, ∞
MATRICES = {
    2: (
        np.array([[1, 1, 1, 0], [0, 1, -1, 1]]),
        np.array([[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]),
    ),
    4: (
        np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
        np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
        np.array(
            [
                [4, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ]
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a convolution is cut up: what is held at once fits WORKSPACE_BYTES."""

    m: int  # outputs of a tile on each axis
    tiles: int  # held at once, transformed, with all their channels
    outputs: int  # channels whose transformed weights are held at once
    gathered: int  # channels that are cut into tiles at once

    @property
    def seen(self) -> int:
        """Input positions of a tile on each axis."""
        return self.m + TAPS - 1

    @property
    def transform(self) -> int:
        """What the weights' transform goes by."""
        return self.m

    def parts(self, channels: int) -> list[slice]:
        """Cut a group's output channels into what is held at once."""
        return blocks(channels, self.outputs)


def plan(g: Geometry, itemsize: int) -> Plan | None:
    """Return how to compute a convolution, or None where the plain engine does (docs/engine.md has measurements)."""
    dense = g.kernel == (TAPS, TAPS) and set(g.stride) == set(g.dilation) == {1}
    if not dense or min(g.c_in, g.c_out) < LEAST_CHANNELS or g.batch * prod(g.out) < LEAST_POSITIONS:
        return None
    m = 4 if _covered(g, 4) <= MOST_COVERED * _covered(g, 2) else 2
    column = (m + TAPS - 1) ** 2 * itemsize  # bytes of one channel of one tile, transformed
    cut = _cut(g, _covered(g, m) // m**2, (WORKSPACE_BYTES - 3 * GATHERED_BYTES) // column)
    if cut is None:
        return None
    tiles, outputs = cut
    return Plan(m=m, tiles=tiles, outputs=outputs, gathered=max(1, min(g.c_in, GATHERED_BYTES // (column * tiles))))


def _covered(g: Geometry, m: int) -> int:
    """Return how many outputs of a channel the tiles compute; those at the end hang over."""
    return g.batch * prod(-(-n // m) * m for n in g.out)


def _cut(g: Geometry, count: int, room: int) -> tuple[int, int] | None:
    """Return (tiles, outputs) held at once with room for so many columns of `count` tiles; None where it is too little.

    Inputs take C·tiles columns, weights C·outputs; what they make goes through three arrays, two of them smaller.
    """

    def most(held: int) -> int:
        return (room - held * g.c_in) // (g.c_in + 2 * held)

    if most(count) >= min(LEAST_OUTPUTS, g.c_out):  # inputs are all held, and each weight is transformed once
        return count, min(g.c_out, MOST_OUTPUTS, most(count))
    if most(g.c_out) >= LEAST_TILES:  # weights are, and each input is
        return min(count, MOST_TILES, most(g.c_out)), g.c_out
    for outputs in (MOST_OUTPUTS, MOST_OUTPUTS // 2):  # neither: the weights are transformed for each part of the tiles
        if most(outputs) >= LEAST_TILES:
            return most(outputs), outputs
    return None


def _filtered(
    x: Values, weights_of: Weights, shift: Values | None, g: Geometry, how: Plan, total: np.dtype[Any], y: Values
) -> bool:
    """Write the convolution; `weights_of(group, room)` gives output channels and their matrices (points, C_out, C).

    False where it is not finite everywhere.
    """
    with workspace().block() as held:
        return _by_parts(Source(x, g), weights_of, shift, g, _Room(g, how, total, held), y)


def _by_parts(seen: Source, weights_of: Weights, shift: Values | None, g: Geometry, room: _Room, y: Values) -> bool:
    how, by_group = room.how, y.reshape(g.batch, g.groups, g.c_out, *g.out)
    for group in range(g.groups):
        weights = weights_of(group, room)
        for part in boxes((g.batch, *(-(-n // how.m) for n in g.out)), how.tiles):
            columns = room.transformed(seen, group, part)
            for outputs, matrix in weights:
                made = room.made(matrix, columns, part)
                if not np.isfinite(made).all():
                    return False
                batch, *places = part
                here = by_group[(batch, group, outputs, *(slice(how.m * at.start, how.m * at.stop) for at in places))]
                here = here.swapaxes(0, 1)
                made = made[:, :, : here.shape[2], : here.shape[3]]
                if shift is not None:
                    made += shift[group, outputs, :, None, None]
                here[...] = round_to(made, y.dtype)
    return True


@lru_cache(8)
def _of_both_axes(m: int, dtype: np.dtype[Any]) -> tuple[Values, Values, Values]:
    """Return Aᵀ, G and B of both axes at once, each in the order in memory with which it is multiplied fastest."""
    a, filters, b = (np.kron(each, each).astype(dtype) for each in MATRICES[m])
    return a.T, filters, np.asfortranarray(b)


class _Room:
    """The arrays that all parts of a convolution use one after another."""

    def __init__(self, g: Geometry, how: Plan, total: np.dtype[Any], held: Workspace) -> None:
        self.how, self.total, self.channels = how, total, g.c_in
        self._back, self._filters, self._there = _of_both_axes(how.m, total)
        points, made = how.seen**2, how.m**2 * how.outputs * how.tiles
        sizes = {
            "columns": points * g.c_in * how.tiles,
            "weights": points * how.outputs * g.c_in,
            "products": points * how.outputs * how.tiles,
            "tiles": made,
            "made": made,
            "cut": points * how.gathered * how.tiles,
        }
        self._parts = {name: held.take(size, total) for name, size in sizes.items()}

    def weights(self, taps: Values) -> Values:
        """Return (G w Gᵀ) of taps (C_out, C, 3, 3): (points, C_out, C)."""
        outputs, channels = taps.shape[:2]
        into = self._parts["weights"][: len(self._filters) * outputs * channels].reshape(-1, outputs * channels)
        rows = taps.astype(self.total, copy=False).reshape(-1, TAPS * TAPS)
        for piece in _pieces(len(rows), self._filters.size):
            np.matmul(self._filters, np.ascontiguousarray(rows[piece].T), out=into[:, piece])
        return into.reshape(-1, outputs, channels)

    def transformed(self, seen: Source, group: int, part: tuple[slice, ...]) -> Values:
        """Return (Bᵀ d B) of a box of tiles (N, rows, columns) of all channels: (points, C, tiles)."""
        how, points = self.how, len(self._there)
        batch, *places = part
        sizes = tuple(at.stop - at.start for at in part)
        count = prod(sizes)
        into = self._parts["columns"][: points * self.channels * count].reshape(points, -1)
        start = tuple(how.m * at.start for at in places)
        lengths = tuple(how.m * n + TAPS - 1 for n in sizes[1:])
        for first in range(0, self.channels, how.gathered):
            channels = slice(first, min(first + how.gathered, self.channels))
            box = np.empty((channels.stop - first, sizes[0], *lengths), self.total)
            seen.read((batch, group, channels), start, (1,) * len(start), box.swapaxes(0, 1))
            rows, here = self._gathered(box, sizes), into[:, first * count : channels.stop * count]
            for piece in _pieces(len(rows), self._there.size):
                np.matmul(self._there, rows[piece].T, out=here[:, piece])
        return into.reshape(points, self.channels, count)

    def _gathered(self, box: Values, sizes: tuple[int, ...]) -> Values:
        """Return the tiles of a box (C, N, rows, columns) as rows (C · N · tiles, points); they overlap."""
        how, (c, n, row, item) = self.how, box.strides
        runs = np.dtype((np.void, how.seen * item))  # a tile's row is copied as one item
        shape = (box.shape[0], *sizes, how.seen)
        tiles = np.ndarray(shape, runs, box, strides=(c, n, how.m * row, how.m * item, row))
        cut = self._parts["cut"][: prod(shape) * how.seen].reshape(-1, how.seen * how.seen)
        np.copyto(cut.view(runs).reshape(shape), tiles)
        return cut

    def made(self, matrix: Values, columns: Values, part: tuple[slice, ...]) -> Values:
        """Return Aᵀ[matrix · columns]A as (C_out, N, rows, columns) of whole tiles."""
        how, points = self.how, len(columns)
        sizes = tuple(at.stop - at.start for at in part)
        outputs, count = matrix.shape[1], columns.shape[2]
        products = self._parts["products"][: points * outputs * count].reshape(points, outputs, count)
        np.matmul(matrix, columns, out=products)
        tiles = self._parts["tiles"][: how.m**2 * outputs * count].reshape(-1, how.m**2)
        columns = products.reshape(points, -1)
        for piece in _pieces(len(tiles), self._back.size):
            np.matmul(columns[:, piece].T, self._back, out=tiles[piece])
        runs = np.dtype((np.void, how.m * self.total.itemsize))
        made = self._parts["made"][: tiles.size]
        rows = made.view(runs).reshape(outputs, sizes[0], sizes[1], how.m, sizes[2])
        np.copyto(rows, tiles.view(runs).reshape(outputs, *sizes, how.m).swapaxes(3, 4))
        return made.reshape(outputs, sizes[0], sizes[1] * how.m, sizes[2] * how.m)


def _pieces(n: int, multiplications: int) -> list[slice]:
    """Cut n rows, each with so many multiplications, into small products."""
    return blocks(n, SMALL // multiplications)


def _anew(taps: Values, how: Plan, total: np.dtype[Any]) -> Weights:
    """Return weights that are transformed within the workspace, taps being (groups, C_out / groups, C, 3, 3)."""
    return lambda group, room: _Weights(taps[group], room)


class _Weights:
    """One group's weights, transformed: once where there is room for all, else anew for each part of the tiles."""

    def __init__(self, taps: Values, room: _Room) -> None:
        self._taps, self._room, self._parts = taps, room, room.how.parts(len(taps))
        self._whole = room.weights(taps) if len(self._parts) == 1 else None

    def __iter__(self) -> Iterator[tuple[slice, Values]]:
        """Yield output channels and their matrices (points, C_out, C)."""
        for outputs in self._parts:
            yield outputs, self._room.weights(self._taps[outputs]) if self._whole is None else self._whole


def _kept(taps: Values, how: Plan, total: np.dtype[Any]) -> Weights:
    """Return weights that are transformed now, in memory of their own."""
    filters = _of_both_axes(how.m, total)[1]
    rows = taps.astype(total, copy=False).reshape(*taps.shape[:3], TAPS * TAPS)
    matrices = np.ascontiguousarray(np.moveaxis(rows @ filters.T, -1, 1))  # (groups, points, C_out, C)
    return lambda group, room: [(part, matrices[group][:, part]) for part in room.how.parts(matrices.shape[2])]


ALGORITHM = Algorithm(plan, _anew, _kept, _filtered)
forward, input_gradient = ALGORITHM.forward, ALGORITHM.input_gradient
