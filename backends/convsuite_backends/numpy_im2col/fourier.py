"""Convolution by Fourier transforms: for large windows, dense and of stride 1.

A tile's transform times the conjugate of the weight's is the transform of their cross-correlation, of which the
positions that do not wrap round are kept (overlap-save): a tile of N positions gives N − kernel + 1 outputs on each
axis. Sizes are powers of two, which the error bound `convsuite.algorithms.Fft` is for. NumPy 2 transforms float32 in
float32; before, it did so in float64.

A NaN or an infinity spreads over its tile, and so does what overflows: an answer that is not finite everywhere is
computed again, by the plain engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import blocks
from convsuite_backends.numpy_im2col.fast import Algorithm, Weights
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import Source
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.workspace import WORKSPACE_BYTES

Values = NDArray[Any]
SPARE = (2, 4, 8, 16, 4096)  # a tile may be this much longer than the kernel on each axis

# What costs were measured at, in nanoseconds on one core in float32; only their proportions count.
TRANSFORMED, MULTIPLIED = 2.5, 0.45  # a position of a tile: by a transform, and of a product of spectra
CALLED = 22_000  # a tile
PRODUCT, COLUMN = 0.014, 0.15  # of the plain engine: a product, and an element of the columns that it reads
LEAST_PRODUCT = 0.06  # for an element of the columns: with one output channel a product waits for its operands


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a convolution is cut up: what is held at once fits WORKSPACE_BYTES."""

    size: tuple[int, ...]  # of the transforms, on each axis
    groups: int  # held at once
    outputs: int  # channels of a group whose transformed weights are held at once

    @property
    def transform(self) -> tuple[int, ...]:
        """What the weights' transform goes by."""
        return self.size

    def cost(self, g: Geometry) -> float:
        """Estimate the nanoseconds that it takes."""
        axes = zip(g.out, self.size, g.kernel, strict=True)
        tiles = g.batch * prod(-(-out // (n - k + 1)) for out, n, k in axes)
        again = -(-g.c_out // self.outputs)  # times that each tile is transformed
        planes = g.c_in * g.c_out + tiles * (g.c_in * again + g.c_out)
        calls = tiles * again * -(-g.groups // self.groups)
        per_position = planes * TRANSFORMED + tiles * g.c_in * g.c_out * MULTIPLIED
        return prod(self.size) * g.groups * per_position + calls * CALLED


def plan(g: Geometry, itemsize: int) -> Plan | None:
    """Return how to compute a convolution, or None where the plain engine does (docs/engine.md has measurements)."""
    if max(*g.stride, *g.dilation) > 1 or not prod(g.out_shape) or not g.c_in:
        return None
    plans = {_cut(g, spare, itemsize if NATIVE else 8): None for spare in SPARE}
    fitting = [how for how in plans if how is not None]
    best = min(fitting, key=lambda how: how.cost(g), default=None)
    return best if best is not None and best.cost(g) < plain_cost(g) else None


def plain_cost(g: Geometry) -> float:
    """Estimate the nanoseconds of the plain engine."""
    taps = g.groups * g.c_in * prod(g.kernel) * g.batch * prod(g.out)
    return taps * (max(g.c_out * PRODUCT, LEAST_PRODUCT) + COLUMN)


def _cut(g: Geometry, spare: int, itemsize: int) -> Plan | None:
    """Return the plan with tiles of so many kernels, or None where there is no room for one."""
    wanted = (min(n, spare * k) for n, k in zip(g.padded, g.kernel, strict=True))
    size = tuple(1 << (n - 1).bit_length() for n in wanted)
    plane = prod(size) * itemsize
    planes = WORKSPACE_BYTES // (plane + plane // 8)  # half a spectrum is a little more than half
    # transformed weights; tiles, before, between and behind their transform; products, and their way back
    outputs = min(g.c_out, (planes - 4 * g.c_in) // (g.c_in + 5))
    if outputs < 1:
        return None
    groups = planes // (outputs * (g.c_in + 5) + 4 * g.c_in)
    return Plan(size=size, groups=max(1, min(g.groups, groups)), outputs=outputs)


def _convolved(
    x: Values, spectra: Weights, shift: Values | None, g: Geometry, how: Plan, total: np.dtype[Any], y: Values
) -> bool:
    """Write the convolution; `spectra(groups, outputs)` gives the weights'. False where it is not all finite."""
    _settle()
    by_group = y.reshape(g.batch, g.groups, g.c_out, *g.out)
    seen = Source(x, g)
    steps = [n - k + 1 for n, k in zip(how.size, g.kernel, strict=True)]
    starts = list(product(*(range(0, n, step) for n, step in zip(g.out, steps, strict=True))))
    for groups, outputs in product(blocks(g.groups, how.groups), blocks(g.c_out, how.outputs)):
        spectrum = spectra(groups, outputs)
        for n, start in product(range(g.batch), starts):
            tile = _tile(seen, g.c_in, (n, groups, slice(None)), start, how, total)
            made = _made(tile, spectrum, how)
            here = by_group[_box((n, groups, outputs), start, steps)]
            kept = made[_box((slice(None),) * 2, (0,) * len(steps), here.shape[2:])]
            if not np.isfinite(kept).all():
                return False
            if shift is not None:
                kept = kept + shift[groups, outputs].reshape(*kept.shape[:2], *(1,) * len(steps))
            here[...] = round_to(kept, y.dtype)
    return True


def _settle() -> None:
    """Let the C library keep what is freed between tiles.

    glibc gives freed memory back to the system beyond twice the largest block that it has seen, and each transform then
    pays for new pages, which costs three times the transform. This block is never written to.
    """
    np.empty(WORKSPACE_BYTES - (64 << 10), np.uint8)


def _box(index: tuple[Any, ...], start: tuple[int, ...], sizes: Sequence[int]) -> tuple[Any, ...]:
    """Return an index with a box of the last axes behind it."""
    return (*index, *(slice(a, a + n) for a, n in zip(start, sizes, strict=True)))


def _weights(taps: Values, how: Plan, total: np.dtype[Any]) -> Values:
    """Return the conjugate spectra of (groups, C_out / groups, C, *kernel)."""
    half = (*how.size[:-1], how.size[-1] // 2 + 1)
    found = np.empty((*taps.shape[:3], *half), np.result_type(total if NATIVE else np.float64, np.complex64))
    for output in range(taps.shape[1]):
        np.conjugate(_spectrum(taps[:, output].astype(total, copy=False), how), out=found[:, output])
    return found


def _tile(
    seen: Source, channels: int, index: tuple[Any, ...], start: tuple[int, ...], how: Plan, total: np.dtype[Any]
) -> Values:
    """Return the spectra (groups, C, *frequencies) of a tile of an image."""
    groups = index[1].stop - index[1].start
    box = np.empty((groups, channels, *how.size), total)
    seen.read(index, start, (1,) * len(start), box)
    return _spectrum(box, how)


def _spectrum(array: Values, how: Plan) -> Values:
    rank = len(how.size)
    return np.fft.rfftn(array, s=how.size, axes=tuple(range(-rank, 0)))


def _made(tile: Values, weights: Values, how: Plan) -> Values:
    """Return Σ_c of tile times weights, brought back: (groups, C_out / groups, *size)."""
    total = weights[:, :, 0] * tile[:, None, 0]
    part = np.empty_like(total)
    for channel in range(1, tile.shape[1]):
        np.multiply(weights[:, :, channel], tile[:, None, channel], out=part)
        total += part
    return np.fft.irfftn(total, s=how.size, axes=tuple(range(-len(how.size), 0)))


NATIVE = np.fft.rfft(np.zeros(2, np.float32)).dtype == np.complex64


def _anew(taps: Values, how: Plan, total: np.dtype[Any]) -> Weights:
    """Return spectra that are computed as they are asked for, of taps (groups, C_out / groups, C, *kernel)."""
    return lambda groups, outputs: _weights(taps[groups, outputs], how, total)


def _kept(taps: Values, how: Plan, total: np.dtype[Any]) -> Weights:
    """Return spectra that are computed now."""
    whole = _weights(taps, how, total)
    return lambda groups, outputs: whole[groups, outputs]


ALGORITHM = Algorithm(plan, _anew, _kept, _convolved)
forward, input_gradient = ALGORITHM.forward, ALGORITHM.input_gradient
