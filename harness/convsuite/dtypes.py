"""What is true of each dtype: roundoff, range, and rounding to it.

NumPy has no bfloat16; here and in every array that crosses a room, bfloat16 is a float32 array whose values are
bfloat16's. That costs no dependency, and float32 holds them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import INTEGERS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A number format: IEEE 754 binary64/32/16, bfloat16, or a two's complement integer."""

    bits: int  # p: significand bits with the hidden one; every integer up to 2^bits is exact
    largest: float
    smallest_subnormal: float
    carrier: str  # the NumPy dtype that carries it

    @property
    def roundoff(self) -> float:
        """Unit roundoff u = 2^-p for round to nearest; 0 for integers, which do not round."""
        return 2.0**-self.bits if self.smallest_subnormal else 0.0


FORMATS = {
    "float64": Format(
        bits=53, largest=float(np.finfo(np.float64).max), smallest_subnormal=2.0**-1074, carrier="float64"
    ),
    "float32": Format(
        bits=24, largest=float(np.finfo(np.float32).max), smallest_subnormal=2.0**-149, carrier="float32"
    ),
    "float16": Format(bits=11, largest=65504.0, smallest_subnormal=2.0**-24, carrier="float16"),
    "bfloat16": Format(bits=8, largest=2.0**127 * (2 - 2.0**-7), smallest_subnormal=2.0**-133, carrier="float32"),
    "int32": Format(bits=31, largest=2.0**31 - 1, smallest_subnormal=0.0, carrier="int32"),
    "int8": Format(bits=7, largest=127.0, smallest_subnormal=0.0, carrier="int8"),
}


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


def is_integer(dtype: str) -> bool:
    """True for an integer dtype."""
    return dtype in INTEGERS
