"""An input as windows see it, copied a box at a time: zeros around it are never made for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.padding import pad

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Padded:
    """An input, and how many zeros lie before it on each axis; as many as one likes lie behind."""

    x: Values  # (N, groups, C, *spatial)
    low: tuple[int, ...]

    @staticmethod
    def of(x: Values, g: Geometry) -> Padded:
        """Take (N, C, *sizes) as it lies where the padding is of zeros."""
        low = tuple(low for low, _ in g.pads)
        if g.mode != "zeros":
            x, low = pad(x, g), (0,) * len(low)
        return Padded(x.reshape(g.batch, g.groups, g.c_in, *x.shape[2:]), low)

    def copy(self, into: Values, index: tuple[Any, ...], start: tuple[int, ...]) -> None:
        """Copy a box that begins at padded positions `start`; `index` says of which images, groups and channels."""
        inner: list[Any] = []
        outer: list[Any] = []
        sizes = zip(start, self.low, self.x.shape[3:], into.shape[-len(start) :], strict=True)
        for begin, low, n, length in sizes:
            first, last = max(0, low - begin), min(length, n + low - begin)
            last = max(first, last)
            outer.append(slice(first, last))
            inner.append(slice(first + begin - low, last + begin - low))
        for axis, kept in enumerate(outer, start=into.ndim - len(outer)):
            for outside in (slice(0, kept.start), slice(kept.stop, None)):
                into[(*(slice(None),) * axis, outside)] = 0
        into[(..., *outer)] = self.x[(*index, *inner)]
