"""Which path a convolution takes: one table, read from the top. docs/engine.md has the measurements behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import depthwise, pointwise, shifted, tiled
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.weights import flipped

Values = NDArray[Any]
Forward = Callable[[Values, Values, Values | None, Geometry, np.dtype[Any], np.dtype[Any]], Values]


@dataclass(frozen=True, slots=True)
class Path:
    """One way to compute a convolution."""

    name: str
    why: str  # where it suits
    suits: Callable[[Geometry], bool]
    told: Callable[[Geometry], str]  # the numbers that decide what it costs
    forward: Forward  # (x, weight, shift, geometry, dtype of the sums, dtype) → (N, C_out, *out)


PATHS = (
    Path(
        "matrix product",
        "one tap at stride 1: the input is its own columns",
        lambda g: g.pointwise,
        pointwise.told,
        pointwise.forward,
    ),
    Path(
        "tap by tap",
        "one input channel a group: a product is not worth its columns",
        depthwise.suits,
        depthwise.told,
        depthwise.forward,
    ),
    Path(
        "shifted columns",
        "columns of the last axes serve all taps of the first: fewer copies than im2col",
        shifted.suits,
        shifted.told,
        shifted.forward,
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


def forward(
    x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], dtype: np.dtype[Any]
) -> Values:
    """Return a convolution, (N, C_out, *out) in a dtype, summed in another, by the path that suits its geometry.

    `shift` is the bias, (groups, C_out / groups, 1) in the dtype of the sums.
    """
    return path_of(g).forward(x, flipped(weight, g), shift, g, total, dtype)
