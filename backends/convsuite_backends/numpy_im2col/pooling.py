"""Pooling and its gradients: the maximum, the average and the p-norm of each window.

Every function takes x (N, C, *spatial), any number of spatial axes and any strides, and

kernel, stride, dilation
    one number for all axes or one for each; a stride of None is the kernel.
padding
    one number for all axes, or for each a number or (low, high); a negative number crops.
ceil_mode
    a last window may overhang the padded input if it begins within the input or its low padding.

A gradient is that of ⟨pool(x), grad_output⟩ to x, in x's shape and dtype. All raise ValueError, with the numbers, for
arguments that give no pooling, and TypeError for a dtype that they do not take.
"""

from __future__ import annotations

from functools import reduce
from math import isfinite, prod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Pads, Size
from convsuite_backends.numpy_im2col.outputs import room
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.sliding import (
    Axes,
    Sliding,
    by_blocks,
    lowest,
    out_shape,
    sliding,
    window_first_max,
    window_max,
    window_spread,
    window_sum,
)

Values = NDArray[Any]
POLICIES = ("propagate", "ignore")


def max_pool(
    x: Values,
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    nan: str = "propagate",
    out: Values | None = None,
) -> Values:
    """Return each window's maximum, (N, C, *out) in x's dtype: any that `conv` takes.

    Padding is never chosen: a window that sees nothing else is −inf, or the lowest integer. With nan "propagate" a
    window that sees a NaN is NaN, with "ignore" a NaN counts as padding. `out` is written into where it is given:
    an array of the result's shape and dtype, of any strides, apart from x.
    """
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    return maxima(x, axes, nan, out)


def max_pool_indices(
    x: Values,
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    nan: str = "propagate",
) -> NDArray[np.int64]:
    """Return where in its plane of x each window's maximum stands, (N, C, *out): the first in row-major order.

    An index counts x's own positions, not the padding. It is that of the first NaN where NaN propagates and there is
    one, and −1 where a window sees nothing but padding.
    """
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    return max_indices(x, axes, nan)


def max_pool_gradient(
    x: Values,
    grad_output: Values,
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    nan: str = "propagate",
) -> Values:
    """Send each window's gradient to the position of `max_pool_indices`, and nowhere where that is −1."""
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    return max_gradient(x, grad_output, axes, nan)


def avg_pool(
    x: Values,
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
    out: Values | None = None,
) -> Values:
    """Return each window's sum, (N, C, *out), divided by its count; x is of a floating dtype.

    The count is `divisor` if given; else, with count_include_pad, the window's positions in the input and its declared
    padding, without what overhangs; else its positions in the input. A window that sees only padding is 0. `out` is
    written into where it is given: an array of the result's shape and dtype, of any strides, apart from x.
    """
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    return means(x, axes, _counts(axes, count_include_pad, divisor), out)


def avg_pool_gradient(
    x: Values,
    grad_output: Values,
    *,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Values:
    """Give each position its share of the gradients of the windows that see it; of x only shape and dtype count."""
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    return means_gradient(x, grad_output, axes, _counts(axes, count_include_pad, divisor))


@np.errstate(all="ignore")
def lp_pool(
    x: Values,
    *,
    power: float,
    absolute: bool = True,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
    out: Values | None = None,
) -> Values:
    """Return each window's p-norm (Σ|x|^p)^(1/p), (N, C, *out), evaluated in float64; x is of a floating dtype.

    Not `absolute`, it is (Σx^p)^(1/p). `out` is written into where it is given: an array of the result's shape and
    dtype, of any strides, apart from x.
    """
    p = _power(power)
    floating(x)
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    into = room(out, out_shape(x.shape, axes), x.dtype, x)
    return by_blocks(lambda part: _norms(part, p, axes, absolute), into, x)


@np.errstate(all="ignore")
def lp_pool_gradient(
    x: Values,
    grad_output: Values,
    *,
    power: float,
    absolute: bool = True,
    kernel: Size,
    stride: Size | None = None,
    dilation: Size = 1,
    padding: Pads = 0,
    ceil_mode: bool = False,
) -> Values:
    """Return sign(x)·|x|^(p−1)·Σ grad·y^(1−p) over the windows that see x, evaluated in float64.

    It is 0 where x is 0, where for p ≤ 1 there is none, and a window of norm 0 adds nothing. Not `absolute`, sign(x) is
    left out, and |x| is x.
    """
    p = _power(power)
    floating(x, grad_output)
    axes = sliding(x.shape, kernel=kernel, stride=stride, dilation=dilation, padding=padding, ceil_mode=ceil_mode)
    check_grad(grad_output, x, axes)

    def gradient(part: Values, grad: Values) -> Values:
        y = _norms(part, p, axes, absolute)
        to_sums = np.where(y == 0, 0, grad * y ** (1 - p))
        slope = _base(part, absolute) ** (p - 1)
        if absolute:
            slope = np.where(part == 0, 0, np.sign(part) * slope)
        return slope * window_spread(to_sums, axes, np.float64)

    return by_blocks(gradient, np.empty(x.shape, x.dtype), x, grad_output)


@np.errstate(all="ignore")
def maxima(x: Values, axes: Axes, nan: str, out: Values | None = None) -> Values:
    """Return each window's maximum, see `max_pool`."""
    accumulator(x)
    ignore = _ignores(nan)
    return by_blocks(
        lambda part: window_max(_without_nan(part) if ignore else part, axes),
        room(out, out_shape(x.shape, axes), x.dtype, x),
        x,
    )


@np.errstate(all="ignore")
def max_indices(x: Values, axes: Axes, nan: str) -> NDArray[np.int64]:
    """Return where each window's maximum stands, see `max_pool_indices`."""
    accumulator(x)
    ignore = _ignores(nan)
    plane = np.arange(prod(x.shape[2:])).reshape(x.shape[2:])

    def first(part: Values) -> Values:
        own = np.broadcast_to(plane, part.shape)
        if ignore:
            own, part = np.where(np.isnan(part), -1, own), _without_nan(part)
        return window_first_max(part, own, axes)

    return by_blocks(first, np.empty(out_shape(x.shape, axes), np.int64), x)


@np.errstate(all="ignore")
def max_gradient(x: Values, grad_output: Values, axes: Axes, nan: str) -> Values:
    """Return the gradient of `maxima`."""
    total = accumulator(x, grad_output)
    check_grad(grad_output, x, axes)
    found = max_indices(x, axes, nan)
    to_x = np.zeros(x.size, total)
    planes = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(axes)) * prod(x.shape[2:])
    seen = found >= 0
    np.add.at(to_x, (found + planes)[seen], grad_output[seen].astype(total))
    return round_to(to_x.reshape(x.shape), x.dtype)


