"""What the framework backends share: the order of axes, and the pads that a framework has no word for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convsuite.case import Case, Support

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

SPATIAL = "DHW"  # the field's letters; rank 1 uses the last, rank 2 the last two


def axes(rank: int, channels_last: bool) -> str:
    """Return the order of an input's axes in the field's letters, e.g. NCHW."""
    spatial = SPATIAL[3 - rank :]
    return f"N{spatial}C" if channels_last else f"NC{spatial}"


def to_channels_last(array: NDArray[Any], role: str) -> NDArray[Any]:
    """Reorder (N, C, *spatial) to (N, *spatial, C), and a weight (O, I, *kernel) to (*kernel, I, O)."""
    if role == "bias":
        return array
    return np.ascontiguousarray(weight_last(array) if role == "weight" else np.moveaxis(array, 1, -1))


def weight_last(array: NDArray[Any]) -> NDArray[Any]:
    """Reorder a weight (O, I, *kernel) to (*kernel, I, O)."""
    return np.moveaxis(array, (0, 1), (-1, -2))


def to_channels_first(array: NDArray[Any], role: str) -> NDArray[Any]:
    """Undo `to_channels_last`."""
    if role == "bias":
        return array
    return np.moveaxis(array, (-1, -2), (0, 1)) if role == "weight" else np.moveaxis(array, -1, 1)


def grown(case: Case) -> list[tuple[int, int]]:
    """Return what is to be added on each spatial axis, (low, high); what is to be cropped counts as 0."""
    return [(max(low, 0), max(high, 0)) for low, high in case.padding.pads]


def kept(case: Case) -> list[slice]:
    """Return the part of each spatial axis that is left after cropping by the negative pads."""
    return [slice(max(-low, 0), min(high, 0) or None) for low, high in case.padding.pads]


def same(kinds: Sequence[str], kind: str) -> bool:
    """Tell whether every axis asks for this kind of padding."""
    return all(k == kind for k in kinds)


def composition(steps: Sequence[str]) -> Support:
    """Declare native support where there are no steps beside the framework's own call, else composed, naming them."""
    return Support.composed("; ".join(steps)) if steps else Support.native()
