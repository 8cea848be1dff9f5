"""Windows along one axis: sums and maxima over boxes are taken axis by axis, in Σk passes instead of ∏k."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convsuite_backends.numpy_im2col.columns import boxes
from convsuite_backends.numpy_im2col.geometry import Pads, Size, meeting, per_axis_pads, positive

Values = NDArray[Any]
Index = tuple[Any, ...]
Meeting = tuple[slice, slice]  # windows, and the input positions that they meet
BLOCK_BYTES = 1 << 20  # input planes worked on at once, so that the passes over them stay in the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis(ABC):
    """The windows along one axis."""

    size: int  # input positions, without padding

    @property
    @abstractmethod
    def out(self) -> int:
        """Windows."""

    @abstractmethod
    def taps(self) -> Iterator[Meeting]:
        """All meetings, each of several windows with a position apiece."""

    @abstractmethod
    def windows(self) -> Iterator[Meeting]:
        """All meetings, each of one window with all that it sees."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Return how many input positions each window sees."""
        seen = np.zeros(self.out, np.int64)
        for out, _ in self.taps():
            seen[out] += 1
        return seen


Axes = tuple[Axis, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliding(Axis):
    """Window i meets the input at i·stride + t·dilation − low for each tap t."""

    kernel: int
    stride: int
    dilation: int
    low: int
    high: int  # pads, negative = cropped
    ceil_mode: bool

    @property
    def span(self) -> int:
        """Positions from a window's first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """Positions with the declared padding."""
        return self.size + self.low + self.high

    @property
    def stop(self) -> int:
        """End of the input that is not cropped."""
        return min(self.size, self.size + self.high)

    @property
    def out(self) -> int:
        """Windows: those that fit; ceil_mode adds one that overhangs, if it begins within input or low padding."""
        room = self.padded - self.span
        fit = room // self.stride + 1
        more = self.ceil_mode and room % self.stride > 0 and fit * self.stride < self.stop + self.low
        return fit + more  # the rule of PyTorch

    @property
    def declared(self) -> NDArray[np.int64]:
        """Return how many positions of input and declared padding each window meets."""
        room = self.padded - self.stride * np.arange(self.out)
        return np.minimum(self.kernel, -(-room // self.dilation))

    def taps(self) -> Iterator[Meeting]:
        """All meetings, a tap at a time."""
        for t in range(self.kernel):
            windows, met = self._within(t * self.dilation - self.low, self.stride, self.out)
            if windows.start < windows.stop:
                yield windows, met

    def windows(self) -> Iterator[Meeting]:
        """All meetings, a window at a time."""
        for i in range(self.out):
            taps, met = self._within(i * self.stride - self.low, self.dilation, self.kernel)
            if taps.start < taps.stop:
                yield slice(i, i + 1), met

    def _within(self, start: int, step: int, count: int) -> Meeting:
        """Return which of `count` positions from start on, one every step, lie in the input; and where they lie."""
        return meeting(start, step, count, self.stop)


def sliding(
    shape: tuple[int, ...],
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
) -> tuple[Sliding, ...]:
    """Return the windows on each spatial axis of (N, C, *spatial). Raise ValueError where an axis has none."""
    rank = spatial_rank(shape)
    taps = positive("kernel", kernel, rank)
    steps = taps if stride is None else positive("stride", stride, rank)
    rows = zip(shape[2:], taps, steps, positive("dilation", dilation, rank), per_axis_pads(padding, rank), strict=True)
    axes = tuple(
        Sliding(size=n, kernel=k, stride=s, dilation=d, low=low, high=high, ceil_mode=ceil_mode)
        for n, k, s, d, (low, high) in rows
    )
    for number, a in enumerate(axes):
        if a.out < 1:
            sizes = f"{a.padded} ({a.size} + {a.low} + {a.high})"
            raise ValueError(f"axis {number}: the window spans {a.span}, the padded input is {sizes}")
    return axes


def spatial_rank(shape: tuple[int, ...]) -> int:
    """Return the number of spatial axes of (N, C, *spatial). Raise ValueError where there is none."""
    if len(shape) < 3:
        raise ValueError(f"x {shape} must be (N, C, *spatial) with at least 1 spatial axis")
    return len(shape) - 2


def out_shape(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """Return (N, C, *out)."""
    return (*shape[:2], *(axis.out for axis in axes))


def window_sum(x: Values, axes: Axes, dtype: DTypeLike) -> Values:
    """Sum (N, C, *spatial) over each window, in a dtype: (N, C, *out)."""
    if (whole := _only_window(axes)) is not None:
        found: Values = np.add.reduce(x[whole], tuple(range(2, x.ndim)), dtype=dtype, keepdims=True)
        return found
    for position, axis in enumerate(axes, start=2):
        x = _reduce(np.add, x, position, axis, np.zeros(_resized(x.shape, position, axis.out), dtype))
    return x


def window_max(x: Values, axes: Axes) -> Values:
    """Return each window's maximum: NaN where it sees one, the lowest value where it sees nothing."""
    for position, axis in enumerate(axes, start=2):
        best = np.full(_resized(x.shape, position, axis.out), lowest(x.dtype))
        x = _reduce(np.maximum, x, position, axis, best)
    return x


def window_spread(grad: Values, axes: Axes, dtype: DTypeLike) -> Values:
    """Add each window's value to all that it sees: (N, C, *out) to (N, C, *spatial), the adjoint of `window_sum`."""
    for position, axis in enumerate(axes, start=2):
        spread = np.zeros(_resized(grad.shape, position, axis.size), dtype)
        for out, met in _fewer(axis):
            spread[along(position, met)] += grad[along(position, out)]
        grad = spread
    return grad


def window_first_max(x: Values, index: Values, axes: Axes) -> Values:
    """Return the index of each window's first maximum in row-major order, or first NaN; −1 where it sees nothing.

    `index` gives each position's own, −1 for one that is not to be seen and holds the lowest value. From the last
    axis to the first, so that of equal maxima the one in the first row is kept.
    """
    for position, axis in reversed(list(enumerate(axes, start=2))):
        shape = _resized(x.shape, position, axis.out)
        best, found = np.full(shape, lowest(x.dtype)), np.full(shape, -1, np.int64)
        for out, met in axis.taps():
            here, there = along(position, out), along(position, met)
            better = (found[here] < 0) | (~(x[there] <= best[here]) & ~np.isnan(best[here]))
            np.copyto(best[here], x[there], where=better)
            np.copyto(found[here], index[there], where=better)
        x, index = best, found
    return index


def by_blocks(work: Callable[..., Values], into: Values, *arrays: Values) -> Values:
    """Fill an array (N, C, …) with work(*arrays), a block of planes at a time."""
    plane = max(prod(a.shape[2:]) * a.itemsize for a in (into, *arrays))
    for block in boxes(into.shape[:2], max(1, BLOCK_BYTES // max(1, plane))):
        into[block] = work(*(a[block] for a in arrays))
    return into


def lowest(dtype: np.dtype[Any]) -> Any:
    """Return the lowest value of a dtype, of that dtype: −inf or the lowest integer."""
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def along(position: int, where: slice) -> Index:
    """Return the index of a part along one axis."""
    return (*(slice(None),) * position, where)


def _only_window(axes: Axes) -> Index | None:
    """Return what the only window of a global pool sees; None where there are others, or it sees nothing."""
    if any(axis.out != 1 for axis in axes):
        return None
    seen = [met for axis in axes for _, met in axis.windows()]
    return (..., *seen) if len(seen) == len(axes) else None


def _fewer(axis: Axis) -> Iterator[Meeting]:
    """Return all meetings in as few as there can be: a global pool has one window and many taps."""
    taps = list(axis.taps())
    return axis.windows() if axis.out < len(taps) else iter(taps)


def _reduce(combine: np.ufunc, x: Values, position: int, axis: Axis, into: Values) -> Values:
    """Combine what each window along one axis sees into its place."""
    for out, met in _fewer(axis):
        part, here = x[along(position, met)], into[along(position, out)]
        if part.shape[position] > here.shape[position]:
            part = combine.reduce(part, position, dtype=into.dtype, keepdims=True)
        combine(here, part, out=here)
    return into


def _resized(shape: tuple[int, ...], position: int, size: int) -> tuple[int, ...]:
    return (*shape[:position], size, *shape[position + 1 :])
