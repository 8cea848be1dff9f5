"""Geometry that every operation with a sliding window shares: spans, output sizes, pads, padded indices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from convsuite.case import Padding
from convsuite.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from convsuite.case import Case
    from convsuite.entry import AxisPadding, PaddingEntry, Size


def span(kernel: int, dilation: int) -> int:
    """Input positions from a window's first tap to its last, both included (the effective kernel)."""
    return dilation * (kernel - 1) + 1


def output_size(padded: int, window: int, stride: int) -> int:
    """Number of windows of span `window` that fit in `padded` positions, one every `stride`; 0 where none fits."""
    return max(0, (padded - window) // stride + 1)


def same_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """(low, high) zeros that let ceil(size / stride) windows fit; an odd zero goes high (TensorFlow's SAME)."""
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + window - size)
    return total // 2, total - total // 2


def axis_pads(kind: AxisPadding, size: int, window: int, stride: int) -> tuple[int, int]:
    """Resolve one axis' padding to (low, high).

    `causal` puts the whole span before the data, so that no output sees a later input; `full` lets every overlap of
    at least one position count.
    """
    match kind:
        case "valid":
            return 0, 0
        case "same_upper" | "same":
            return same_pads(size, window, stride)
        case "same_lower":
            low, high = same_pads(size, window, stride)
            return high, low
        case "full":
            return window - 1, window - 1
        case "causal":
            return window - 1, 0
        case int():
            return kind, kind
        case [low, high]:
            return low, high
        case _:
            raise CaseError(("padding",), f"{kind!r} is no padding")


def per_axis(value: Size, rank: int, key: str) -> tuple[int, ...]:
    """Spread `2` to (2, 2) for rank 2, and check that a list has one number for each axis."""
    if isinstance(value, int):
        return (value,) * rank
    if len(value) != rank:
        raise CaseError((key,), f"{key} has {len(value)} numbers for {rank} spatial axes")
    return tuple(value)


