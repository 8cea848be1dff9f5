"""The convolution and its gradients, as a library."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import col2im, im2col, tiles, whole, windows
from convsuite_backends.numpy_im2col.geometry import Geometry, Pads, Size, geometry
from convsuite_backends.numpy_im2col.padding import fold, pad
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to

Values = NDArray[Any]


class Gradients(NamedTuple):
    """Gradients of ⟨conv(x, weight, bias), grad_output⟩, each in its operand's shape and dtype."""

    x: Values
    weight: Values
    bias: Values


@np.errstate(all="ignore")  # infinities and NaN go the way of IEEE arithmetic, in silence
def conv(
    x: Values,
    weight: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Convolve, as frameworks mean it: y[n,o,p] = b[o] + Σ_c Σ_t x̂[n, c, p·stride + t·dilation] · w[o,c,t].

    Parameters
    ----------
    x
        (N, C_in, *spatial), any number of spatial axes, any strides; float64, float32, float16, int32 or int8.
    weight
        (C_out, C_in / groups, *kernel), of x's dtype.
    bias
        (C_out,), of x's dtype.
    stride, dilation
        one number for all axes or one for each; a dilation of 1 is dense.
    padding
        one number for all axes, or for each a number or (low, high); a negative number crops.
    padding_mode
        zeros, reflect (the edge not repeated), replicate or circular.
    groups
        consecutive channels that see only each other; C_in for a depthwise convolution.
    flip
        reverse the kernel on every spatial axis: the convolution of mathematics.

    Returns
    -------
    (N, C_out, *out) with out = ⌊(spatial + low + high − dilation·(kernel − 1) − 1) / stride⌋ + 1, in x's dtype:
    float16 is summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        an argument that gives no convolution; the text has the numbers.
    TypeError
        operands of several dtypes, or of one that is not listed.
    """
    total = accumulator(x, weight, bias)
    g = geometry(
        x.shape,
        weight.shape,
        None if bias is None else bias.shape,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    matrix = _matrix(weight, g, total)
    shift = None if bias is None else bias.astype(total).reshape(g.groups, g.c_out, 1)
    y = np.empty((g.batch, g.groups, g.c_out, *g.out), x.dtype)
    view = windows(pad(x, g), g)
    for tile in [whole(g)] if g.pointwise and x.dtype == total else tiles(g, total.itemsize):
        part = np.matmul(matrix[tile[1]], im2col(view, tile, total))
        if shift is not None:
            part += shift[tile[1]]
        here = y[(*tile[:2], slice(None), *tile[2:])]
        here[...] = round_to(part, x.dtype).reshape(here.shape)
    return y.reshape(g.out_shape)


@np.errstate(all="ignore")
def conv_gradients(
    x: Values,
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Gradients:
    """Return the gradients of ⟨conv(x, weight, bias), grad_output⟩ to x, weight and bias.

    Arguments are those of `conv`, with grad_output in the shape of its result. Raises as `conv` does, and ValueError where
    grad_output has another shape.
    """
    total = accumulator(x, weight, grad_output)
    g = geometry(
        x.shape,
        weight.shape,
        None,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    if grad_output.shape != g.out_shape:
        raise ValueError(f"grad_output must have the output's shape {g.out_shape}, not {grad_output.shape}")
    matrix = _matrix(weight, g, total).swapaxes(1, 2)
    view = windows(pad(x, g), g)
    grad = grad_output.reshape(g.batch, g.groups, g.c_out, *g.out)
    to_padded = np.zeros((g.batch, g.groups, g.c_in, *g.padded), total)
    to_matrix = np.zeros((g.groups, g.c_out, g.terms), total)
    for tile in tiles(g, total.itemsize):
        columns = im2col(view, tile, total)
        seen = grad[(*tile[:2], slice(None), *tile[2:])].astype(total, copy=False)
        seen = seen.reshape(*seen.shape[:3], columns.shape[3])
        to_matrix[tile[1]] += np.matmul(seen, columns.swapaxes(2, 3)).sum(axis=0)
        col2im(np.matmul(matrix[tile[1]], seen), to_padded, tile, g)
    to_x = fold(to_padded.reshape(g.batch, g.groups * g.c_in, *g.padded), g)
    to_weight = _flipped(to_matrix.reshape(weight.shape), g)
    to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=total)
    return Gradients(*(round_to(a, x.dtype) for a in (to_x, to_weight, to_bias)))


def _flipped(weight: Values, g: Geometry) -> Values:
    return np.flip(weight, axis=tuple(range(2, weight.ndim))) if g.flip else weight


def _matrix(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """(groups, C_out / groups, K), K running over (channel, *tap)."""
    return _flipped(weight, g).astype(dtype, copy=False).reshape(g.groups, g.c_out, g.terms)
