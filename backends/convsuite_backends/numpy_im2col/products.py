"""Matrix products, cut where that makes them faster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
SMALL = 10**6  # multiplications up to which OpenBLAS multiplies matrices as they lie, without packing them
LEAST_COLUMNS = 128  # of a piece: with fewer, the calls cost more than the packing


def multiply(a: Values, b: Values, out: Values | None) -> Values:
    """Return a · b for a (…, M, K) and b (…, K, N), written into `out` if there is one.

    Where M and K are small, the packing of b takes as long as the product: it is then cut into small ones.
    """
    step = SMALL // max(1, a.shape[-2] * a.shape[-1])
    if not LEAST_COLUMNS <= step < b.shape[-1]:
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)
    for start in range(0, b.shape[-1], step):
        piece = (..., slice(start, start + step))
        np.matmul(a, b[piece], out=out[piece])
    return out