def resolve_padding(
    entry: PaddingEntry,
    mode: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Padding:
    """Resolve the case file's padding for each axis; an invalid stride counts as 1 here, `window_rules` names it."""
    rank = len(kernel)
    axes: list[AxisPadding] = [entry] * rank if isinstance(entry, (str, int)) else list(entry)
    if len(axes) != rank:
        raise CaseError(("padding",), f"padding has {len(axes)} entries for {rank} spatial axes")
    # an input of another rank than the kernel is a case of its own (`expect: {error: rank}`)
    sizes = (sizes + (1,) * rank)[:rank]
    pads = tuple(
        axis_pads(axis, size, span(max(k, 1), max(d, 1)), max(s, 1))
        for axis, size, k, s, d in zip(axes, sizes, kernel, stride, dilation, strict=True)
    )
    kinds = tuple({"same": "same_upper"}.get(a, a) if isinstance(a, str) else "explicit" for a in axes)
    return Padding(kinds=kinds, pads=pads, mode=mode)


def window_rules(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Padding,
) -> list[CaseError]:
    """Return every broken rule of a window's geometry, as (key, message with the numbers)."""
    if len(sizes) != len(kernel):
        return [CaseError(("rank",), f"the input has {len(sizes)} spatial axes, the kernel {len(kernel)}")]
    broken = positive(kernel, stride, dilation)
    if broken:
        return broken
    for axis, (n, k, d, (low, high)) in enumerate(zip(sizes, kernel, dilation, padding.pads, strict=True)):
        padded = n + low + high
        if padded < span(k, d):
            text = f"axis {axis}: the kernel spans {span(k, d)}, the padded input is {padded} ({n} + {low} + {high})"
            broken.append(CaseError(("kernel",), text))
        if min(low, high) < -n:
            broken.append(
                CaseError(("padding",), f"axis {axis}: {-min(low, high)} of {n} positions are cut off one end")
            )
        longest = {"reflect": n - 1, "circular": n, "replicate": None if n else 0, "zeros": None}[padding.mode]
        if longest is not None and max(low, high) > longest:
            text = (
                f"axis {axis}: {padding.mode} padding of {max(low, high)}, {n} positions give at most {max(longest, 0)}"
            )
            broken.append(CaseError(("padding",), text))
    return broken


def positive(kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> list[CaseError]:
    """Return which of a window's parameters are less than 1 on an axis."""
    return [
        CaseError((key,), f"{key} must be at least 1 on every axis, not {list(values)}")
        for key, values in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
        if min(values) < 1
    ]


def shown(size: int, low: int, mode: str) -> Callable[[int], int]:
    """Return what maps a position of a padded axis to the input position that it shows; to −1 where that is a zero.

    Negative pads crop.
    """
    last = size - 1
    match mode:
        case "zeros":
            return lambda at: at - low if 0 <= at - low <= last else -1
        case "replicate":
            return lambda at: min(max(at - low, 0), last)
        case "circular":
            return lambda at: (at - low) % size
        case "reflect":  # the edge itself is not repeated
            return lambda at: last - abs(last - abs(at - low))
    raise ValueError(f"{mode!r} is no padding mode")


def padded_index(size: int, low: int, high: int, mode: str) -> list[int]:
    """For each position of a padded axis, the input position it shows; −1 for a zero."""
    return list(map(shown(size, low, mode), range(size + low + high)))


@dataclass(frozen=True, slots=True)
class Axis:
    """One padded spatial axis, as far as windows read it."""

    shown: list[int]  # for each position kept, the input position that it shows; −1 for a zero
    where: list[Any]  # for each tap, the positions kept that it meets, one for each window: a slice or a list

    @property
    def runs(self) -> list[tuple[slice, slice]]:
        """(positions kept, input positions) that count up side by side, in order; zeros are in none."""
        import numpy as np

        at = np.flatnonzero(np.array(self.shown, dtype=np.int64) >= 0)
        to = np.array(self.shown, dtype=np.int64)[at]
        breaks = np.flatnonzero((np.diff(at) != 1) | (np.diff(to) != 1)) + 1
        starts, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(at)]
        pairs = zip(starts, ends, strict=True) if len(at) else ()
        return [(slice(int(at[i]), int(at[j - 1]) + 1), slice(int(to[i]), int(to[j - 1]) + 1)) for i, j in pairs]


@dataclass(frozen=True, slots=True)
class Window:
    """What a window does on one axis."""

    size: int  # of the input
    pads: tuple[int, int]
    mode: str
    kernel: int
    stride: int
    dilation: int

    @property
    def padded(self) -> int:
        """Positions of the padded axis."""
        return self.size + sum(self.pads)

    @property
    def count(self) -> int:
        """Number of windows that fit."""
        return output_size(self.padded, span(self.kernel, self.dilation), self.stride)

    @property
    def dense(self) -> bool:
        """False where windows read few positions among many: a dilation of 2^24 pads with 2^25 zeros and reads 3."""
        return self.padded <= 4 * self.kernel * self.count + 1024

    def axis(self, dense: bool) -> Axis:
        """Return the whole padded axis, or only the positions that windows read."""
        k, s, d, out = self.kernel, self.stride, self.dilation, self.count
        kept: Sequence[int] = range(self.padded)
        if dense:
            where: list[Any] = [slice(t * d, t * d + (out - 1) * s + 1, s) if out else slice(0) for t in range(k)]
        else:
            kept = sorted({p * s + t * d for p, t in product(range(out), range(k))})
            place = {position: at for at, position in enumerate(kept)}
            where = [[place[p * s + t * d] for p in range(out)] for t in range(k)]
        return Axis(shown=list(map(shown(self.size, self.pads[0], self.mode), kept)), where=where)


def windows(case: Case) -> list[Window]:
    """Return what a case's window does on each spatial axis."""
    return windows_over(case.input_shape[2:], case.kernel, case.stride, case.dilation, case.padding)


def windows_over(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Padding,
) -> list[Window]:
    """Return what a window does on each axis of an input of these sizes."""
    axes = zip(sizes, padding.pads, kernel, stride, dilation, strict=True)
    return [Window(n, pads, padding.mode, k, s, d) for n, pads, k, s, d in axes]


def met(windows: Iterable[Window]) -> int:
    """How many pairs of window and tap meet the input position that is met most, over all axes."""
    return prod(map(most_met, windows))


@lru_cache(maxsize=1024)  # every operand's fill asks, and the reference of each pass
def most_met(window: Window) -> int:
    """How many pairs of window and tap meet the input position that is met most."""
    import numpy as np

    axis = window.axis(window.dense)
    met, total = np.zeros(len(axis.shown), dtype=np.int64), np.zeros(window.size, dtype=np.int64)
    for positions in axis.where:  # one tap meets a position once at most
        met[positions] += 1
    for kept, to in axis.runs:
        total[to] += met[kept]
    return int(total.max(initial=0))
