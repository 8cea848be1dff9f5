"""Patches (im2col) and their adjoint, fold (col2im). Each is the other's gradient.

The gradient of ⟨patches(x), g⟩ to x is fold(g) with x's spatial sizes as output_size; the gradient of ⟨fold(c), g⟩ to c
is patches(g); the other arguments are the same.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import Tile, col2im, windows
from convsuite_backends.numpy_im2col.geometry import Geometry, Pads, Size, geometry, per_axis, positive
from convsuite_backends.numpy_im2col.padding import fold as fold_pads
from convsuite_backends.numpy_im2col.padding import pad
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.sliding import spatial_rank

Values = NDArray[Any]
ORDERS = ("channel_first", "channel_last")


def patches(
    x: Values,
    *,
    kernel: Size,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    order: str = "channel_first",
) -> Values:
    """Return what each window sees, (N, C·∏kernel, *out), in x's dtype.

    Parameters
    ----------
    x
        (N, C, *spatial), any number of spatial axes, any strides, a dtype that `conv` takes.
    kernel, stride, dilation
        one number for all axes or one for each.
    padding
        zeros: one number for all axes, or for each a number or (low, high); a negative number crops.
    order
        of axis 1: channel_first is (C, *kernel), channel_last is (*kernel, C), both row-major.

    Raises
    ------
    ValueError
        an argument that gives no patches; the text has the numbers.
    TypeError
        a dtype that is not listed.
    """
    accumulator(x)
    g = _geometry(x.shape, kernel, stride, dilation, padding)
    last = _channel_last(order)
    view = np.moveaxis(windows(pad(x, g), g)[0], -1 - len(g.out), 0)  # (N, C, *kernel, *out)
    view = np.moveaxis(view, 1, 1 + len(g.kernel)) if last else view
    columns: Values = view.copy().reshape(g.batch, g.terms, *g.out)
    return columns


@np.errstate(all="ignore")
def fold(
    columns: Values,
    *,
    output_size: Size,
    kernel: Size,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    order: str = "channel_first",
) -> Values:
    """Add patches up where they were seen, (N, C·∏kernel, *out) to (N, C, *output_size); what was padding is dropped.

    Arguments are those of `patches`, output_size the spatial sizes of its x. The sum is in columns' dtype: float16 is
    summed in float32 and rounded once, integers wrap. Raises as it does, and ValueError where columns has another
    shape than patches of such an x.
    """
    total = accumulator(columns)
    rank = spatial_rank(columns.shape)
    sizes = per_axis("output_size", output_size, rank)
    taps = prod(positive("kernel", kernel, rank))
    if columns.shape[1] % taps:
        raise ValueError(f"columns has {columns.shape[1]} rows, not a multiple of the kernel's {taps} taps")
    g = _geometry((columns.shape[0], columns.shape[1] // taps, *sizes), kernel, stride, dilation, padding)
    if columns.shape[2:] != g.out:
        raise ValueError(f"columns must have {g.out} windows for output_size {sizes}, not {columns.shape[2:]}")
    padded = np.zeros((g.batch, 1, g.c_in, *g.padded), total)
    whole = Tile(slice(0, 1), slice(0, g.batch), tuple(slice(0, n) for n in g.out))
    col2im(_by_tap(columns, g, _channel_last(order)), padded, whole, g)
    return round_to(fold_pads(padded[:, 0], g), columns.dtype)


def _geometry(shape: tuple[int, ...], kernel: Size, stride: Size, dilation: Size, padding: Pads) -> Geometry:
    """Return the geometry of a convolution over all channels of (N, C, *spatial)."""
    taps = per_axis("kernel", kernel, spatial_rank(shape))
    return geometry(
        shape,
        (1, shape[1], *taps),
        None,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode="zeros",
        groups=1,
        flip=False,
    )


def _by_tap(columns: Values, g: Geometry, last: bool) -> Values:
    """Return (N, K, *out) as a view (1, C, *kernel, N, *out)."""
    shape = (*g.kernel, g.c_in) if last else (g.c_in, *g.kernel)
    split = columns.reshape(g.batch, *shape, *g.out)
    split = np.moveaxis(split, 1 + len(g.kernel), 1) if last else split
    return np.moveaxis(split, 0, -1 - len(g.out))[None]


def _channel_last(order: str) -> bool:
    if order not in ORDERS:
        raise ValueError(f"order {order!r} is none of {', '.join(ORDERS)}")
    return order == "channel_last"
