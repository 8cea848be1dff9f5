"""The convolution and its gradients, as a library."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import depthwise
from convsuite_backends.numpy_im2col.columns import col2im, every, im2col, parts, tiles, workspace
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
    shift = None if bias is None else bias.astype(total).reshape(g.groups, g.c_out, 1)
    return forward(x, weight, shift, g, total, x.dtype)


def forward(
    x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], dtype: np.dtype[Any]
) -> Values:
    """Return a convolution, (N, C_out, *out) in a dtype, by the path that suits its geometry (docs/engine.md).

    `shift` is the bias, (groups, C_out / groups, 1) in the dtype of the sums.
    """
    padded = pad(x, g)
    if depthwise.suits(g):
        return depthwise.forward(padded, _flipped(weight, g), shift, g, total, dtype)
    matrix = _matrix(weight, g, total)
    y = (_pointwise if g.pointwise else _tiled)(padded, matrix, shift, g, dtype)
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
    g = _gradient_geometry(
        x.shape,
        weight.shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=total)
    found = input_gradient(weight, grad_output, g, total), weight_gradient(x, grad_output, g, total), to_bias
    return Gradients(*(round_to(a, x.dtype) for a in found))


@np.errstate(all="ignore")
def conv_grad_input(
    x_shape: tuple[int, ...],
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient of ⟨conv(x, weight, bias), grad_output⟩ to x, which has `x_shape`; see `conv_gradients`."""
    total = accumulator(weight, grad_output)
    g = _gradient_geometry(
        x_shape,
        weight.shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    return round_to(input_gradient(weight, grad_output, g, total), grad_output.dtype)


@np.errstate(all="ignore")
def conv_grad_weight(
    x: Values,
    weight_shape: tuple[int, ...],
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient of ⟨conv(x, weight, bias), grad_output⟩ to a weight of a shape; see `conv_gradients`."""
    total = accumulator(x, grad_output)
    g = _gradient_geometry(
        x.shape,
        weight_shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    return round_to(weight_gradient(x, grad_output, g, total), x.dtype)


def _gradient_geometry(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], grad_output: Values, **options: Any
) -> Geometry:
    """Return the geometry of a gradient. Raise ValueError where grad_output has another shape than the output."""
    g = geometry(x_shape, weight_shape, None, **options)
    if grad_output.shape != g.out_shape:
        raise ValueError(f"grad_output must have the output's shape {g.out_shape}, not {grad_output.shape}")
    return g


def input_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its input, (N, C_in, *spatial), not yet rounded."""
    padded = (_dense_gradient if _dense_suits(g) else _scattered_gradient)(weight, grad_output, g, total)
    return fold(padded, g)


def _dense_suits(g: Geometry) -> bool:
    """Tell whether to turn the weight round for a convolution costs less than to scatter columns."""
    strided = prod(g.stride) > 1
    fits = all(s <= k for s, k in zip(g.stride, g.kernel, strict=True)) and max(g.dilation) == 1
    return g.batch * prod(g.out) > g.c_out and (fits if strided else prod(g.kernel) > 1)


def _dense_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient to the padded input as convolutions of the output's gradient, one for each remainder.

    Padded position s·u + r is met by output o at tap s·q + r with u = o + q: for each r that is a dense convolution
    with the taps of that remainder, turned round.
    """
    turned = _flipped(weight, g).reshape(g.groups, g.c_out, g.c_in, *g.kernel).swapaxes(1, 2)
    padded = np.zeros((g.batch, g.groups * g.c_in, *g.padded), total)
    for rest in product(*map(range, g.stride)):
        here = every(rest, g.stride)
        taps = np.flip(turned[here], axis=tuple(range(3, turned.ndim)))
        inner = _turned(g, taps.shape[3:], padded[here].shape[2:])
        flat = taps.reshape(g.groups * g.c_in, g.c_out, *inner.kernel)
        padded[here] = forward(grad_output, flat, None, inner, total, total)
    return padded


def _turned(g: Geometry, kernel: tuple[int, ...], sizes: tuple[int, ...]) -> Geometry:
    """Return the geometry of a convolution from the output's gradient to so many positions."""
    spans = (d * (k - 1) for d, k in zip(g.dilation, kernel, strict=True))
    pads = tuple((span, size - n) for span, size, n in zip(spans, sizes, g.out, strict=True))
    return replace(
        g, c_in=g.c_out, c_out=g.c_in, sizes=g.out, kernel=kernel, stride=(1,) * len(kernel), pads=pads,
        mode="zeros", flip=False,
    )  # fmt: skip


def _scattered_gradient(weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient to the padded input by columns that are added where they were seen."""
    matrix, by_group = _matrix(weight, g, total).swapaxes(1, 2), _by_group(grad_output, g)
    padded = np.zeros((g.batch, g.groups, g.c_in, *g.padded), total)
    for tile in tiles(g, total.itemsize):
        columns = np.matmul(matrix[tile.groups], _rows(by_group[tile.index], g, total))
        col2im(columns.reshape(columns.shape[0], g.c_in, *g.kernel, *tile.positions), padded, tile, g)
    return padded.reshape(g.batch, g.groups * g.c_in, *g.padded)


def weight_gradient(x: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
    """Return the gradient of a convolution to its weight, (C_out, C_in / groups, *kernel), not yet rounded."""
    seen, by_group, room = parts(pad(x, g), g), _by_group(grad_output, g), workspace(g, total)
    found = np.zeros((g.groups, g.c_out, g.terms), total)
    for tile in tiles(g, total.itemsize):
        rows = _rows(by_group[tile.index], g, total)
        found[tile.groups] += np.matmul(rows, im2col(seen, tile, g, room).swapaxes(1, 2))
    return _flipped(found.reshape(g.groups * g.c_out, g.c_in, *g.kernel), g)


def _pointwise(padded: Values, matrix: Values, shift: Values | None, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return (N, groups, C_out / groups, positions): each image is its own columns."""
    columns = padded.astype(matrix.dtype, copy=False).reshape(g.batch, g.groups, g.terms, prod(g.out))
    y = np.matmul(matrix, columns)
    if shift is not None:
        y += shift
    return round_to(y, dtype)


def _tiled(padded: Values, matrix: Values, shift: Values | None, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return (N, groups, C_out / groups, *out), tile by tile."""
    y = np.empty((g.batch, g.groups, g.c_out, *g.out), dtype)
    by_group, seen, room = np.moveaxis(y, 0, 2), parts(padded, g), workspace(g, matrix.dtype)
    for tile in tiles(g, matrix.itemsize):
        columns, here = im2col(seen, tile, g, room), by_group[tile.index]
        at_once = _side_by_side(here) if dtype == matrix.dtype else None
        part = np.matmul(matrix[tile.groups], columns, out=at_once)
        if shift is not None:
            part += shift[tile.groups]
        if at_once is None:
            here[...] = round_to(part, dtype).reshape(here.shape)
    return y


def _side_by_side(here: Values) -> Values | None:
    """Return a tile of an output (groups, C_out / groups, N, *out) as (…, positions), a view; None where it is none.

    A tile keeps the last axes whole, so that of one image all its positions follow each other.
    """
    if here.shape[2] != 1:
        return None
    groups, channels = here.strides[:2]
    return as_strided(here, (*here.shape[:2], prod(here.shape[2:])), (groups, channels, here.itemsize))


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
