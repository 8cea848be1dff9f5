"""Orders of axes by letters: a canonical array as a framework takes it, and a framework's as canonical.

N batch, C channels, D H W space; of a weight O output and I input channels. The weight of a depthwise convolution is
canonically (C·M, 1, *kernel); an order that has M writes its output channel as two axes, C and M.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPACE = "DHW"


def to_order(array: NDArray[Any], canonical: str, order: str, channels: int = 1) -> NDArray[Any]:
    """Return a canonical array (letters of rank 2, NCHW or OIHW) in another order of the same letters."""
    import numpy as np

    if not order:
        return array
    letters = of_rank(canonical, array.ndim - 2)
    if "M" in order:
        letters = letters.replace("OI", "CM")
        array = array.reshape(channels, -1, *array.shape[2:])
    order = of_rank(order, array.ndim - 2)
    return np.ascontiguousarray(array.transpose([letters.index(letter) for letter in order]))


def from_order(array: NDArray[Any], canonical: str, order: str) -> NDArray[Any]:
    """Undo `to_order`; an array of other axes than the order has is left as it is, to be no match."""
    if not order or array.ndim != len(of_rank(order, array.ndim - 2)):
        return array
    letters, order = (of_rank(text, array.ndim - 2) for text in (canonical, order))
    return array.transpose([order.index(letter) for letter in letters])


def of_rank(order: str, rank: int) -> str:
    """Return an order written for two spatial axes as it is for others: NHWC → NWC."""
    space = _SPACE[3 - rank :] if 0 < rank <= 3 else ""
    return order.replace("HW", space)
