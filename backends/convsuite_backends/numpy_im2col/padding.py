"""Padding the input, and its adjoint: folding a padded gradient back. Axes 0 and 1 are batch and channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]
Index = tuple[Any, ...]


def pad(x: Values, g: Geometry) -> Values:
    """Return x (N, C, *sizes) as the windows see it, (N, C, *padded); a view where nothing is added."""
    if g.mode == "zeros":
        return _zero_pad(x, g)
    for axis, (n, pads) in enumerate(zip(g.sizes, g.pads, strict=True), start=2):
        if any(pads):
            x = x.take(_shown(n, *pads, g.mode), axis)
    return x


def unpadded(x: Values, g: Geometry) -> tuple[Values, Geometry]:
    """Return x and a geometry whose padding is of zeros that nobody has written, and crops nothing."""
    if g.mode == "zeros" and all(low >= 0 and high >= 0 for low, high in g.pads):
        return x, g
    return pad(x, g), replace(g, sizes=g.padded, pads=((0, 0),) * len(g.sizes), mode="zeros")


def fold(padded: Values, g: Geometry) -> Values:
    """Add each padded position's gradient to the input position that it shows: (N, C, *padded) to (N, C, *sizes)."""
    if g.mode == "zeros":
        return _zero_fold(padded, g)
    for axis, (n, pads) in enumerate(zip(g.sizes, g.pads, strict=True), start=2):
        if any(pads):
            padded = _fold_axis(padded, axis, n, _shown(n, *pads, g.mode))
    return padded


def _shown(n: int, low: int, high: int, mode: str) -> Values:
    """Return the input position that each padded position shows."""
    at: Values = np.arange(-low, n + high)
    match mode:
        case "replicate":
            at = np.clip(at, 0, n - 1)
        case "circular":
            at = at % n
        case "reflect":  # the edge itself is not repeated
            at = n - 1 - np.abs(n - 1 - np.abs(at))
    return at


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
