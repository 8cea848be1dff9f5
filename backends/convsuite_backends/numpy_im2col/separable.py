"""The separable convolution and its gradients: depthwise, then pointwise, with no rounding between the two."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.engine import conv, conv_gradients
from convsuite_backends.numpy_im2col.geometry import Pads, Size
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.sliding import spatial_rank

Values = NDArray[Any]


class SeparableGradients(NamedTuple):
    """Gradients of ⟨separable_conv(…), grad_output⟩, each in its operand's shape and dtype."""

    x: Values
    depthwise: Values
    pointwise: Values
    bias: Values


@np.errstate(all="ignore")
def separable_conv(
    x: Values,
    depthwise: Values,
    pointwise: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
) -> Values:
    """Convolve each channel by itself, then mix channels: conv(conv(x, depthwise, groups=C), pointwise, bias).

    Parameters
    ----------
    x
        (N, C, *spatial), as `conv` takes it.
    depthwise
        (C·m, 1, *kernel), of x's dtype; channels c·m to c·m + m − 1 come from channel c.
    pointwise
        (C_out, C·m, 1, …), of x's dtype.
    bias
        (C_out,), of x's dtype.
    stride, dilation, padding, padding_mode
        of the depthwise convolution, as `conv` takes them.

    Returns
    -------
    (N, C_out, *out), out as for `conv`, in x's dtype: float16 is summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        an argument that gives no convolution; the text has the numbers.
    TypeError
        operands of several dtypes, or of one that `conv` does not take.
    """
    x, depthwise, pointwise, dtype = *_widened(x, depthwise, pointwise, bias), x.dtype
    each = conv(
        x,
        depthwise,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=x.shape[1],
    )
    return round_to(conv(each, pointwise, None if bias is None else bias.astype(x.dtype)), dtype)


@np.errstate(all="ignore")
def separable_conv_gradients(
    x: Values,
    depthwise: Values,
    pointwise: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
) -> SeparableGradients:
    """Return the gradients of ⟨separable_conv(x, depthwise, pointwise, bias), grad_output⟩ to all four.

    Arguments are those of `separable_conv`, with grad_output in the shape of its result. Raises as it does, and
    ValueError where grad_output has another shape.
    """
    x, depthwise, pointwise, dtype = *_widened(x, depthwise, pointwise, grad_output), x.dtype
    options: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "padding_mode": padding_mode,
        "groups": x.shape[1],
    }
    mixed = conv_gradients(conv(x, depthwise, **options), pointwise, grad_output.astype(x.dtype, copy=False))
    each = conv_gradients(x, depthwise, mixed.x, **options)
    return SeparableGradients(*(round_to(a, dtype) for a in (each.x, each.weight, mixed.weight, mixed.bias)))


def _widened(x: Values, depthwise: Values, pointwise: Values, other: Values | None) -> tuple[Values, Values, Values]:
    """Return the operands in the dtype of what stands between the two: a float's accumulator, as integers wrap alike.

    Raise TypeError for dtypes, and ValueError for shapes, that `conv` would not refuse or not name.
    """
    total = accumulator(x, depthwise, pointwise, other)
    spatial_rank(x.shape)
    if prod(pointwise.shape[2:]) != 1:
        raise ValueError(f"pointwise must have kernel 1 on every axis, not {pointwise.shape[2:]}")
    between = total if total.kind == x.dtype.kind == "f" else x.dtype
    return x.astype(between, copy=False), depthwise.astype(between, copy=False), pointwise.astype(between, copy=False)
