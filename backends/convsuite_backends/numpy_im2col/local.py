"""The locally connected convolution, whose every output position has weights of its own, and its gradients.

A weight meets one window an image, so there is no matrix product to gain by: sums run over positions P, all at once.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.columns import Columns, Tile, col2im
from convsuite_backends.numpy_im2col.engine import Gradients
from convsuite_backends.numpy_im2col.geometry import Geometry, Pads, Size, geometry
from convsuite_backends.numpy_im2col.outputs import room
from convsuite_backends.numpy_im2col.padding import fold
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.workspace import workspace

Values = NDArray[Any]
Index = tuple[Any, ...]


@np.errstate(all="ignore")
def local_conv(
    x: Values,
    weight: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    out: Values | None = None,
) -> Values:
    """Convolve with unshared weights: y[n,o,p] = b[o,p] + Σ_c Σ_t x̂[n, c, p·stride + t·dilation] · w[o,c,t,p].

    Parameters
    ----------
    x
        (N, C_in, *spatial), any number of spatial axes, any strides; float64, float32, float16, int32 or int8.
    weight
        (C_out, C_in, *kernel, *out), of x's dtype.
    bias
        (C_out, *out), of x's dtype.
    stride, dilation
        one number for all axes or one for each; a dilation of 1 is dense.
    padding
        zeros: one number for all axes, or for each a number or (low, high); a negative number crops.
    out
        an array of the result's shape and dtype to write into, of any strides; no memory of it is x's or weight's.

    Returns
    -------
    (N, C_out, *out), out as for `conv`, in x's dtype: float16 is summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        an argument that gives no convolution; the text has the numbers.
    TypeError
        operands of several dtypes, or of one that is not listed.
    """
    total = accumulator(x, weight, bias)
    g = _geometry(x.shape, weight.shape, stride, dilation, padding)
    if bias is not None and bias.shape != g.out_shape[1:]:
        raise ValueError(f"bias must have shape {g.out_shape[1:]}, one value per output, not {bias.shape}")
    y, matrix = room(out, g.out_shape, x.dtype, x, weight, bias), _matrix(weight, g, total)
    shift = np.zeros(y.shape[1:], total) if bias is None else bias.astype(total)
    with workspace().block() as held:
        lowered = Columns(x, g, total, held)
        for tile in lowered.tiles:
            positions = _positions(tile)
            here = (tile.batch, *positions)
            part = np.einsum("okp,knp->nop", _flat(matrix, tile), _columns(lowered, tile)).reshape(y[here].shape)
            y[here] = round_to(part + shift[positions], y.dtype)
    return y


@np.errstate(all="ignore")
def local_conv_gradients(
    x: Values,
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
) -> Gradients:
    """Return the gradients of ⟨local_conv(x, weight, bias), grad_output⟩ to x, weight and bias.

    Arguments are those of `local_conv`, with grad_output in the shape of its result. Raises as it does, and ValueError
    where grad_output has another shape.
    """
    total = accumulator(x, weight, grad_output)
    g = _geometry(x.shape, weight.shape, stride, dilation, padding)
    if grad_output.shape != g.out_shape:
        raise ValueError(f"grad_output must have the output's shape {g.out_shape}, not {grad_output.shape}")
    matrix = _matrix(weight, g, total)
    to_padded = np.zeros((g.batch, 1, g.c_in, *g.padded), total)
    to_matrix = np.zeros(matrix.shape, total)
    with workspace().block() as room:
        lowered = Columns(x, g, total, room)
        for tile in lowered.tiles:
            grad = _flat(grad_output[tile.batch], tile).astype(total, copy=False)
            part = to_matrix[_positions(tile)]
            part += np.einsum("knp,nop->okp", _columns(lowered, tile), grad).reshape(part.shape)
            columns = np.einsum("okp,nop->knp", _flat(matrix, tile), grad)
            col2im(columns.reshape(1, g.c_in, *g.kernel, *tile.positions), to_padded, tile, g)
    found = fold(to_padded[:, 0], g), to_matrix.reshape(weight.shape), grad_output.sum(axis=0, dtype=total)
    return Gradients(*(round_to(a, x.dtype) for a in found))


def _matrix(weight: Values, g: Geometry, dtype: np.dtype[Any]) -> Values:
    """Return the weight as (C_out, K, *out), K running over (channel, *tap)."""
    return weight.astype(dtype, copy=False).reshape(g.c_out, g.terms, *g.out)


def _columns(lowered: Columns, tile: Tile) -> Values:
    """Return a tile's columns as (K, N, P)."""
    columns = lowered.of(tile)[0]
    found: Values = columns.reshape(len(columns), tile.positions[0], prod(tile.positions[1:]))
    return found


def _flat(array: Values, tile: Tile) -> Values:
    """Return a tile of (…, *out) as (…, P)."""
    flat: Values = array[_positions(tile)].reshape(*array.shape[: -len(tile.out)], prod(tile.positions[1:]))
    return flat


def _positions(tile: Tile) -> Index:
    """Return the index of an array (…, *out)."""
    return (..., *tile.out)


def _geometry(x: tuple[int, ...], weight: tuple[int, ...], stride: Size, dilation: Size, padding: Pads) -> Geometry:
    """Return the geometry of the convolution. Raise ValueError, with the numbers, where there is none."""
    rank = len(x) - 2
    if rank < 1 or len(weight) != 2 + 2 * rank:
        raise ValueError(
            f"x {x} has {len(x)} axes, weight {weight} has {len(weight)}: they must be (N, C_in, *spatial) and "
            f"(C_out, C_in, *kernel, *out) with as many kernel and out axes as spatial ones, at least 1"
        )
    g = geometry(
        x,
        weight[: 2 + rank],
        None,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode="zeros",
        groups=1,
        flip=False,
    )
    if weight[2 + rank :] != g.out:
        raise ValueError(f"weight must have kernels for {g.out} outputs, not {weight[2 + rank :]}")
    return g
