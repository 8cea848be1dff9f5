"""The memory that paths work in, kept from one call to the next: to be given pages anew costs as much as to fill them.

Each thread has its own, of at most WORKSPACE_BYTES; only what does not fit is allocated by the call that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
WORKSPACE_BYTES = 8 << 20
_ALIGNED = 64  # bytes of a cache line


class Workspace:
    """Memory of which parts are taken, and given back in the opposite order."""

    def __init__(self) -> None:
        memory = np.empty(WORKSPACE_BYTES + _ALIGNED, np.uint8)
        self._memory = memory[-memory.ctypes.data % _ALIGNED :][:WORKSPACE_BYTES]
        self._used = 0
        self.peak = 0  # bytes in use at most

    def take(self, shape: tuple[int, ...] | int, dtype: np.dtype[Any]) -> Values:
        """Return an array that holds anything, until the block that it was taken in ends."""
        size = (prod(shape) if isinstance(shape, tuple) else shape) * dtype.itemsize
        end = self._used + size
        if end > WORKSPACE_BYTES:
            return np.empty(shape, dtype)
        found = self._memory[self._used : end].view(dtype).reshape(shape)
        self._used = end + -end % _ALIGNED
        self.peak = max(self.peak, self._used)
        return found

    @contextmanager
    def block(self) -> Iterator[Workspace]:
        """Give back at the end what is taken meanwhile."""
        used = self._used
        try:
            yield self
        finally:
            self._used = used


_own = threading.local()


def workspace() -> Workspace:
    """Return this thread's workspace."""
    try:
        found: Workspace = _own.workspace
    except AttributeError:
        found = _own.workspace = Workspace()
    return found
