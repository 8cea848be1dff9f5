"""Geometry that every operation with a sliding window shares: spans, output sizes, pads, padded indices."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

from convsuite.case import Padding
from convsuite.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable

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
    broken = []
    for key, values in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if min(values) < 1:
            broken.append(CaseError((key,), f"{key} must be at least 1 on every axis, not {list(values)}"))
    if broken:
        return broken
    for axis, (n, k, d, (low, high)) in enumerate(zip(sizes, kernel, dilation, padding.pads, strict=True)):
        padded = n + low + high
        if padded < span(k, d):
            text = f"axis {axis}: the kernel spans {span(k, d)}, the padded input is {padded} ({n} + {low} + {high})"
            broken.append(CaseError(("kernel",), text))
        longest = {"reflect": n - 1, "circular": n, "replicate": None if n else 0, "zeros": None}[padding.mode]
        if longest is not None and max(low, high) > longest:
            text = (
                f"axis {axis}: {padding.mode} padding of {max(low, high)}, {n} positions give at most {max(longest, 0)}"
            )
            broken.append(CaseError(("padding",), text))
    return broken


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


def most_met(index: Callable[[int], int], windows: int, kernel: int, stride: int, dilation: int) -> int:
    """How many pairs of window and tap meet the input position that is met most; `index` is from `shown`."""
    met = Counter(index(p * stride + t * dilation) for p, t in product(range(windows), range(kernel)))
    del met[-1]
    return max(met.values(), default=0)
