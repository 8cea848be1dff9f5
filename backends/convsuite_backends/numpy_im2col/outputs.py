"""Where a result is written: into what the caller gave, if it fits, else into an array of our own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


def room(out: Values | None, shape: tuple[int, ...], dtype: np.dtype[Any], *operands: Values | None) -> Values:
    """Return what is written into. Raise ValueError or TypeError where what was given does not fit.

    Operands are read while it is written, and so must have no memory of it.
    """
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape:
        raise ValueError(f"out must have the result's shape {shape}, not {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"out must have x's dtype {dtype}, not {out.dtype}")
    if any(np.shares_memory(out, operand) for operand in operands if operand is not None):
        raise ValueError("out must have no memory of an operand: it is written while they are read")
    return out
