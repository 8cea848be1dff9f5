"""What is summed in what, and how a sum is rounded to its dtype: once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

# int8: products below 2^14, so float64 sums are exact up to K = 2^39, and BLAS has no integers.
# int32: sums wrap in int64 as they would in int32.
ACCUMULATORS = {"float64": "float64", "float32": "float32", "float16": "float32", "int8": "float64", "int32": "int64"}
# in whatever order of bytes
_ACCUMULATORS = {np.dtype(order + np.dtype(k).str[1:]): np.dtype(v) for k, v in ACCUMULATORS.items() for order in "<>"}


def accumulator(*operands: Values | None) -> np.dtype[Any]:
    """Return the dtype in which these operands' products are summed. Raise TypeError where there is none."""
    for a in operands:
        if a is not None and not isinstance(a, np.ndarray):
            raise TypeError(f"operands must be NumPy arrays, not {type(a).__module__}.{type(a).__qualname__}")
    first, *others = [a.dtype for a in operands if a is not None]
    if any(other != first for other in others):
        raise TypeError(f"operands must have one dtype, not {', '.join(d.name for d in (first, *others))}")
    if first not in _ACCUMULATORS:
        raise TypeError(f"dtype {first.name} is none of {', '.join(ACCUMULATORS)}")
    return _ACCUMULATORS[first]


def round_to(total: Values, dtype: np.dtype[Any]) -> Values:
    """Round sums to a dtype; integers that do not fit wrap, as everywhere in NumPy."""
    if dtype.kind == "i" and total.dtype.kind == "f":
        total = total.astype(np.int64)  # C leaves the float that does not fit undefined
    return total.astype(dtype, copy=False)


def to_bfloat16(values: Values) -> NDArray[np.float32]:
    """Round float32 to the nearest bfloat16, ties to even; the result is float32 that holds bfloat16's values.

    A bfloat16 is the upper half of a float32: adding 0x7FFF, and 1 more where the upper half is odd, carries into it
    exactly where rounding goes up.
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), values, rounded.view(np.float32))
