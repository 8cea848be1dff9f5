"""Which path a convolution takes: one table, read from the top. docs/engine.md has the measurements behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import depthwise, pointwise, tiled
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.weights import flipped

Values = NDArray[Any]
Forward = Callable[[Values, Values, Values | None, Geometry, np.dtype[Any], Values], None]


@dataclass(frozen=True, slots=True)
class Path:
    """One way to compute a convolution."""

    name: str
    why: str  # where it suits
    suits: Callable[[Geometry], bool]
    told: Callable[[Geometry], str]  # the numbers that decide what it costs
    forward: Forward  # (x, weight, shift, geometry, dtype of the sums, y): y is written


PATHS = (
    Path(
        "matrix product",
        "one tap at stride 1 and no padding: the input is its own columns",
        lambda g: g.pointwise and not any(map(any, g.pads)),
        pointwise.told,
        pointwise.forward,
    ),
    Path(
        "channels last",
        "a depthwise convolution of small planes: tap by tap along all channels",
        depthwise.suits,
        depthwise.told,
        depthwise.forward,
    ),
    Path(
        "im2col",
        "columns in tiles, a matrix product for each",
        lambda _: True,
        tiled.told,
        tiled.forward,
    ),
)


def path_of(g: Geometry) -> Path:
    """Return the path that a geometry takes."""
    return next(path for path in PATHS if path.suits(g))


def forward(x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values) -> Values:
    """Write a convolution, summed in a dtype, into y (N, C_out, *out) by the path that suits its geometry; return y.

    `shift` is the bias, (groups, C_out / groups, 1) in the dtype of the sums.
    """
    path_of(g).forward(x, flipped(weight, g), shift, g, total, y)
    return y
