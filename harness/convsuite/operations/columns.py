"""What windows see, and its adjoint, as the references of patches, fold and local_conv have it.

A position that is padding is read from one more slot at the end of its axis, a zero, and is added up there to be
dropped. What a window sees has the axes (N, C, *kernel, *out).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real
    from convsuite.operations.window import Window


def gather(windows: Sequence[Window], x: NDArray[Any]) -> NDArray[Any]:
    """Return what each window sees of x (N, C, *spatial), zeros outside: (N, C, *kernel, *out)."""
    sizes = tuple(slice(w.size) for w in windows)
    extended = np.zeros((*x.shape[:2], *(w.size + 1 for w in windows)), x.dtype)
    extended[:, :, *sizes] = x
    rank = len(windows)
    index = []
    for axis, w in enumerate(windows):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = w.kernel, w.count
        index.append(_positions(w).reshape(shape))
    every: Any = (slice(None), slice(None), *index)
    seen: NDArray[Any] = extended[every]
    return seen


def scatter(windows: Sequence[Window], seen: Real, arithmetic: Arithmetic) -> Real:
    """Add a value of axes (N, C, *kernel, *out) up where the windows saw it: a value of (N, C, *spatial)."""
    parts, n, c, *_ = seen.shape
    total = np.zeros((parts, n, c, *(w.size + 1 for w in windows)))
    positions = [_positions(w) for w in windows]
    for tap in product(*(range(w.kernel) for w in windows)):
        where: Any = np.ix_(*(at[t] for at, t in zip(positions, tap, strict=True)))
        share: Any = (slice(None), slice(None), slice(None), *tap)
        arithmetic.add(total, (..., *where), seen[share])
    return total[:, :, :, *(slice(w.size) for w in windows)]


def value(arithmetic: Arithmetic, array: Real) -> Real:
    """Return an array as a value: with a leading axis of parts, of which it is the first."""
    parts = np.zeros((arithmetic.parts, *array.shape))
    parts[0] = array
    return parts


def _positions(w: Window) -> NDArray[np.intp]:
    """Return the input position that each tap of each window meets, (kernel, out); that of the zero for padding."""
    at = np.arange(w.kernel)[:, None] * w.dilation + np.arange(w.count) * w.stride - w.pads[0]
    return np.where((at >= 0) & (at < w.size), at, w.size)
