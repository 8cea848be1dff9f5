"""Rounding to a dtype; what is true of each stands in `formats`.

NumPy has no bfloat16; here and in every array that crosses a room, bfloat16 is a float32 array whose values are
bfloat16's. That costs no dependency, and float32 holds them exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.formats import FORMATS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def round_to(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Round float64 values to a dtype, to nearest even, in its carrier. Integers must already be whole and in range."""
    if dtype == "bfloat16":
        return _round_bfloat16(values)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values).astype(FORMATS[dtype].carrier)


def _round_bfloat16(values: NDArray[Any]) -> NDArray[np.float32]:
    """Round by way of float32, to odd first, so that the two roundings come to one."""
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        single = wide.astype(np.float32)
        error = wide - single
    bits = single.view(np.uint32)
    # round to odd: where float32 was inexact and even, step to the odd neighbour on the side of the true value
    inexact = np.isfinite(single) & np.isfinite(error) & (error != 0) & (bits & 1 == 0)
    towards_zero = (error < 0) ^ (single < 0)
    bits = np.where(inexact, np.where(towards_zero, bits - 1, bits + 1), bits).astype(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)).view(
        np.float32
    )
    return np.where(np.isfinite(single), rounded, single)
