"""The convolution and its gradients, as a library."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import col2im, im2col, tiles, windows
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
    shift = np.zeros((g.groups, 1, 1), total) if bias is None else bias.astype(total).reshape(g.groups, g.c_out, 1)
    y = (_pointwise if g.pointwise else _tiled)(pad(x, g), matrix, shift, g)
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

    Arguments are those of `conv`, with grad_output in the shape of its result. Raises as `conv` does, and ValueError
    where grad_output has another shape.
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
    to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=total)
    found = input_gradient(weight, grad_output, g, total), weight_gradient(x, grad_output, g, total), to_bias
    return Gradients(*(round_to(a, x.dtype) for a in found))


def input_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its input, (N, C_in, *spatial), not yet rounded."""
    matrix, by_group = _matrix(weight, g, total).swapaxes(1, 2), _by_group(grad_output, g)
    padded = np.zeros((g.batch, g.groups, g.c_in, *g.padded), total)
    for tile in tiles(g, total.itemsize):
        columns = np.matmul(matrix[tile.groups], _rows(by_group[tile.index], g, total))
        col2im(columns.reshape(columns.shape[0], g.c_in, *g.kernel, *tile.positions), padded, tile, g)
    return fold(padded.reshape(g.batch, g.groups * g.c_in, *g.padded), g)


def weight_gradient(x: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its weight, (C_out, C_in / groups, *kernel), not yet rounded."""
    view, by_group = windows(pad(x, g), g), _by_group(grad_output, g)
    found = np.zeros((g.groups, g.c_out, g.terms), total)
    for tile in tiles(g, total.itemsize):
        rows = _rows(by_group[tile.index], g, total)
        found[tile.groups] += np.matmul(rows, im2col(view, tile, total).swapaxes(1, 2))
    return _flipped(found.reshape(g.groups * g.c_out, g.c_in, *g.kernel), g)


def _pointwise(padded: Values, matrix: Values, shift: Values, g: Geometry) -> Values:
    """Return (N, groups, C_out / groups, positions): each image is its own columns."""
    columns = padded.astype(matrix.dtype, copy=False).reshape(g.batch, g.groups, g.terms, prod(g.out))
    y = np.matmul(matrix, columns)
    y += shift
    return round_to(y, padded.dtype)


def _tiled(padded: Values, matrix: Values, shift: Values, g: Geometry) -> Values:
    """Return (N, groups, C_out / groups, *out), tile by tile."""
    y = np.empty((g.batch, g.groups, g.c_out, *g.out), padded.dtype)
    by_group, view = np.moveaxis(y, 0, 2), windows(padded, g)
    for tile in tiles(g, matrix.itemsize):
        part = np.matmul(matrix[tile.groups], im2col(view, tile, matrix.dtype))
        part += shift[tile.groups]
        here = by_group[tile.index]
        here[...] = round_to(part, y.dtype).reshape(here.shape)
    return y


def _by_group(grad_output: Values, g: Geometry) -> Values:
    """Return (N, C_out, *out) as a view (groups, C_out / groups, N, *out)."""
    return np.moveaxis(grad_output.reshape(g.batch, g.groups, g.c_out, *g.out), 0, 2)


def _rows(part: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return a tile of `_by_group` as (groups, C_out / groups, positions)."""
    return part.astype(dtype, copy=False).reshape(part.shape[0], g.c_out, prod(part.shape[2:]))


def _flipped(weight: Values, g: Geometry) -> Values:
    return np.flip(weight, axis=tuple(range(2, weight.ndim))) if g.flip else weight


def _matrix(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return the weight as (groups, C_out / groups, K), K running over (channel, *tap)."""
    return _flipped(weight, g).astype(dtype, copy=False).reshape(g.groups, g.c_out, g.terms)
