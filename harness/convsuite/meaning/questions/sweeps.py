"""Sweeps that several questions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convsuite.meaning.records import Probe
from convsuite.meaning.references import probe, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

WINDOWS = ((2, 3), (4, 1))


def strided(
    operation: str,
    windows: tuple[tuple[int, int], ...] = WINDOWS,
    change: Callable[[Array], Array] | None = None,
    **more: Any,
) -> tuple[Probe, ...]:
    """Strides 1 to 3, windows of 1 to 4, every residue of the size; axes differ in window and size."""
    return tuple(
        probe(
            operation,
            {"stride": stride, "kernel": kernel, "size": size},
            change,
            input=list(size),
            kernel=list(kernel),
            stride=stride,
            **more,
        )
        for stride in (1, 2, 3)
        for kernel in windows
        for size in [(5 + r, 5 + (r + 1) % 3) for r in range(max(2, stride))]
    )


def halves(asked: Probe) -> list[int]:
    """Return ⌊k/2⌋ for each axis."""
    return [k // 2 for k in asked.keys["kernel"]]


def interleaved(asked: Probe) -> Array | None:
    """Return what a call gives whose output channel o belongs to group o mod groups."""
    y = value(asked)
    if y is None:
        return None
    return y.reshape(y.shape[0], asked.keys["groups"], -1, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)
