"""Padding the input, and its adjoint: folding a padded gradient back. Axes 0 and 1 are batch and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry, meeting

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = NDArray[Any]
Index = tuple[Any, ...]


def pad(x: Values, g: Geometry) -> Values:
    """Return x (N, C, *sizes) as the windows see it, (N, C, *padded); a view where nothing is added."""
    if g.mode == "zeros":
        return _zero_pad(x, g)
    for axis, (n, pads) in enumerate(zip(g.sizes, g.pads, strict=True), start=2):
        if any(pads):
            x = x.take(_shown(np.arange(-pads[0], n + pads[1]), n, g.mode), axis)
    return x


class Source:
    """An input that is read part by part, its padding with it: nothing is padded as a whole."""

    def __init__(self, x: Values, g: Geometry) -> None:
        self._x = x.reshape(g.batch, g.groups, g.c_in, *g.sizes)
        self._g = g
        self.bare = not any(map(any, g.pads))

    def behind(self, index: Index, starts: Sequence[int]) -> Values:
        """Return what there is from some positions on, of images, groups and channels that an index names: a view."""
        seen: Values = self._x[(*index, *(slice(start, None) for start in starts))]
        return seen

    def read(self, index: Index, starts: Sequence[int], steps: Sequence[int], into: Values) -> None:
        """Fill an array's last axes with as many positions, counted with the padding, one every step.

        `index` names the images, groups and channels. What is behind the padding is 0.
        """
        g, part, spatial = self._g, self._x[index], into.ndim - len(steps)
        here: list[slice] = []
        there: list[slice] = []
        axes = enumerate(zip(starts, steps, g.sizes, g.pads, strict=True), start=spatial)
        for axis, (start, step, n, (low, high)) in axes:
            if g.mode == "zeros" or low == high == 0:
                kept, met = meeting(start - low, step, into.shape[axis], n)
            else:
                kept, _ = meeting(start, step, into.shape[axis], n + low + high)
                at = start - low + step * np.arange(kept.stop)
                part, met = part.take(_shown(at, n, g.mode), axis), slice(None)
            _clear_around(into, axis, kept)
            here.append(kept)
            there.append(met)
        into[_last(here)] = part[_last(there)]


def _last(axes: Sequence[slice]) -> Index:
    """Return the index of a part along the last axes."""
    return (..., *axes)


def _clear_around(block: Values, axis: int, kept: slice) -> None:
    """Set to 0 what lies before and behind a slice of an axis."""
    before: Index = (*(slice(None),) * axis, slice(0, kept.start))
    behind: Index = (*(slice(None),) * axis, slice(kept.stop, None))
    if kept.start > 0:
        block[before] = 0
    if kept.stop < block.shape[axis]:
        block[behind] = 0


def fold(padded: Values, g: Geometry) -> Values:
    """Add each padded position's gradient to the input position that it shows: (N, C, *padded) to (N, C, *sizes)."""
    if g.mode == "zeros":
        return _zero_fold(padded, g)
    for axis, (n, pads) in enumerate(zip(g.sizes, g.pads, strict=True), start=2):
        if any(pads):
            padded = _fold_axis(padded, axis, n, _shown(np.arange(-pads[0], n + pads[1]), n, g.mode))
    return padded


def _shown(at: Values, n: int, mode: str) -> Values:
    """Return the input positions that positions of the padded input show, counted from the input's first."""
    found: Values = np.clip(at, 0, n - 1)  # replicate
    if mode == "circular":
        found = at % n
    elif mode == "reflect":  # the edge itself is not repeated
        found = n - 1 - np.abs(n - 1 - np.abs(at))
    return found


def _overlap(g: Geometry) -> tuple[Index, Index]:
    """Return where input and padded input hold the same values: (index of the input, index of the padded)."""
    kept = [(max(-low, 0), min(n, n + high), low) for n, (low, high) in zip(g.sizes, g.pads, strict=True)]
    kept = [(start, max(start, stop), low) for start, stop, low in kept]
    inner = (slice(a, b) for a, b, _ in kept)
    outer = (slice(a + low, b + low) for a, b, low in kept)
    return (..., *inner), (..., *outer)


def _zero_pad(x: Values, g: Geometry) -> Values:
    inner, outer = _overlap(g)
    if all(low <= 0 and high <= 0 for low, high in g.pads):
        return x[inner]
    padded = np.zeros((*x.shape[:2], *g.padded), x.dtype)
    padded[outer] = x[inner]
    return padded


def _zero_fold(padded: Values, g: Geometry) -> Values:
    if not any(map(any, g.pads)):
        return padded
    inner, outer = _overlap(g)
    grad = np.zeros((*padded.shape[:2], *g.sizes), padded.dtype)
    grad[inner] = padded[outer]
    return grad


def _fold_axis(padded: Values, axis: int, n: int, shown: Values) -> Values:
    grad = np.zeros((*padded.shape[:axis], n, *padded.shape[axis + 1 :]), padded.dtype)
    to, source = np.moveaxis(grad, axis, 0), np.moveaxis(padded, axis, 0)
    for position, target in enumerate(shown):
        to[target] += source[position]
    return grad