@np.errstate(all="ignore")
def means(x: Values, axes: Axes, counts: Values, out: Values | None = None) -> Values:
    """Return each window's sum divided by its count; the quotient is of float64 and rounded once."""
    total = floating(x)
    return by_blocks(
        lambda part: np.divide(window_sum(part, axes, total), counts, dtype=np.float64),
        room(out, out_shape(x.shape, axes), x.dtype, x),
        x,
    )


@np.errstate(all="ignore")
def means_gradient(x: Values, grad_output: Values, axes: Axes, counts: Values) -> Values:
    """Return the gradient of `means`."""
    total = floating(x, grad_output)
    check_grad(grad_output, x, axes)
    return by_blocks(
        lambda part: window_spread(np.divide(part, counts, dtype=np.float64), axes, total),
        np.empty(x.shape, x.dtype),
        grad_output,
    )


def floating(*operands: Values) -> np.dtype[Any]:
    """Return the dtype in which operands are summed. Raise TypeError where it is none, or of integers."""
    total = accumulator(*operands)
    if operands[0].dtype.kind != "f":
        raise TypeError(f"dtype {operands[0].dtype} has no averages and no norms: it must be a floating one")
    return total


def check_grad(grad_output: Values, x: Values, axes: Axes) -> None:
    """Raise ValueError where grad_output has another shape than the output."""
    if grad_output.shape != out_shape(x.shape, axes):
        raise ValueError(
            f"grad_output must have the output's shape {out_shape(x.shape, axes)}, not {grad_output.shape}"
        )


def real_counts(axes: Axes) -> Values:
    """Return how many input positions each window sees, (*out), at least 1."""
    return np.maximum(reduce(np.multiply.outer, [axis.counts for axis in axes]), 1)


def _counts(axes: tuple[Sliding, ...], count_include_pad: bool, divisor: int | None) -> Values:
    if divisor is not None and not index(divisor):
        raise ValueError("divisor must not be 0")
    if divisor is not None:
        return np.array(divisor)
    return reduce(np.multiply.outer, [axis.declared for axis in axes]) if count_include_pad else real_counts(axes)


def _power(power: float) -> float:
    if not (isfinite(power) and power > 0):
        raise ValueError(f"power must be positive and finite, not {power}")
    return float(power)


def _norms(x: Values, p: float, axes: Axes, absolute: bool) -> Values:
    return window_sum(_base(x, absolute) ** p, axes, np.float64) ** (1 / p)


def _base(x: Values, absolute: bool) -> Values:
    return np.abs(x, dtype=np.float64) if absolute else x.astype(np.float64)


def _ignores(nan: str) -> bool:
    if nan not in POLICIES:
        raise ValueError(f"nan {nan!r} is none of {', '.join(POLICIES)}")
    return nan == "ignore"


def _without_nan(x: Values) -> Values:
    return np.where(np.isnan(x), lowest(x.dtype), x)
