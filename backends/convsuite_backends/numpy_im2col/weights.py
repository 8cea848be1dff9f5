"""A weight (C_out, C_in / groups, *kernel) and a bias as the paths take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]


def flipped(weight: Values, g: Geometry) -> Values:
    """Return the weight with its taps in the order in which windows meet them."""
    return np.flip(weight, axis=tuple(range(2, weight.ndim))) if g.flip else weight


def shift_of(bias: Values | None, g: Geometry, dtype: np.dtype[Any]) -> Values | None:
    """Return a bias (C_out,) as the paths add it, (groups, C_out / groups, 1)."""
    return None if bias is None else bias.astype(dtype).reshape(g.groups, g.c_out, 1)


def matrix(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return the weight as (groups, C_out / groups, K), K running over (channel, *tap)."""
    return weight.astype(dtype, copy=False).reshape(g.groups, g.c_out, g.terms)
