"""Kernels of one tap, stride 1, no padding: each image is its own columns."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.products import multiply
from convsuite_backends.numpy_im2col.rounding import round_to
from convsuite_backends.numpy_im2col.weights import matrix

Values = NDArray[Any]


def told(g: Geometry) -> str:
    """Return the product's sizes."""
    often = g.batch * g.groups
    return f"({g.c_out} × {g.terms}) · ({g.terms} × {prod(g.out)})" + (f", {often} times" if often > 1 else "")


def forward(x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values) -> None:
    """Write the convolution of x with a weight (C_out, C_in / groups, *kernel) into y, (N, C_out, *out)."""
    columns = x.astype(total, copy=False).reshape(g.batch, g.groups, g.terms, prod(g.out))
    at_once = y.reshape(g.batch, g.groups, g.c_out, prod(g.out)) if y.dtype == total and y.flags.c_contiguous else None
    found = multiply(matrix(weight, g, total), columns, at_once)
    if shift is not None:
        found += shift
    if at_once is None:
        y[...] = round_to(found, y.dtype).reshape(g.out_shape)
