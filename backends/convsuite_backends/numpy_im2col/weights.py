"""A weight (C_out, C_in / groups, *kernel) as the paths take it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry

Values = NDArray[Any]


def flipped(weight: Values, g: Geometry) -> Values:
    """Return the weight with its taps in the order in which windows meet them."""
    return np.flip(weight, axis=tuple(range(2, weight.ndim))) if g.flip else weight


def matrix(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return the weight as (groups, C_out / groups, K), K running over (channel, *tap)."""
    return weight.astype(dtype, copy=False).reshape(g.groups, g.c_out, g.terms)
